import functools

import numpy as np
import pytest

from polygrad_edu import environments
from polygrad_edu.collector import make_collector

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
        alone = make_collector(HOPPER, 7 + place, 1)
        for step in played:
            alone.send(step.actions[place : place + 1])
            own = alone.receive()
            for name, value in own._asdict().items():
                np.testing.assert_array_equal(value[0], getattr(step, name)[place], err_msg=name)
        np.testing.assert_array_equal(alone.observations[0], parallel.observations[place])
        alone.close()
    parallel.restore(*start)


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
