"""Wrappers of a task: what they remember is saved with the simulator's state, or the task is refused by name."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces, wrappers

from polygrad_edu import environments
from polygrad_edu.files.input_error import InputError
from polygrad_edu.tasks.wrappers import get_memory, memory_slots, set_memory

ANY = spaces.Box(-np.inf, np.inf, (3,), np.float32)


def pendulum():
    return gymnasium.make("Pendulum-v1", max_episode_steps=-1)


class Drifting(gymnasium.Wrapper):
    """Adds a sum of all actions of the episode to what is seen."""

    def __init__(self, env):
        super().__init__(env)
        self.sum = 0.0

    def reset(self, **options):
        self.sum = 0.0
        return self.env.reset(**options)

    def step(self, action):
        self.sum += float(np.sum(action))
        observation, *rest = self.env.step(action)
        return observation + np.float32(self.sum), *rest


class KeepsAll(gymnasium.Wrapper):
    """Keeps every observation of an episode."""

    def __init__(self, env):
        super().__init__(env)
        self.seen = []

    def step(self, action):
        observation, *rest = self.env.step(action)
        self.seen.append(observation)
        return observation, *rest


class OwnNoise(gymnasium.ObservationWrapper):
    """Draws noise from a generator of its own."""

    def __init__(self, env):
        super().__init__(env)
        self.own_random = np.random.default_rng(0)

    def observation(self, observation):
        return observation + self.own_random.normal(size=3).astype(np.float32)


GOOD = {
    "Scaled": lambda: wrappers.TransformObservation(pendulum(), lambda o: (10 * o + 5).astype(np.float32), ANY),
    "Rescaled": lambda: wrappers.RescaleObservation(
        wrappers.TransformObservation(pendulum(), lambda o: o, spaces.Box(-8, 8, (3,), np.float32)), -1.0, 1.0
    ),
    "Timed": lambda: wrappers.TimeAwareObservation(gymnasium.make("Pendulum-v1")),
    "Stacked": lambda: wrappers.FlattenObservation(wrappers.FrameStackObservation(pendulum(), 4, padding_type="reset")),
    "Drifting": lambda: Drifting(pendulum()),
    "Skipping": lambda: wrappers.MaxAndSkipObservation(pendulum(), 2),
    "Hopper": lambda: wrappers.TimeAwareObservation(gymnasium.make("Hopper-v5")),
}
BAD = {
    "Normalised": (lambda: wrappers.NormalizeObservation(pendulum()), "NormalizeObservation gathers statistics"),
    "Rewarded": (lambda: wrappers.NormalizeReward(pendulum()), "NormalizeReward gathers statistics"),
    "KeepsAll": (lambda: KeepsAll(pendulum()), "KeepsAll remembers a changing number of things"),
    "OwnNoise": (lambda: OwnNoise(pendulum()), "OwnNoise remembers something that cannot be saved"),
    "Delayed": (lambda: wrappers.DelayObservation(pendulum(), 2), "DelayObservation remembers a changing number"),
}
for name, make in GOOD.items():
    gymnasium.register(f"Wrapped{name}-v0", make, max_episode_steps=60)
for name, (make, _) in BAD.items():
    gymnasium.register(f"Wrapped{name}-v0", make, max_episode_steps=60)


def played(name, steps, seed=0):
    env, random = environments.make(f"Wrapped{name}-v0"), np.random.default_rng(seed)
    shown, _ = env.reset(seed=seed)
    for _ in range(steps):
        shown, *_ = env.step(random.uniform(-1, 1, env.action_space.shape).astype(np.float32))
    return env, np.array(shown)


@pytest.mark.parametrize("name", GOOD)
def test_a_state_shows_what_the_task_showed(name):
    env, shown = played(name, 5)
    state = environments.get_simulator_state(env)
    other, _ = played(name, 3, seed=1)
    np.testing.assert_array_equal(environments.set_simulator_state(other, state), shown)
    np.testing.assert_array_equal(environments.get_simulator_state(other), state)


@pytest.mark.parametrize("name", GOOD)
def test_actions_replayed_from_a_state_do_what_they_did(name):
    env, shown = played(name, 4)
    state = environments.get_simulator_state(env)
    actions = np.random.default_rng(2).uniform(-1, 1, (5, *env.action_space.shape)).astype(np.float32)
    seen, paid = [shown], []
    for action in actions:
        observation, reward, *_ = env.step(action)
        seen.append(np.array(observation))
        paid.append(reward)
    replayed = environments.replay_actions(environments.make(f"Wrapped{name}-v0"), state, actions)
    np.testing.assert_array_equal(replayed["observations"], np.array(seen[:-1], dtype=np.float64))
    np.testing.assert_array_equal(replayed["rewards"], paid)


@pytest.mark.parametrize("name", GOOD)
def test_an_environment_goes_on_from_its_snapshot(name):
    env, _ = played(name, 5)
    taken = environments.snapshot(env)
    other, _ = played(name, 9, seed=3)
    environments.restore(other, taken)
    for step in range(70):  # past the end of the episode
        action = np.full(env.action_space.shape, 0.1 * (step % 7) - 0.3, dtype=np.float32)
        one, another = env.step(action), other.step(action)
        np.testing.assert_array_equal(one[0], another[0])
        assert one[1:4] == another[1:4]
        if one[2] or one[3]:
            np.testing.assert_array_equal(env.reset()[0], other.reset()[0])


@pytest.mark.parametrize(("name", "words"), [(name, words) for name, (_, words) in BAD.items()])
def test_what_cannot_be_saved_is_refused_by_name(name, words):
    with pytest.raises(InputError, match=words) as error:
        environments.make(f"Wrapped{name}-v0")
    assert "\n" not in str(error.value)


def test_memory_comes_back_in_its_own_types():
    class Rich(gymnasium.Wrapper):
        def __init__(self, env):
            super().__init__(env)
            self.count, self.flag, self.pair, self.table = 0, False, (0, 0.5), np.zeros((2, 2), np.float32)

        def step(self, action):
            self.count += 1
            self.flag = not self.flag
            self.pair = (self.count, self.count / 2)
            self.table = self.table + np.float32(1.5)
            return self.env.step(action)

    env = Rich(gymnasium.make("Pendulum-v1"))
    slots = memory_slots(env)
    assert {slot.attribute for slot in slots} == {"count", "flag", "pair", "table"}
    taken = get_memory(env, slots)
    before = (env.count, env.flag, env.pair, env.table.copy())
    env.step(np.zeros(1, np.float32))
    set_memory(env, slots, taken)
    assert (env.count, env.flag, env.pair) == before[:3]
    assert type(env.count) is int
    assert type(env.flag) is bool
    np.testing.assert_array_equal(env.table, before[3])
    assert env.table.dtype == np.float32
