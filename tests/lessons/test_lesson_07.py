"""Lesson 7: the folded solutions are right, the mistakes students make are named."""

import pytest
import torch

from polygrad_edu.actor_critic import lambda_returns
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


def single_pass(at_end="not counted", value_after=False, gain_after=False, whole_batch=False, **other):
    """The exercise's function with its bug (``gain_after``), with a mend that is none, or with another mistake."""

    def passing(rewards, terminals, values, gamma, lambda_):
        alive = 1 - (terminals.amax(0, keepdim=True).expand_as(terminals) if whole_batch else terminals)
        following = values[:, 1:] * (1 if value_after else alive[:, :-1])
        surprise = rewards[:, :-1] + gamma * following - values[:, :-1]
        gain, gains = 0.0, []
        for t in reversed(range(surprise.shape[1])):
            handed_on = 1 if gain_after else alive[:, t + other.get("late", 0)]
            gain = surprise[:, t] + gamma * other.get("factor", lambda_) * handed_on * gain
            gain = gain * alive[:, t] if at_end == "nothing" else gain
            gains.insert(0, gain)
        return torch.stack(gains, dim=1)

    return passing


def pass_in_place(rewards, terminals, values, gamma, lambda_):
    values[:, 1:] *= 1 - terminals[:, :-1]
    return single_pass()(rewards, terminals, values, gamma, lambda_)


def only_the_first_end(rewards, terminals, values, gamma, lambda_):
    """A pass that takes nothing over from what comes after the first end: right wherever it counts."""
    lived = (1 - terminals).cumprod(1)
    return single_pass()(rewards, 1 - lived, values, gamma, lambda_)


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
        ("07/single_pass", lambda r, d, v, g, k: None, "single_pass is empty so far"),
        ("07/single_pass", single_pass(gain_after=True), "its advantage is 1, and yours is 0.3125"),
        ("07/single_pass", single_pass(value_after=True), "Nobody will ever collect that"),
        ("07/single_pass", single_pass(at_end="nothing"), "was still lived"),
        ("07/single_pass", single_pass(late=1), "what leads to an end"),
        ("07/single_pass", single_pass(late=-1), "its advantage is 1, and yours is 0.25"),
        ("07/single_pass", single_pass(whole_batch=True), "changes the advantages of the first"),
        ("07/single_pass", single_pass(factor=1), "by pencil, and yours is -1.3125"),
        ("07/single_pass", single_pass(factor=0.5), "of fifty random trajectories"),
        ("07/single_pass", lambda *given: single_pass()(*given).tolist(), "a tensor, not a list"),
        ("07/single_pass", lambda *given: single_pass()(*given).T, "one for each step but the last"),
        ("07/single_pass", pass_in_place, "values themselves were changed"),
        ("07/single_pass", lambda r, d, v, g, k: single_pass()(r, d, v, g), "your code stopped with TypeError"),
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
    assert verdict("07/single_pass", single_pass()) == "Right."
    assert verdict("07/single_pass", only_the_first_end) == "Right."
    assert verdict("07/single_pass", lambda *given: lambda_returns(*given).advantages) == "Right."
    assert verdict("07/reality_weight", lambda d: ((d.cumsum(1) - d) == 0).float()[:, :-1]) == "Right."


def test_the_folded_solutions_are_found():
    assert [exercise for exercise, _ in solutions("07")] == [
        "07/lambda_weights",
        "07/reality_weight",
        "07/single_pass",
        "07/find_fraction",
    ]
