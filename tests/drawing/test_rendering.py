import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from polygrad_edu import environments
from polygrad_edu.drawing import poses, rendering
from polygrad_edu.presets import PRESETS

TASKS = [*sorted({preset.task.env_id for preset in PRESETS.values()}), "Ant-v5", "Humanoid-v5"]


def start(env_id):
    env = environments.make(env_id)
    env.reset(seed=1)
    return env, environments.get_simulator_state(env)


@pytest.mark.parametrize("env_id", TASKS)
def test_every_task_is_drawn_and_its_motion_seen(env_id):
    env, state = start(env_id)
    for _ in range(6):
        env.step(np.full(env.action_space.shape, 0.8, np.float32))
    now = environments.get_simulator_state(env)
    first, later = rendering.draw_states(env, np.stack([state, now]))
    assert first.shape == (240, 320, 3)
    assert first.dtype == np.uint8
    drawn = (first != np.array(rendering.SKY)).any(-1) & (first != np.array(rendering.GROUND)).any(-1)
    assert drawn.mean() > 0.004
    assert (first != later).any(-1).sum() > 100
    np.testing.assert_array_equal(environments.get_simulator_state(env), now)


def pole_pixels(env, state, angle):
    """Where the pole is drawn when it leans by ``angle``: mean column."""
    observation = np.array([[0.0, angle, 0.0, 0.0]])
    (frame,) = rendering.draw_states(env, poses.states_from_observations(env, state, observation))
    upper = frame[: frame.shape[0] // 2 - 20]
    return np.nonzero((upper != np.array(rendering.SKY)).any(-1))[1].mean()


def test_a_pole_that_leans_right_is_drawn_to_the_right():
    env, state = start("InvertedPendulum-v5")
    left, upright, right = (pole_pixels(env, state, angle) for angle in (-0.3, 0.0, 0.3))
    assert left < upright - 5 < upright + 5 < right
    assert upright == pytest.approx(160, abs=2)


def test_a_cart_at_the_end_of_its_rail_is_still_in_the_picture():
    env, state = start("InvertedPendulum-v5")
    states = poses.states_from_observations(env, state, np.array([[-1.0, 0, 0, 0], [1.0, 0, 0, 0]]))
    for frame in rendering.draw_states(env, states):
        pole = np.nonzero((frame[:90] != np.array(rendering.SKY)).any(-1))[1]
        assert len(pole) > 0
        assert 0 < pole.min() < pole.max() < 319


def test_a_hopper_stands_on_the_ground_and_a_fall_brings_it_down():
    env, state = start("Hopper-v5")
    upright = environments.set_simulator_state(env, state)
    fallen = upright.copy()
    fallen[:2] = 0.3, -1.4  # height and angle
    frames = rendering.draw_states(env, poses.states_from_observations(env, state, np.stack([upright, fallen])))
    tops = []
    for frame in frames:
        robot = (frame != np.array(rendering.SKY)).any(-1)[:, 60:260]
        tops.append(np.nonzero(robot.any(1))[0][0])
    ground = np.nonzero((frames[0][:, 0] != np.array(rendering.SKY)).any(-1))[0][0]
    assert tops[0] < ground - 80
    assert tops[0] + 20 < tops[1]


@pytest.mark.parametrize("env_id", ["Ant-v5", "Swimmer-v5"])
def test_a_robot_that_travels_stays_in_the_picture_and_the_ground_moves(env_id):
    env, state = start(env_id)
    travelled = np.stack([state] * 3)
    travelled[1, 1:3] += 20.0, 30.0  # x and y, whole squares of the ground
    travelled[2, 2] += 0.2
    here, far, aside = rendering.draw_states(env, travelled)
    np.testing.assert_array_equal(here, far)
    robot = (here == np.array(rendering.BODY_COLOURS[0])).all(-1)
    np.testing.assert_array_equal(robot, (aside == np.array(rendering.BODY_COLOURS[0])).all(-1))
    assert robot.sum() > 1000
    assert (here != aside).any(-1).sum() > 500


def test_the_pendulum_points_up_at_zero():
    env, _ = start("Pendulum-v1")
    up, down = rendering.draw_states(env, np.array([[0.0, 0.0], [np.pi, 0.0]]))
    rod = [np.nonzero((frame != np.array(rendering.SKY)).any(-1))[0].mean() for frame in (up, down)]
    assert rod[0] < 120 < rod[1]


def test_mujocos_own_renderer_gives_frames_or_says_what_to_do():
    """In a process of its own, as a broken OpenGL may end the one that asks; which branch depends on the machine."""
    script = (
        "from polygrad_edu import environments\nfrom polygrad_edu.drawing import rendering\n"
        "env = environments.make('InvertedPendulum-v5'); env.reset(seed=0)\n"
        "state = environments.get_simulator_state(env)[None]\n"
        "try: (frame,) = rendering.draw_states(env, state, renderer='mujoco'); print(frame.shape, frame.std() > 1)\n"
        "except OSError as error: print('refused:', error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    printed = done.stdout.strip().splitlines()
    assert len(printed) == 1, done.stderr
    assert printed[0] == "(240, 320, 3) True" or ("refused:" in printed[0] and "use the renderer drawn" in printed[0])


def test_an_unknown_renderer_is_refused():
    env, state = start("InvertedPendulum-v5")
    with pytest.raises(ValueError, match="drawn or mujoco"):
        rendering.draw_states(env, state[None], renderer="crayon")


def test_a_task_that_nobody_has_drawn_is_shown_by_its_numbers():
    class Own(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1, 1, (3,))

        def __init__(self):
            self.state = np.zeros(3)

    env = Own()
    observations = np.array([[0.0, 0.0, 0.0], [1.0, -1.0, 30.0]])
    states = poses.states_from_observations(env, env.state, observations)
    calm, lively = rendering.draw_states(env, states, 90, 60)
    assert calm.shape == lively.shape == (60, 90, 3)
    columns = (lively != calm).any(axis=2)  # what moved
    assert columns[:28, :30].any()  # up
    assert not columns[:28, 32:58].any()
    assert columns[32:, 32:58].any()  # down
    assert columns[:5, 62:].any()  # far up, and still in the picture


def test_the_point_mass_is_where_it_is():
    env = environments.make("polygrad_edu/PointMass-v0")
    env.reset(seed=0)
    places = ((-0.7, 0.0), (0.7, 0.5), (0.0, -0.6))
    frames = rendering.draw_states(env, np.array([[*place, 0, 0] for place in places]), 80, 80)
    for (x, y), frame in zip(places, frames, strict=True):
        rows, columns = np.nonzero((frame[8:72, 8:72].astype(int) - rendering.GROUND)[..., 0] < -40)
        assert columns.mean() + 8 == pytest.approx(40 + 36 * x, abs=1.5)
        assert rows.mean() + 8 == pytest.approx(40 - 36 * y, abs=1.5)
