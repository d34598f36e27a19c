import functools
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch

from polygrad_edu import environments
from polygrad_edu.collector import make_collector, start_seeds

HOPPER = functools.partial(environments.make, "Hopper-v5")


@pytest.fixture(scope="module")
def parallel():
    collector = make_collector(HOPPER, 7, 3)
    yield collector
    collector.close()


def play(collector, steps, seed=0):
    drawn = np.random.default_rng(seed)
    played = []
    for _ in range(steps):
        collector.send(drawn.uniform(-1, 1, (collector.n_envs, 3)).astype(np.float32))
        played.append(collector.receive())
    return played


def test_parallel_environments_do_what_each_does_alone(parallel):
    """Same seeds, same actions: the same numbers, past the ends of episodes."""
    start = parallel.snapshot(), parallel.observations.copy()
    played = play(parallel, 120)
    assert sum(step.terminals.sum() for step in played) >= 3
    for place in range(3):
        alone = make_collector(HOPPER, start_seeds(7, 3)[place], 1)
        for step in played:
            alone.send(step.actions[place : place + 1])
            own = alone.receive()
            for name, value in own._asdict().items():
                np.testing.assert_array_equal(value[0], getattr(step, name)[place], err_msg=name)
        np.testing.assert_array_equal(alone.observations[0], parallel.observations[place])
        alone.close()
    parallel.restore(*start)


@pytest.mark.parametrize("n_envs", [1, 3])
def test_where_a_step_led_is_known_also_when_the_episode_ended(n_envs, parallel):
    """Hopper falls below a height of 0.7 or beyond an angle of 0.2; after the reset it stands at about 1.25."""
    collector = make_collector(HOPPER, 7, 1) if n_envs == 1 else parallel
    for _ in range(3):
        (step,) = play(collector, 1)
        for place in np.flatnonzero(~step.terminals.astype(bool)):
            np.testing.assert_array_equal(collector.reached[place], collector.observations[place])
    ends = 0
    for seed in range(200):
        (step,) = play(collector, 1, seed)
        for place in np.flatnonzero(step.terminals):
            height, angle = collector.reached[place, :2]
            assert height < 0.7 or abs(angle) > 0.2
            assert abs(collector.observations[place, 0] - 1.25) < 0.01
            ends += 1
    assert ends >= 3


def test_a_snapshot_restores_them_in_the_middle_of_an_episode(parallel):
    play(parallel, 7)
    taken, observations = parallel.snapshot(), parallel.observations.copy()
    once = play(parallel, 60, seed=1)
    play(parallel, 5, seed=2)
    parallel.restore(taken, observations)
    again = play(parallel, 60, seed=1)
    for one, other in zip(once, again, strict=True):
        for ours, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_the_stored_simulator_state_is_the_one_before_the_step(parallel):
    env = HOPPER()
    for step in play(parallel, 30):
        for state, observation in zip(step.simulator_states, step.observations, strict=True):
            np.testing.assert_allclose(environments.set_simulator_state(env, state), observation, atol=1e-12)


def test_another_number_of_environments_is_refused(parallel):
    with pytest.raises(ValueError, match="it holds 1 environments, this run has 3"):
        parallel.restore([{}], np.zeros((1, 11)))


class InPlace(gymnasium.Env):
    """Returns its own array, of whole numbers after a reset, and changes it in place."""

    observation_space = gymnasium.spaces.Box(-100, 100, (2,), np.int64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = np.array([1.5, -2.5])
        return np.array([1, -2]), {}

    def step(self, action):
        self.state *= 0.9
        self.state += 0.1 * action[0]
        return self.state, np.array([0.5]), False, False, {}


gymnasium.register("InPlace-v0", InPlace, max_episode_steps=7)


def make_in_place():
    return environments.make("InPlace-v0")


def test_what_is_stored_is_what_was_shown_at_that_moment():
    collector = make_collector(make_in_place, 0, 1)
    shown, stored = [], []
    for _ in range(6):
        shown.append(collector.observations[0].copy())
        collector.send(np.array([[0.3]], np.float32))
        stored.append(collector.receive())
    np.testing.assert_array_equal(np.concatenate([step.observations for step in stored]), shown)
    np.testing.assert_array_equal(shown[0], [1, -2])
    np.testing.assert_allclose(shown[1], [1.5 * 0.9 + 0.03, -2.5 * 0.9 + 0.03])
    assert stored[0].rewards.tolist() == [0.5]
    collector.close()


def test_evaluation_shows_the_policy_no_numbers_cut_to_whole_ones():
    seen = []

    def policy(observations):
        seen.append(observations.numpy().copy())
        return torch.distributions.Normal(torch.zeros(len(observations), 1), 1.0)

    environments.evaluate(make_in_place, policy, 1, 0)
    np.testing.assert_allclose(seen[1], [[1.35, -2.25]], rtol=1e-6)


def test_no_two_environments_of_any_runs_begin_alike():
    seeds = [seed for run in range(50) for seed in start_seeds(run, 8)]
    seeds += [start + i for start in (1_000_000, 2_000_000) for i in range(1_000)]  # evaluations and reports
    assert len(set(seeds)) == len(seeds)
    assert start_seeds(7, 1) == [7]
    assert start_seeds(7, 5) == start_seeds(7, 8)[:5]


def test_environments_in_processes_that_do_not_know_the_task_are_told_so():
    code = (
        "import gymnasium, numpy as np\n"
        "from polygrad_edu.collector import make_collector\n"
        "from polygrad_edu import environments\n"
        "class T(gymnasium.Env):\n"
        "    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)\n"
        "    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)\n"
        "    state = np.zeros(2)\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        super().reset(seed=seed)\n"
        "        return np.zeros(2, np.float32), {}\n"
        "    def step(self, a): return np.zeros(2, np.float32), 0.0, False, False, {}\n"
        "gymnasium.register('T-v0', T, max_episode_steps=50)\n"
        "make_collector(lambda: environments.make('T-v0'), 0, 2)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "InputError: an environment's process could not make the task" in done.stderr
