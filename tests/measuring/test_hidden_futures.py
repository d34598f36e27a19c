"""Futures of hidden worlds: episodes to learn from, real futures, and what explains a path."""

import numpy as np
import pytest

from polygrad_edu.measuring.hidden_futures import (
    POLICY_STD,
    hidden_variance,
    real_futures,
    record_episodes,
    sides,
    steps_before_drift,
)
from polygrad_edu.tasks.hidden_worlds import (
    EPISODE_STEPS,
    Fork,
    GustyPointMass,
    HiddenVelocityPendulum,
    WindyPointMass,
)


def test_real_futures_share_their_first_observation_and_nothing_else():
    real, again = (real_futures(WindyPointMass, 3, 20, 10, seed=0, drawn_again=drawn) for drawn in (False, True))
    assert np.array_equal(real.positions[:, :, 0], again.positions[:, :, 0])
    assert (np.ptp(real.positions[:, :, 0], axis=1) == 0).all()
    assert len(np.unique(real.positions[:, :, 1, 0])) == 60
    assert not np.isin(real.positions[:, :, 1], again.positions[:, :, 1]).any()
    repeated = real_futures(WindyPointMass, 3, 20, 10, seed=0)
    assert np.array_equal(real.positions, repeated.positions)


def test_episodes_are_whole_and_the_policy_answers_nothing():
    data = record_episodes(WindyPointMass, 200, seed=1)
    assert data.longest_episode == EPISODE_STEPS
    assert data.actions.std() == pytest.approx(POLICY_STD, rel=0.05)
    drift = WindyPointMass.implied_drift(
        data.observations.reshape(200, 16, 2).astype(float), data.actions.reshape(200, 16, 2)
    )
    assert np.ptp(drift, axis=1).max() < 1e-4
    again = record_episodes(WindyPointMass, 200, seed=1)
    assert np.array_equal(data.observations, again.observations)


def test_the_actions_of_real_futures_are_as_wide_as_they_are_asked_for():
    still = real_futures(Fork, 3, 50, 10, seed=0, policy_std=1e-3)
    assert still.actions.std() == pytest.approx(1e-3, rel=0.1)
    ends = still.positions[:, :, -1, 1] - still.positions[:, :, 0, 1]  # up or down, by as much for one start
    assert np.ptp(np.abs(ends), axis=1).max() < 0.01


@pytest.mark.parametrize(
    ("world", "between"), [(WindyPointMass, WindyPointMass.wind_std**2), (HiddenVelocityPendulum, 1 / 3)]
)
def test_a_hidden_constant_varies_between_futures_alone(world, between):
    found = hidden_variance(world, real_futures(world, 4, 300, 10, seed=0))
    assert found.between == pytest.approx(between, rel=0.15)
    assert found.within < 1e-3 * found.between


def test_gusts_vary_within_futures():
    assert hidden_variance(GustyPointMass, real_futures(GustyPointMass, 2, 200, 10, seed=0)).share_within > 0.95


def test_a_fork_has_two_sides_and_other_worlds_have_none():
    futures = real_futures(Fork, 3, 200, 10, seed=0)
    found = sides(Fork, futures)
    assert found.one_side == found.bang_fits == 1
    assert found.up == pytest.approx(0.5, abs=0.1)
    assert all(2 <= steps <= 3 for steps in steps_before_drift(Fork, futures))
    assert sides(WindyPointMass, real_futures(WindyPointMass, 1, 2, 10, seed=0)) is None


def test_the_pendulum_of_the_indifferent_policy_hardly_gets_so_fast_that_its_speed_is_cut():
    futures = real_futures(HiddenVelocityPendulum, 20, 50, 15, seed=0)
    angles = np.unwrap(np.arctan2(futures.positions[..., 1], futures.positions[..., 0]), axis=-1)
    assert (np.abs(np.diff(angles)) / HiddenVelocityPendulum.dt > 7.99).mean() < 0.005
