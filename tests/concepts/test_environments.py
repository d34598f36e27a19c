import gymnasium
import numpy as np
import pytest
import torch
from torch.distributions import Normal

from polygrad_edu import environments
from polygrad_edu.drawing import poses
from polygrad_edu.files.input_error import InputError
from polygrad_edu.presets import PRESETS

TASKS = sorted({preset.task.env_id for preset in PRESETS.values()})


def walk(env, n, seed=0):
    """n random steps; the simulator's state before each, the actions, and what came back."""
    rng = np.random.default_rng(seed)
    states, actions, outcomes = [], [], []
    for _ in range(n):
        states.append(environments.get_simulator_state(env))
        actions.append(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32))
        outcomes.append(env.step(actions[-1]))
    return states, np.array(actions), outcomes


@pytest.mark.parametrize("env_id", TASKS)
def test_actions_replayed_from_a_stored_state_do_the_same_to_the_last_bit(env_id):
    env = environments.make(env_id)
    env.reset(seed=3)
    states, actions, outcomes = walk(env, 12)
    other = environments.make(env_id)
    other.reset(seed=99)
    again = environments.replay_actions(other, states[4], actions[4:])
    for row, outcome in enumerate(outcomes[4:]):
        assert again["rewards"][row] == outcome[1]
        assert again["terminals"][row] == outcome[2]
        if outcome[2]:
            break
        if row + 5 < len(states):
            np.testing.assert_array_equal(again["states"][row + 1], states[row + 5])
            np.testing.assert_array_equal(again["observations"][row + 1], outcome[0])


@pytest.mark.parametrize("env_id", TASKS)
def test_states_and_observations_agree(env_id):
    env = environments.make(env_id)
    observation, _ = env.reset(seed=1)
    state = environments.get_simulator_state(env)
    np.testing.assert_allclose(environments.set_simulator_state(env, state), observation, atol=1e-6)
    _, _, outcomes = walk(env, 5)
    observations = np.array([observation] + [outcome[0] for outcome in outcomes])
    shown = poses.states_from_observations(env, state, observations)
    for imagined, seen in zip(shown, observations, strict=True):
        there = environments.set_simulator_state(env, imagined)
        if env_id == "Reacher-v5":  # its fingertip is seen one simulation step late
            there, seen = there[:8], seen[:8]
        if env_id == "Humanoid-v5":  # beyond positions and velocities stand inertias and forces, of the step before
            there, seen = there[:45], seen[:45]
        np.testing.assert_allclose(there, seen, atol=1e-6)


@pytest.mark.parametrize("env_id", TASKS)
def test_a_restored_snapshot_has_the_same_future_beyond_the_next_reset(env_id):
    env, other = environments.make(env_id), environments.make(env_id)
    env.reset(seed=5)
    walk(env, 7)
    environments.restore(other, environments.snapshot(env))
    for seed in (1, 2):
        for ours, theirs in zip(walk(env, 3, seed)[2], walk(other, 3, seed)[2], strict=True):
            np.testing.assert_array_equal(ours[0], theirs[0])
            assert ours[1:4] == theirs[1:4]
        np.testing.assert_array_equal(env.reset()[0], other.reset()[0])


def test_a_snapshot_keeps_the_time_left():
    env, other = environments.make("Pendulum-v1"), environments.make("Pendulum-v1")
    env.reset(seed=0)
    walk(env, 198)
    environments.restore(other, environments.snapshot(env))
    assert [outcome[3] for outcome in walk(other, 2)[2]] == [False, True]


def test_actions_are_scaled_and_clipped():
    def applied(scale, action):
        env = environments.make("InvertedPendulum-v5", scale)
        env.reset(seed=0)
        env.step(np.array([action], dtype=np.float32))
        return env.unwrapped.data.ctrl[0]

    assert applied(1.0, 0.5) == pytest.approx(1.5)
    assert applied(1.0, 7.0) == pytest.approx(3.0)
    assert applied(1 / 3, 0.5) == pytest.approx(0.5)
    assert applied(1 / 3, 7.0) == pytest.approx(3.0)


def test_after_the_end_a_replay_repeats_itself():
    env = environments.make("InvertedPendulum-v5")
    env.reset(seed=0)
    state = environments.get_simulator_state(env)
    real = environments.replay_actions(env, state, np.ones((20, 1), dtype=np.float32))
    end = int(np.argmax(real["terminals"]))
    assert 0 < end < 19
    assert real["terminals"][end:].all()
    assert (real["rewards"][end + 1 :] == 0).all()
    assert (real["observations"][end:] == real["observations"][end]).all()
    assert (real["states"][end:] == real["states"][end]).all()


def test_evaluation_depends_on_the_seed_alone():
    def policy(observations):
        return Normal(-observations[:, 1:2], 1.0)

    def make_env():
        return environments.make("InvertedPendulum-v5")

    torch.manual_seed(0)
    first = environments.evaluate(make_env, policy, 4, seed=7)
    torch.manual_seed(1)
    np.testing.assert_array_equal(environments.evaluate(make_env, policy, 4, seed=7), first)
    np.testing.assert_array_equal(environments.evaluate(make_env, policy, 2, seed=9), first[2:])


def test_older_versions_can_be_asked_for():
    assert environments.make("Hopper-v4").unwrapped.spec.id == "Hopper-v4"


@pytest.mark.parametrize(
    ("env_id", "reason"),
    [
        ("Hoper-v5", "cannot make"),
        ("CartPole-v1", "action space"),
        ("FrozenLake-v1", "action space"),
        ("MountainCarContinuous-v0", None),
    ],
)
def test_other_tasks_are_refused_by_name_or_work(env_id, reason):
    if reason is None:  # keeps its state and has a vector of actions: nothing against it
        assert environments.make(env_id).reset(seed=0)
        return
    with pytest.raises(ValueError, match=env_id) as error:
        environments.make(env_id)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("env_id", ["Hopper-v5", "Pendulum-v1", "polygrad_edu/PointMass-v0"])
def test_copies_that_nobody_seeded_begin_differently(env_id):
    one, other = environments.make(env_id), environments.make(env_id)
    assert not any(np.array_equal(one.reset()[0], other.reset()[0]) for _ in range(5))
    np.testing.assert_array_equal(one.reset(seed=3)[0], other.reset(seed=3)[0])


class Own(gymnasium.Env):
    """A task of one's own as the how-to describes it: a state, and nothing else."""

    def __init__(self, kind=np.float32, low=-1.0, high=1.0, dtype=np.float32):
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = gymnasium.spaces.Box(np.full(2, low), np.full(2, high), dtype=dtype)
        self.kind = kind
        self.state = self.keep(np.zeros(2))

    def keep(self, numbers):
        if self.kind in (tuple, list):
            return self.kind(float(number) for number in numbers)
        return np.array(numbers, dtype=self.kind)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.keep(self.np_random.uniform(-1, 1, 2))
        return np.array(self.state, np.float32) * 2, {}

    def step(self, action):
        self.state = self.keep(0.9 * np.array(self.state) + 0.1 * np.asarray(action))
        return np.array(self.state, np.float32) * 2, 0.0, False, False, {}


def own(name, limit=30, **options):
    gymnasium.register(name, lambda: Own(**options), max_episode_steps=limit)
    return name


@pytest.mark.parametrize("kind", [np.float32, np.float64, tuple, list])
def test_a_state_of_any_kind_comes_back_as_it_was(kind):
    env = environments.make(own("Own-v0", kind=kind))
    env.reset(seed=0)
    states, actions, outcomes = walk(env, 8)
    taken = environments.snapshot(env)
    other = environments.make("Own-v0")
    again = environments.replay_actions(other, states[2], actions[2:])
    np.testing.assert_array_equal(again["observations"][1:], np.array([outcome[0] for outcome in outcomes[2:-1]]))
    environments.restore(other, taken)
    assert type(other.unwrapped.state) is type(env.unwrapped.state)
    np.testing.assert_array_equal(other.unwrapped.state, env.unwrapped.state)
    if kind not in (tuple, list):
        assert other.unwrapped.state.dtype == env.unwrapped.state.dtype
    action = np.full(2, 0.3, np.float32)
    np.testing.assert_array_equal(other.step(action)[0], env.step(action)[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"low": -3, "high": 3, "dtype": np.int64}, "takes whole numbers"),
        ({"low": [0.0, -1.0], "high": [0.0, 1.0]}, "actions that cannot move .dimension 0"),
        ({"low": -np.inf, "high": np.inf}, "unbounded actions"),
        ({"limit": None}, "has no time limit"),
    ],
)
def test_a_task_that_cannot_be_learned_is_refused_in_one_line(options, words):
    with pytest.raises(InputError, match=words) as error:
        environments.make(own("Unfit-v0", **options))
    assert "\n" not in str(error.value)


def test_a_task_registered_anew_is_looked_at_anew():
    with pytest.raises(InputError, match="time limit"):
        environments.make(own("Changing-v0", limit=None))
    environments.make(own("Changing-v0")).reset()
