"""Hidden worlds: their laws, what an observation tells, and states that can be read and set."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from polygrad_edu import environments
from polygrad_edu.drawing.rendering import draw_states
from polygrad_edu.tasks.hidden_worlds import EPISODE_STEPS, Fork, GustyPointMass, HiddenVelocityPendulum, WindyPointMass

WORLDS = (WindyPointMass, GustyPointMass, Fork, HiddenVelocityPendulum)


def id_of(world):
    return f"polygrad_edu/{world.__name__}-v0"


def episode(world, seed, scale=1.0):
    """Positions [17, 2], actions [17, A] (the last is none) and rewards [16] of random actions."""
    env = gymnasium.make(id_of(world))
    observation, _ = env.reset(seed=seed)
    env.action_space.seed(seed)
    positions, actions, rewards, truncated = [observation], [], [], False
    while not truncated:
        actions.append(scale * env.action_space.sample())
        observation, reward, terminal, truncated, _ = env.step(actions[-1])
        positions.append(observation)
        rewards.append(reward)
        assert not terminal
    return np.array(positions, np.float64), np.array([*actions, 0 * actions[0]]), np.array(rewards)


@pytest.mark.parametrize("world", WORLDS)
def test_gymnasium_finds_nothing_to_object_to(world):
    check_env(gymnasium.make(id_of(world)).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("world", WORLDS)
def test_an_episode_lasts_as_long_as_the_longest_window(world):
    assert len(episode(world, 0)[2]) == EPISODE_STEPS


def test_the_wind_is_constant_within_an_episode_and_another_in_the_next():
    winds = []
    for seed in range(300):
        drift = WindyPointMass.implied_drift(*episode(WindyPointMass, seed)[:2])
        assert drift == pytest.approx(np.broadcast_to(drift[0], drift.shape), abs=1e-4)
        winds.append(drift[0])
    winds = np.array(winds)
    assert winds.mean() == pytest.approx(0, abs=4 * WindyPointMass.wind_std / np.sqrt(600))
    assert winds.std() == pytest.approx(WindyPointMass.wind_std, rel=4 / np.sqrt(1200))


def test_gusts_are_independent_from_step_to_step():
    drift = np.array([GustyPointMass.implied_drift(*episode(GustyPointMass, seed)[:2]) for seed in range(200)])
    assert drift.std() == pytest.approx(GustyPointMass.wind_std, rel=0.05)
    assert np.corrcoef(drift[:, :-1].ravel(), drift[:, 1:].ravel())[0, 1] == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("world", WORLDS)
def test_rewards_are_those_that_the_path_earns(world):
    for seed in range(20):
        positions, actions, rewards = episode(world, seed, scale=0.3)
        assert world.rewards_along(positions, actions) == pytest.approx(rewards, abs=2e-4)


def test_the_pendulum_moves_as_gymnasiums_and_its_first_velocity_explains_every_step():
    ours, theirs = gymnasium.make(id_of(HiddenVelocityPendulum)), gymnasium.make("Pendulum-v1")
    for seed in range(5):
        ours.reset(seed=seed)
        theirs.reset(seed=seed)
        cos, sin, velocity = ours.unwrapped.state
        theirs.unwrapped.state = np.array([np.arctan2(sin, cos), velocity])
        places, actions = [[cos, sin]], []
        for _ in range(EPISODE_STEPS):
            actions.append(0.3 * ours.action_space.sample())
            observation, reward, *_ = ours.step(actions[-1])
            true, true_reward, *_ = theirs.step(2 * actions[-1])
            assert observation == pytest.approx(true[:2], abs=1e-6)
            assert reward == pytest.approx(true_reward, abs=1e-6)
            places.append(ours.unwrapped.state[:2])
        drift = HiddenVelocityPendulum.implied_drift(np.array(places), np.array([*actions, actions[0]]))
        assert drift == pytest.approx(np.full((EPISODE_STEPS, 1), velocity), abs=1e-6)


@pytest.mark.parametrize("world", WORLDS)
def test_a_first_observation_tells_nothing_about_the_drift(world):
    first, drifts = [], []
    for seed in range(400):
        positions, actions, _ = episode(world, seed)
        first.append(positions[0])
        drifts.append(world.implied_drift(positions, actions)[-1])
    both = np.corrcoef(np.array(first).T, np.array(drifts)[:, list(world.drift_axes)].T)[:2, 2:]
    assert np.abs(both).max() < 0.2  # four standard errors


def test_a_fork_leads_to_one_side_and_only_one_side_ends_with_a_bang():
    sides = []
    for seed in range(100):
        positions, actions, rewards = episode(Fork, seed)
        drift = Fork.implied_drift(positions, actions)
        before = Fork.steps_before_drift(positions[0])
        assert drift[:before, 1] == pytest.approx(0, abs=1e-4)
        side = np.sign(drift[before, 1])
        assert drift[before:, 1] == pytest.approx(side * Fork.drift_speed, abs=1e-4)
        assert rewards.sum() == (-1 if side < 0 else 0)
        if side < 0:
            at = int(np.flatnonzero(rewards)[0])
            assert positions[at, 0] < Fork.bang_at <= positions[at + 1, 0] + 1e-6
        sides.append(side)
    assert 0.3 < np.mean(np.array(sides) > 0) < 0.7


@pytest.mark.parametrize("world", [WindyPointMass, Fork, HiddenVelocityPendulum])
def test_a_state_with_what_is_hidden_goes_on_to_the_last_bit(world):
    env = environments.make(id_of(world))
    env.reset(seed=3)
    for _ in range(4):
        env.step(np.zeros(env.action_space.shape))
    state = environments.get_simulator_state(env)
    assert len(state) == 2 + world.hidden_size
    actions = np.random.default_rng(0).uniform(-1, 1, (6, *env.action_space.shape))
    first = environments.replay_actions(env, state, actions)
    env.reset(seed=4)
    again = environments.replay_actions(env, state, actions)
    for name, values in first.items():
        assert np.array_equal(values, again[name])


@pytest.mark.parametrize("world", WORLDS)
def test_a_snapshot_goes_on_with_the_same_random_numbers(world):
    env, other = (environments.make(id_of(world)) for _ in range(2))
    env.reset(seed=3)
    taken = environments.snapshot(env)
    environments.restore(other, taken)
    for _ in range(10):
        action = np.full(env.action_space.shape, 0.3)
        assert np.array_equal(env.step(action)[0], other.step(action)[0])


def test_an_action_beyond_the_range_pushes_no_harder():
    state, ends = np.array([0.1, 0.2, 0.5, -0.5]), []
    for size in (1.0, 7.0):
        env = WindyPointMass()
        env.reset(seed=0)
        env.state = state.copy()
        ends.append(env.step(np.array([size, -size]))[0])
    assert np.array_equal(*ends)
    assert WindyPointMass.implied_drift(np.array([state[:2], ends[0]]), np.array([[7.0, -7.0]] * 2)) == pytest.approx(
        np.array([[0.5, -0.5]]), abs=1e-5
    )


@pytest.mark.parametrize("world", WORLDS)
def test_its_mass_is_drawn_where_it_is(world):
    env = environments.make(id_of(world))
    env.reset(seed=0)
    states = np.zeros((2, 2 + world.hidden_size))
    states[:, 0] = -world.arena / 2, world.arena / 2
    left, right = draw_states(env, states, 80, 80)
    columns = np.flatnonzero((left != right).any(axis=(0, 2)))
    assert columns.min() == pytest.approx(40 - 18, abs=5)
    assert columns.max() == pytest.approx(40 + 18, abs=5)
