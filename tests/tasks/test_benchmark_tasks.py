import importlib

import gymnasium
import mujoco
import numpy as np
import pytest

from polygrad_edu import environments
from polygrad_edu.drawing import poses, rendering
from polygrad_edu.tasks import benchmark_tasks

EARLY = {f"polygrad_edu/{name}-ET-v0": size for name, size in (("Walker2d", 17), ("Ant", 27), ("Humanoid", 45))}
PENDULUM = "polygrad_edu/PendulumNoVelocity-v0"
HANGING = "polygrad_edu/HangingPendulumNoVelocity-v0"
REPLAYED_EXACTLY = [
    *EARLY,
    PENDULUM,
    HANGING,
    "Hopper-v5",
    "Walker2d-v5",
    "HalfCheetah-v5",
    "Reacher-v5",
    "Pendulum-v1",
    "Ant-v5",
    "Humanoid-v5",
]


def walked(env_id, steps=8, seed=1):
    """A task some random steps into an episode, its observation and its random numbers."""
    env, random = environments.make(env_id), np.random.default_rng(0)
    observation, _ = env.reset(seed=seed)
    for _ in range(steps):
        observation, _, terminal, _, _ = env.step(random.uniform(-1, 1, env.action_space.shape))
        assert not terminal
    return env, observation, random


@pytest.mark.parametrize("env_id", REPLAYED_EXACTLY)
def test_a_state_that_was_read_leads_to_the_same_future(env_id):
    env, observation, random = walked(env_id)
    state = environments.get_simulator_state(env)
    actions = random.uniform(-1, 1, (5, *env.action_space.shape))
    seen, rewards = [observation], []
    for action in actions:
        observation, reward, _, _, _ = env.step(action)
        seen.append(observation)
        rewards.append(reward)
    replayed = environments.replay_actions(env, state, actions)
    np.testing.assert_allclose(replayed["observations"], seen[:-1], atol=1e-6)  # Reacher's are float32 differences
    np.testing.assert_allclose(replayed["rewards"], rewards, atol=1e-12)


def expected_reward(env_id, before, action, own):
    """The benchmark's formulas, from the state before the step."""
    positions, velocities, forces = before
    cost = 0.1 * (own**2).sum()
    if "Walker2d" in env_id:
        return velocities[0] - 3 * (positions[1] - 1.3) ** 2 - cost + 1
    if "Ant" in env_id:
        return velocities[0] - 3 * (positions[2] - 0.57) ** 2 - cost + 1
    return 0.25 / 0.015 * velocities[0] + 5 - cost - min(5e-7 * (forces**2).sum(), 10)


@pytest.mark.parametrize("env_id", EARLY)
def test_rewards_are_the_benchmarks(env_id):
    env, _, random = walked(env_id, steps=3)
    task = env.unwrapped
    assert env.observation_space.shape == (EARLY[env_id],)
    for _ in range(5):
        before = task.data.qpos.copy(), task.data.qvel.copy(), task.data.cfrc_ext.copy()
        action = random.uniform(-1, 1, env.action_space.shape)
        _, reward, _, _, _ = env.step(action)
        own = action * task.action_space.high  # -1 to 1 span the task's symmetric range
        assert reward == pytest.approx(expected_reward(env_id, before, action, own), abs=1e-6)


@pytest.mark.parametrize(
    ("env_id", "place", "inside", "outside"),
    [
        ("polygrad_edu/Walker2d-ET-v0", 1, (0.85, 1.95), (0.75, 2.1)),
        ("polygrad_edu/Walker2d-ET-v0", 2, (-0.9, 0.9), (-1.05, 1.05)),
        ("polygrad_edu/Ant-ET-v0", 2, (0.25, 0.95), (0.15, 1.05)),
        ("polygrad_edu/Humanoid-ET-v0", 2, (1.05, 1.95), (0.95, 2.05)),
    ],
)
def test_episodes_end_at_the_benchmarks_limits(env_id, place, inside, outside):
    env = environments.make(env_id)
    env.reset(seed=0)
    task = env.unwrapped
    task.model.opt.gravity[:] = 0  # so that nothing but the state set here decides
    for value, over in [*((v, False) for v in inside), *((v, True) for v in outside)]:
        env.reset(seed=0)
        task.data.qpos[2 if "Walker" not in env_id else 1] = 1.3 if "Ant" not in env_id else 0.6
        task.data.qpos[place] = value
        task.data.qvel[:] = 0
        mujoco.mj_forward(task.model, task.data)
        task.do_simulation = lambda action, frames: None  # judge exactly this state
        _, _, terminal, truncated, _ = task.step(np.zeros(task.action_space.shape))
        assert (terminal, truncated) == (over, False), (value, over)
        del task.do_simulation
    task.do_simulation = lambda action, frames: task.data.qvel.fill(np.nan)
    env.reset(seed=0)
    assert task.step(np.zeros(task.action_space.shape))[2]


@pytest.mark.parametrize(("env_id", "steps"), [*((env_id, 1000) for env_id in EARLY), (PENDULUM, 200)])
def test_episodes_are_cut_off_after_their_time(env_id, steps):
    assert gymnasium.spec(env_id).max_episode_steps == steps
    if env_id == PENDULUM:
        env = environments.make(env_id)
        env.reset(seed=0)
        ends = [env.step(np.zeros(1))[2:4] for _ in range(steps)]
        assert ends == [(False, False)] * (steps - 1) + [(False, True)]


@pytest.mark.parametrize(("angle", "velocity", "torque"), [(np.pi, 0, 0), (0, 0, 0), (2.0, 0.7, 0.5), (-1.0, 3.0, 1)])
def test_the_hanging_pendulum_has_the_benchmarks_reward(angle, velocity, torque):
    env = environments.make(HANGING)
    env.reset(seed=0)
    env.unwrapped.state = np.array([angle, velocity], dtype=float)
    _, reward, _, _, _ = env.step(np.array([torque], np.float32))  # -1 to 1 span the motor's range of -2 to 2
    x, y = np.sin(angle), np.cos(angle)
    assert reward == pytest.approx(-y - 0.1 * abs(x) - 0.1 * velocity**2 - 0.001 * (2 * torque) ** 2, abs=1e-6)


def test_hanging_still_earns_one_a_step():
    env = environments.make(HANGING)
    env.reset(seed=0)
    env.unwrapped.state = np.array([np.pi, 0.0])
    rewards = []
    over = False
    while not over:
        _, reward, _, over, _ = env.step(np.zeros(1, np.float32))
        rewards.append(reward)
    assert len(rewards) == 200
    assert sum(rewards) == pytest.approx(200, abs=1e-6)


def test_the_pendulum_shows_its_last_three_angles():
    env = environments.make(PENDULUM)
    observation, _ = env.reset(seed=3)
    angles = [env.unwrapped.state[0]]
    np.testing.assert_allclose(observation, np.tile([np.cos(angles[0]), np.sin(angles[0])], 3), atol=1e-6)
    for _ in range(4):
        observation, _, _, _, _ = env.step(np.ones(1))
        angles.append(env.unwrapped.state[0])
        last = np.array(([angles[0]] * 3 + angles[1:])[-3:])
        np.testing.assert_allclose(observation, np.stack([np.cos(last), np.sin(last)], axis=1).ravel(), atol=1e-6)


def test_what_is_imagined_of_it_can_be_drawn():
    env, observation, random = walked(PENDULUM)
    observations, states = [], []
    for _ in range(6):
        observations.append(observation)
        states.append(environments.get_simulator_state(env))
        observation, _, _, _, _ = env.step(random.uniform(-1, 1, 1))
    shown = poses.states_from_observations(env, states[0], np.array(observations))
    turned = (shown[:, 0] - np.array(states)[:, 0] + np.pi) % (2 * np.pi) - np.pi
    np.testing.assert_allclose(turned, 0, atol=1e-5)
    np.testing.assert_allclose(shown[:, 1], np.array(states)[:, 1], atol=1e-4)
    frames = rendering.draw_states(env, shown)
    assert len(frames) == 6
    assert not np.array_equal(frames[0], frames[-1])


@pytest.mark.parametrize("env_id", [*EARLY, PENDULUM])
def test_a_snapshot_goes_on_as_the_first_would_have(env_id):
    env, _, _ = walked(env_id)
    taken = environments.snapshot(env)
    going_on = [env.step(np.full(env.action_space.shape, 0.1))[0] for _ in range(3)]
    again = environments.make(env_id)
    environments.restore(again, taken)
    np.testing.assert_allclose(
        [again.step(np.full(env.action_space.shape, 0.1))[0] for _ in range(3)], going_on, atol=1e-9
    )


def test_registering_twice_is_harmless(recwarn):
    importlib.reload(benchmark_tasks)
    assert not [warning for warning in recwarn if "registered" in str(warning.message)]
