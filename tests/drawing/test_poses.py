"""Poses: the states made from observations show just these observations, or the task is said not to be drawn."""

import gymnasium
import numpy as np
import pytest

from polygrad_edu import environments
from polygrad_edu.drawing.poses import CannotDrawError, states_from_observations
from tests.support.every_task import TASKS

DRAWN = [task for task in TASKS if task.endswith(("-v5", "-v4")) and task != "Pusher-v4"]


def played(env_id, steps=6):
    env, random = environments.make(env_id), np.random.default_rng(0)
    shown, _ = env.reset(seed=1)
    states, seen = [environments.get_simulator_state(env)], [np.array(shown, float)]
    for _ in range(steps):
        shown, *_ = env.step(0.1 * random.uniform(-1, 1, env.action_space.shape))
        states.append(environments.get_simulator_state(env))
        seen.append(np.array(shown, float))
    return env, np.array(states), np.array(seen)


@pytest.mark.parametrize("env_id", DRAWN)
def test_a_pose_is_the_one_that_was_seen(env_id):
    env, states, seen = played(env_id)
    found = states_from_observations(env, states[0], seen)
    assert found.shape == states.shape
    size = env.unwrapped.model.nq
    positions, real = found[:, 1 : 1 + size], states[:, 1 : 1 + size]
    # Travelled distances are summed up from speeds; angles may differ by whole turns.
    turns = 2 * np.pi * np.round((positions - real) / (2 * np.pi))
    np.testing.assert_allclose(positions - turns, real, atol=0.06)
    np.testing.assert_allclose(positions[0] - turns[0], real[0], atol=1e-9)


def test_the_pusher_moves_its_object():
    env, states, seen = played("Pusher-v5")
    seen[1, 17] += 0.2  # the object is seen further to the right
    found = states_from_observations(env, states[0], seen)
    assert found[1, 1 + 7] == pytest.approx(states[1, 1 + 7] + 0.2, abs=1e-9)


def test_a_robot_behind_a_wrapper_is_not_drawn_and_said_so():
    def turned():
        env = gymnasium.make("Hopper-v5", max_episode_steps=-1)
        few = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float64)
        return gymnasium.wrappers.TransformObservation(env, lambda seen: seen[:3], few)

    gymnasium.register("HopperInParts-v0", turned, max_episode_steps=50)
    env, states, seen = played("HopperInParts-v0")
    with pytest.raises(CannotDrawError, match="too few numbers"):
        states_from_observations(env, states[0], seen)


def test_of_a_task_of_ones_own_the_observation_is_drawn():
    env, states, seen = played("MountainCarContinuous-v0")
    np.testing.assert_array_equal(states_from_observations(env, states[0], seen)[:, -2:], seen)
    plain, states, seen = played("polygrad_edu/PointMass-v0")
    np.testing.assert_array_equal(states_from_observations(plain, states[0], seen), seen)
