"""Scores: words are right or wrong, shares count by distance, numbers by factor where they are large."""

import math

import pytest

from polygrad_edu.course.scoring import calibration, points, verdict


@pytest.mark.parametrize(
    ("guess", "actual", "expected"),
    [
        ("up", "up", 1),
        ("up", "down", 0),
        (3, 3.0, 1),
        (0, 0, 1),
        (1000, 10, 0),
        (-44, 44, 0),
        (40_000, 4_000, 0),
        (4_000 * math.sqrt(10), 4_000, 0.5),
        (4_000 / math.sqrt(10), 4_000, 0.5),
    ],
)
def test_a_large_number_is_judged_by_the_factor_it_is_off_by(guess, actual, expected):
    assert points(guess, actual) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("guess", "actual"), [(0.01, 0), (-0.01, 0), (0, 0.05), (0.05, 0)])
def test_a_number_near_zero_is_judged_by_the_difference(guess, actual):
    assert points(guess, actual) > 0.95


@pytest.mark.parametrize(
    ("guess", "actual", "between", "expected"),
    [
        (0.0, 0.05, (0, 1), 0.8),
        (0.01, 0, (0, 1), 0.96),
        (0.5, 0.913, (0, 1), 0),
        (50, 45, (0, 100), 0.8),
        (1, 0.5, (0, 2), 0),
    ],
)
def test_in_a_range_the_distance_counts(guess, actual, between, expected):
    assert points(guess, actual, between) == pytest.approx(expected)


def test_verdicts():
    assert verdict(1.0) == "Right."
    assert verdict(0.8) == "Near."
    assert verdict(0.5).startswith("Off")


def test_calibration_sets_how_sure_beside_how_often_near_and_tells_the_side_of_errors():
    compared = [
        {"guess": 3, "actual": 4, "points": 0.9, "sure": 95},
        {"guess": 9, "actual": 4, "points": 0.2, "sure": 95},
        {"guess": "up", "actual": "up", "points": 1.0, "sure": 50},
        {"guess": 4, "actual": 4, "points": 0.0, "sure": 50, "late": True},
    ]
    assert calibration(compared) == [
        "50% sure: 1 of 1 near (100%)",
        "95% sure: 1 of 2 near (50%)",
        "Of 2 numbers, 1 were guessed too high and 1 too low.",
    ]
    assert calibration([]) == []
