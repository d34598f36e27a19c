"""Lesson 2: the folded solutions are right, the mistakes students make are named."""

import pytest
import torch

from polygrad_edu.checks import verdict
from tests.lessons.test_lessons import solutions


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("02/noised", lambda x, a, e: None, "noised is empty so far"),
        ("02/noised", lambda x, a, e: a * x + (1 - a) * e, "keep variance 1"),
        ("02/noised", lambda x, a, e: (1 - a) ** 0.5 * x + a**0.5 * e, "nothing is hidden yet"),
        ("02/noised", lambda x, a, e: a**0.5 * x + e * (1 - a**0.5), "keep variance 1"),
        ("02/noised", lambda x, a, e: (a**0.5 * x + (1 - a) ** 0.5 * e).sum(0), "noising keeps it"),
        ("02/noised", lambda x, a, e: 1 / 0, "your code stopped with ZeroDivisionError"),
        ("02/posterior", lambda x, t, b, a, p: x, "two things"),
        ("02/posterior", lambda x, t, b, a, p: (x, b), "the variance at step"),
        ("02/posterior", lambda x, t, b, a, p: (x, -b), "must be positive"),
        ("02/posterior", lambda x, t, b, a, p: (x, b * (1 - p) / (1 - a)), "the mean at step"),
        ("02/visits", lambda n, s: list(range(s)), "sampling starts from pure noise"),
        ("02/visits", lambda n, s: list(range(0, n, n // s)), "sampling starts from pure noise"),
        ("02/visits", lambda n, s: list(range(n)), "16 should be visited"),
        ("02/visits", lambda n, s: torch.linspace(n - 1, 0, s).round().int().tolist(), "least noisy on"),
    ],
)
def test_wrong_answers_are_told_which_property_broke(exercise, wrong, words):
    told = verdict(exercise, wrong)
    assert told.startswith("Not yet: ")
    assert words in told


def test_right_answers_in_other_words_pass():
    assert verdict("02/noised", lambda x, a, e: x * a**0.5 + e * (1 - a) ** 0.5) == "Right."
    assert verdict("02/visits", lambda n, s: [round(i * (n - 1) / (s - 1)) for i in range(s)]) == "Right."


def test_the_folded_solutions_are_found():
    assert [exercise for exercise, _ in solutions("02")] == ["02/noised", "02/posterior", "02/visits"]
