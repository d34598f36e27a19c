"""Lesson 2: the folded solutions are right, the mistakes students make are named."""

import pytest
import torch

from polygrad_edu.checks import verdict
from tests.lessons.test_lessons import solutions


def noised(x, a, e):
    return a**0.5 * x + (1 - a) ** 0.5 * e


def variance(b, a, p):
    return b * (1 - p) / (1 - a)


def mean(x, t, b, a, p, clean=lambda b, a, p: p**0.5, noisy=lambda b, a, p: 1 - p, kept=lambda b, a, p: (1 - b) ** 0.5):
    """An answer to 2.2 with one part of its mean replaced."""
    numbers = b, a, p
    return (b * clean(*numbers) * x + noisy(*numbers) * kept(*numbers) * t) / (1 - a), variance(*numbers)


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("02/noised", lambda x, a, e: None, "noised is empty so far"),
        ("02/noised", lambda x, a, e: a * x + (1 - a) * e, "keep variance 1"),
        ("02/noised", lambda x, a, e: (1 - a) ** 0.5 * x + a**0.5 * e, "nothing is hidden yet"),
        ("02/noised", lambda x, a, e: a**0.5 * x + e * (1 - a**0.5), "keep variance 1"),
        ("02/noised", lambda x, a, e: (a**0.5 * x + (1 - a) ** 0.5 * e).sum(0), "noising keeps it"),
        ("02/noised", lambda x, a, e: 1 / 0, "your code stopped with ZeroDivisionError: division by zero (in line "),
        ("02/noised", lambda x, a, e: noised(x, a, torch.randn_like(x)), "use the noise you are given"),
        ("02/noised", lambda x, a, e: noised(x, a, -e), "only the noise that was given"),
        ("02/noised", lambda x, a, e: noised(x, a.mean(), e), "one share for each row"),
        ("02/posterior", lambda x, t, b, a, p: x, "two things"),
        ("02/posterior", lambda x, t, b, a, p: (x, b), "as much noise before the step as after it"),
        ("02/posterior", lambda x, t, b, a, p: (x, b / 2), "the variance at step"),
        ("02/posterior", lambda x, t, b, a, p: (x, variance(b, a, p) ** 0.5), "the standard deviation"),
        ("02/posterior", lambda *n: mean(*n, clean=lambda b, a, p: a**0.5), "alpha_bar stands where"),
        ("02/posterior", lambda *n: mean(*n, noisy=lambda b, a, p: 1 - a), "alpha_bar stands where"),
        ("02/posterior", lambda *n: mean(*n, clean=lambda b, a, p: p), "a root is missing"),
        ("02/posterior", lambda *n: mean(*n, kept=lambda b, a, p: 1 - b), "a root is missing"),
        ("02/posterior", lambda x, t, b, a, p: (x, -b), "must be positive"),
        ("02/posterior", lambda x, t, b, a, p: (x, b * (1 - p) / (1 - a)), "the mean at step"),
        ("02/visits", lambda n, s: list(range(s)), "sampling starts from pure noise"),
        ("02/visits", lambda n, s: list(range(0, n, n // s)), "sampling starts from pure noise"),
        ("02/visits", lambda n, s: list(range(n)), "16 should be visited"),
        ("02/visits", lambda n, s: torch.linspace(0, n - 1, s).long().tolist(), "Round, do not cut"),
        ("02/visits", lambda n, s: torch.linspace(0, n - 1, s).round(), "yours are floats, such as 127.0"),
        ("02/visits", lambda n, s: torch.linspace(n - 1, 0, s).round().int().tolist(), "least noisy on"),
    ],
)
def test_wrong_answers_are_told_which_property_broke(exercise, wrong, words):
    told = verdict(exercise, wrong)
    assert told.startswith("Not yet: ")
    assert words in told


def test_right_answers_in_other_words_pass():
    assert verdict("02/noised", lambda x, a, e: x * a**0.5 + e * (1 - a) ** 0.5) == "Right."
    assert verdict("02/noised", lambda x, a, e: torch.sqrt(a) * x + torch.sqrt(1 - a) * e) == "Right."
    assert verdict("02/posterior", lambda *numbers: list(mean(*numbers))) == "Right."
    assert verdict("02/visits", lambda n, s: torch.linspace(0, n - 1, s, dtype=torch.float64).round().int()) == "Right."
    assert verdict("02/visits", lambda n, s: [round(i * (n - 1) / (s - 1)) for i in range(s)]) == "Right."


def test_the_line_that_stopped_is_told():
    def noised(x_0, alpha_bar, noise):
        kept = alpha_bar**0.5
        return kept * x_0 + missing * noise  # noqa: F821

    assert "NameError: name 'missing' is not defined (in line " in verdict("02/noised", noised)
    assert "return kept * x_0 + missing * noise" in verdict("02/noised", noised)


def test_the_folded_solutions_are_found():
    assert [exercise for exercise, _ in solutions("02")] == ["02/noised", "02/posterior", "02/visits"]
