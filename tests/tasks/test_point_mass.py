"""The point mass: Newton's law step by step, Gymnasium's own checker, and a state that can be read and set."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from polygrad_edu import environments
from polygrad_edu.tasks.point_mass import PointMass

ID = "polygrad_edu/PointMass-v0"


def test_gymnasium_finds_nothing_to_object_to():
    check_env(gymnasium.make(ID).unwrapped, skip_render_check=True)


def test_without_a_force_friction_shrinks_the_speed_by_the_same_factor_each_step():
    env = gymnasium.make(ID)
    env.reset(seed=0)
    env.unwrapped.state = np.array([0.0, 0.0, 0.4, -0.2])
    for step in range(1, 6):
        observation, *_ = env.step(np.zeros(2))
        factor = (1 - PointMass.friction * PointMass.dt / PointMass.mass) ** step
        assert observation[2:] == pytest.approx([0.4 * factor, -0.2 * factor], rel=1e-6)


def test_a_constant_force_ends_at_the_speed_where_friction_balances_it():
    env = PointMass()
    env.arena = 1e9
    env.reset(seed=0)
    for _ in range(2000):
        observation, *_ = env.step(np.array([0.5, -1.0]))
    assert observation[2:] == pytest.approx(np.array([0.5, -1.0]) * env.force / env.friction, rel=1e-4)


def test_an_action_beyond_the_range_pushes_no_harder():
    ends = []
    for action in (1.0, 7.0):
        env = PointMass()
        env.reset(seed=3)
        ends.append(env.step(np.array([action, -action]))[0])
    assert np.array_equal(*ends)


def test_it_ends_outside_and_the_middle_is_best():
    env = PointMass()
    env.reset(seed=0)
    env.state = np.array([0.99, 0.0, 2.0, 0.0])
    *_, reward, terminated, truncated, _ = env.step(np.zeros(2))
    assert terminated
    assert not truncated
    assert reward < 0
    env.state = np.zeros(4)
    assert env.step(np.zeros(2))[1] == 1


def test_its_state_can_be_read_set_and_replayed():
    env = environments.make(ID)
    env.reset(seed=5)
    state = environments.get_simulator_state(env).copy()
    actions = np.random.default_rng(0).uniform(-1, 1, (4, 2)).astype(np.float32)
    first = environments.replay_actions(env, state, actions)["observations"]
    env.step(np.ones(2, np.float32))
    again = environments.replay_actions(env, state, actions)["observations"]
    assert np.array_equal(first, again)
