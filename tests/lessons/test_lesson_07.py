"""Lesson 7: the folded solutions are right, the mistakes students make are named."""

import pytest
import torch

from polygrad_edu.checks import verdict
from tests.lessons.test_lessons import solutions


def weight_without_the_end(terminals):
    return (1 - terminals[:, :-1]).cumprod(dim=1)


def only_the_end_itself(terminals):
    return 1 - torch.cat([torch.zeros_like(terminals[:, :1]), terminals[:, :-2]], dim=1)


def one_guess(change_of, target, rounds=4):
    return target / change_of(1.0)


def no_limit(change_of, target, rounds=4):
    fraction = 1.0
    for _ in range(rounds):
        fraction *= target / change_of(fraction)
    return fraction


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("07/lambda_weights", lambda k, n: None, "lambda_weights is empty so far"),
        ("07/lambda_weights", lambda k, n: [(1 - k) * k**i for i in range(n)], "nothing may be left over"),
        ("07/lambda_weights", lambda k, n: [1 / n] * n, "lambda times the one before"),
        ("07/lambda_weights", lambda k, n: [1.0], "there should be 5 weights"),
        ("07/lambda_weights", lambda k, n: [k**i / sum(k**j for j in range(n)) for i in range(n)], "one-step return"),
        ("07/reality_weight", lambda d: ..., "reality_weight is empty so far"),
        ("07/reality_weight", weight_without_the_end, "should count too"),
        ("07/reality_weight", only_the_end_itself, "after the end still counts"),
        ("07/reality_weight", lambda d: (1 - d).cumprod(dim=1), "one for each step but the last"),
        ("07/reality_weight", lambda d: (1 - d[:, :-1]).tolist(), "a tensor, not a list"),
        ("07/find_fraction", lambda c, t, rounds=4: None, "find_fraction is empty so far"),
        ("07/find_fraction", one_guess, "and the target 0.05 your fraction"),
        ("07/find_fraction", no_limit, "you take 5 of it"),
        ("07/find_fraction", lambda c, t, rounds=4: 0.1, "you never measured a change"),
        ("07/find_fraction", lambda c, t, rounds=4: 1 / 0, "your code stopped with ZeroDivisionError"),
    ],
)
def test_wrong_answers_are_told_which_property_broke(exercise, wrong, words):
    told = verdict(exercise, wrong)
    assert told.startswith("Not yet: ")
    assert words in told


def test_right_answers_in_other_words_pass():
    def weights_by_what_is_left(lambda_, n):
        left, weights = 1.0, []
        for _ in range(n - 1):
            weights.append(left * (1 - lambda_))
            left -= weights[-1]
        return torch.tensor([*weights, left], dtype=torch.float64)

    assert verdict("07/lambda_weights", weights_by_what_is_left) == "Right."
    assert verdict("07/reality_weight", lambda d: ((d.cumsum(1) - d) == 0).float()[:, :-1]) == "Right."


def test_the_folded_solutions_are_found():
    assert [exercise for exercise, _ in solutions("07")] == [
        "07/lambda_weights",
        "07/reality_weight",
        "07/find_fraction",
    ]
