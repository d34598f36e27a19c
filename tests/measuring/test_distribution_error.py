"""Scores of distributions against what they are in closed form for Gaussians, and parts of a variance."""

import math

import numpy as np
import pytest
from scipy import stats

from polygrad_edu.measuring.distribution_error import (
    branches,
    crps,
    energy_distance,
    energy_score,
    mean_distance,
    spread,
    variance_parts,
)


def normal(*shape, seed=0, mean=0.0, std=1.0):
    return mean + std * np.random.default_rng(seed).standard_normal(shape)


def gaussian_crps(z):
    """CRPS of N(0, 1) at z (Gneiting and Raftery 2007, equation 5)."""
    return z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi)


@pytest.mark.parametrize("value", [0.0, 0.7, -2.0])
def test_crps_of_a_gaussian_is_its_closed_form(value):
    assert crps(normal(4000), np.array([value])) == pytest.approx(gaussian_crps(value), abs=0.04)


def test_estimates_are_unbiased_with_few_samples():
    estimates = [crps(normal(3, seed=seed), np.array([0.7])) for seed in range(8000)]
    error = np.std(estimates) / math.sqrt(len(estimates))
    assert np.mean(estimates) == pytest.approx(gaussian_crps(0.7), abs=4 * error)


def test_mean_distance_of_gaussians_in_one_and_two_dimensions():
    # E|X - X'| = 2 / \sqrt\pi in one dimension, \sqrt\pi in two
    assert mean_distance(normal(3000, 1)) == pytest.approx(2 / math.sqrt(math.pi), rel=0.04)
    assert mean_distance(normal(3000, 2)) == pytest.approx(math.sqrt(math.pi), rel=0.04)


def test_the_energy_score_in_two_dimensions_at_the_middle():
    # E|X| - E|X - X'| / 2 = \sqrt{\pi / 2} - \sqrt\pi / 2
    found = energy_score(normal(4000, 2), np.zeros((1, 2)))
    assert found == pytest.approx(math.sqrt(math.pi / 2) - math.sqrt(math.pi) / 2, abs=0.03)


def test_the_energy_distance_is_0_for_the_truth_and_its_closed_form_for_a_shift():
    same = [energy_distance(normal(40, 2, seed=s), normal(40, 2, seed=s + 9999)) for s in range(400)]
    assert np.mean(same) == pytest.approx(0, abs=4 * np.std(same) / 20)
    # N(0, 1) and N(1, 1): 2 E|N(1, 2)| - 2 \cdot 2 / \sqrt\pi
    folded = 2 / math.sqrt(math.pi) * math.exp(-1 / 4) + math.erf(1 / 2)
    found = energy_distance(normal(4000, 1), normal(4000, 1, seed=1, mean=1))
    assert found == pytest.approx(2 * folded - 4 / math.sqrt(math.pi), abs=0.05)


def test_the_score_is_best_for_the_true_spread():
    real = normal(2000, 1, seed=1)
    scores = [energy_score(normal(2000, 1, std=std), real) for std in (0.5, 1.0, 2.0)]
    assert min(scores) == scores[1]


def test_spread_is_that_among_futures_of_one_start():
    values = 100 * np.arange(30)[:, None, None] + normal(30, 200, 2, std=3)
    assert spread(values) == pytest.approx(3, rel=0.03)


@pytest.mark.parametrize(("constant", "noise"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (2.0, 1.0)])
def test_the_share_within_is_the_noises_part_of_the_variance(constant, noise):
    values = normal(4000, 1, 1, std=constant) + normal(4000, 10, 1, seed=1, std=noise)
    parts = variance_parts(values)
    assert parts.between == pytest.approx(constant**2, abs=0.15 * (constant**2 + noise**2))
    assert parts.within == pytest.approx(noise**2, abs=0.05)
    assert parts.share_within == pytest.approx(noise**2 / (constant**2 + noise**2), abs=0.03)


def test_nothing_hidden_has_no_share():
    assert math.isnan(variance_parts(np.zeros((5, 4, 1))).share_within)


def test_branches_tell_one_side_from_the_average_and_from_a_zigzag():
    drifts = [np.full(6, 1.5), np.full(5, -1.4), np.full(6, 0.1), np.array([1.5, -1.5, 1.5, 1.5])]
    found = branches(drifts, np.array([False, True, False, True]), speed=1.5)
    assert found.one_side == 0.5
    assert found.up == 0.75
    assert found.bang == 0.5
    assert found.bang_fits == 0.75  # the last goes up and has a bang
