import imageio_ffmpeg
import numpy as np
import pytest

from polygrad_edu import environments, rendering
from polygrad_edu.presets import PRESETS

TASKS = [*sorted({preset.env_id for preset in PRESETS.values()}), "Ant-v5", "Humanoid-v5"]


def start(env_id):
    env = environments.make(env_id)
    env.reset(seed=1)
    return env, environments.get_simulator_state(env)


def video_frames(path):
    reader = imageio_ffmpeg.read_frames(str(path))
    width, height = next(reader)["size"]
    return [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]


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
    (frame,) = rendering.draw_states(env, environments.states_from_observations(env, state, observation))
    upper = frame[: frame.shape[0] // 2 - 20]
    return np.nonzero((upper != np.array(rendering.SKY)).any(-1))[1].mean()


def test_a_pole_that_leans_right_is_drawn_to_the_right():
    env, state = start("InvertedPendulum-v5")
    left, upright, right = (pole_pixels(env, state, angle) for angle in (-0.3, 0.0, 0.3))
    assert left < upright - 5 < upright + 5 < right
    assert upright == pytest.approx(160, abs=2)


def test_a_cart_at_the_end_of_its_rail_is_still_in_the_picture():
    env, state = start("InvertedPendulum-v5")
    states = environments.states_from_observations(env, state, np.array([[-1.0, 0, 0, 0], [1.0, 0, 0, 0]]))
    for frame in rendering.draw_states(env, states):
        pole = np.nonzero((frame[:90] != np.array(rendering.SKY)).any(-1))[1]
        assert len(pole) > 0
        assert 0 < pole.min() < pole.max() < 319


def test_a_hopper_stands_on_the_ground_and_a_fall_brings_it_down():
    env, state = start("Hopper-v5")
    upright = environments.set_simulator_state(env, state)
    fallen = upright.copy()
    fallen[:2] = 0.3, -1.4  # height and angle
    frames = rendering.draw_states(env, environments.states_from_observations(env, state, np.stack([upright, fallen])))
    tops = []
    for frame in frames:
        robot = (frame != np.array(rendering.SKY)).any(-1)[:, 60:260]
        tops.append(np.nonzero(robot.any(1))[0][0])
    ground = np.nonzero((frames[0][:, 0] != np.array(rendering.SKY)).any(-1))[0][0]
    assert tops[0] < ground - 80
    assert tops[0] + 20 < tops[1]


def test_the_pendulum_points_up_at_zero():
    env, _ = start("Pendulum-v1")
    up, down = rendering.draw_states(env, np.array([[0.0, 0.0], [np.pi, 0.0]]))
    rod = [np.nonzero((frame != np.array(rendering.SKY)).any(-1))[0].mean() for frame in (up, down)]
    assert rod[0] < 120 < rod[1]


def test_mujocos_own_renderer_gives_frames_or_says_what_to_do():
    env, state = start("InvertedPendulum-v5")
    try:
        (frame,) = rendering.draw_states(env, state[None], renderer="mujoco")
    except OSError as error:
        assert "use the renderer drawn" in str(error)
        assert "\n" not in str(error)
    else:
        assert frame.shape == (240, 320, 3)
        assert frame.std() > 1


def test_an_unknown_renderer_is_refused():
    env, state = start("InvertedPendulum-v5")
    with pytest.raises(ValueError, match="drawn or mujoco"):
        rendering.draw_states(env, state[None], renderer="crayon")


def test_captions_and_stacks_add_up():
    frame = np.full((100, 80, 3), 7, np.uint8)
    captioned = rendering.with_caption(frame, "imagined")
    assert captioned.shape == (118, 80, 3)
    assert (captioned[18:] == frame).all()
    assert captioned[:18].min() < 128, "the text is there"
    (stacked,) = rendering.stack_frames([frame], [captioned])
    assert stacked.shape == (100 + 2 + 118, 80, 3)
    with pytest.raises(ValueError, match="1 and 2 frames"):
        rendering.stack_frames([frame], [frame, frame])


@pytest.mark.parametrize("shape", [(48, 64), (49, 63)])
def test_a_video_holds_its_frames(tmp_path, shape):
    bright = [np.full((*shape, 3), value, np.uint8) for value in (20, 120, 220)]
    rendering.write_video(tmp_path / "film.mp4", bright, fps=10)
    frames = video_frames(tmp_path / "film.mp4")
    assert [round(frame.mean() / 100) for frame in frames] == [0, 1, 2]
    assert frames[0].shape == (shape[0] + shape[0] % 2, shape[1] + shape[1] % 2, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_no_frames_no_file(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        rendering.write_video(tmp_path / "film.mp4", [])
    assert not list(tmp_path.iterdir())


def test_a_runs_video_shows_imagined_real_and_episode(tmp_path):
    env, state = start("InvertedPendulum-v5")
    real = environments.replay_actions(env, state, np.ones((10, 1), np.float32))
    segment = {
        "imagined_states": np.repeat(state[None], 10, axis=0),
        "real_states": real["states"],
        "real_terminals": real["terminals"],
    }
    rendering.imagined_and_real_video(env, [segment], np.repeat(state[None], 700, axis=0), tmp_path / "run.mp4")
    frames = video_frames(tmp_path / "run.mp4")
    assert len(frames) == 10 * rendering.HOLD + 234  # 700 states, every third
    above, below = frames[27][: frames[0].shape[0] // 2], frames[27][-frames[0].shape[0] // 2 :]
    assert np.abs(above[20:200].astype(int) - below[20:200].astype(int)).max() > 60, "the simulator's pole has fallen"
