"""Lesson 1b: the mistakes students make are named, and the chain runs what was written."""

import pytest
import torch

from polygrad_edu.checks import own_code, verdict
from polygrad_edu.tasks import road_fork
from tests.lessons.test_lessons import solutions


def guess(power=0.5, shrink=True, over=lambda v: 2 * v, weigh=lambda logs: logs.softmax(1)):
    def best_guess(x_t, recorded, alpha_bar):
        seen_as = alpha_bar**power * recorded if shrink else recorded
        off = ((x_t[:, None] - seen_as) ** 2).sum(-1)
        return weigh(-off / over(1 - alpha_bar)) @ recorded

    return best_guess


def by_hand(logs):
    return logs.exp() / logs.exp().sum(1, keepdim=True)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (guess(power=1.0), "take the root"),
        (guess(shrink=False), "as they are under the noise"),
        (guess(over=lambda v: 2 * v**0.5), "not by its root"),
        (guess(over=lambda v: v), "*twice* the variance"),
        (guess(over=lambda v: 2.0), "twice the variance of the noise"),
        (guess(weigh=by_hand), "softmax"),
        (guess(weigh=lambda logs: logs.exp()), "not"),
        (guess(weigh=lambda logs: logs.softmax(0)), "by Bayes' rule"),
        (lambda x_t, recorded, alpha_bar: recorded[torch.cdist(x_t, recorded).argmin(1)], "by Bayes' rule"),
        (lambda x_t, recorded, alpha_bar: recorded.mean(0), "make four guesses [4, 2]"),
        (lambda x_t, recorded, alpha_bar: None, "best_guess is empty so far"),
    ],
)
def test_mistakes_in_the_best_guess_are_named(answer, said):
    assert said in verdict("01b/best_guess", answer)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x, g, a: (x - a**0.5 * g) / (1 - a), "points away"),
        (lambda x, g, a: (a**0.5 * g - x) / (1 - a) ** 0.5, "by its root"),
        (lambda x, g, a: a**0.5 * g - x, "still to be divided"),
        (lambda x, g, a: (g - x) / (1 - a), "the root of the share"),
        (lambda x, g, a: (a * g - x) / (1 - a), "the root of the share"),
        (lambda x, g, a: (g - x) / a, "the gradient of log p is"),
        (lambda x, g, a: ((a**0.5 * g - x) / (1 - a)).sum(1), "a score has the shape of x_t"),
    ],
)
def test_mistakes_in_the_score_are_named(answer, said):
    assert said in verdict("01b/score_of", answer)


def visit(keep=lambda after, std: (1 - after - std**2) ** 0.5, implied=None, fresh=lambda std: std):
    noise_in = implied or (lambda x, g, before: (x - before**0.5 * g) / (1 - before) ** 0.5)

    def next_visit(x_t, guess, alpha_bar, alpha_bar_next, std, noise):
        kept = keep(alpha_bar_next, std) * noise_in(x_t, guess, alpha_bar)
        return alpha_bar_next**0.5 * guess + kept + fresh(std) * noise

    return next_visit


def in_place(x_t, guess, alpha_bar, alpha_bar_next, std, noise):
    x_t -= alpha_bar**0.5 * guess
    return x_t


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (visit(keep=lambda after, std: (1 - after) ** 0.5), "taken off what is kept"),
        (visit(keep=lambda after, std: (1 - after) ** 0.5 - std), "variances add up"),
        (visit(implied=lambda x, g, before: x - g), "what is the noise that belongs"),
        (visit(implied=lambda x, g, before: (x - before**0.5 * g) / (1 - before)), "what is the noise that belongs"),
        (visit(fresh=lambda std: std**2), "variances add up"),
        (visit(fresh=lambda std: -std), "should be 0.5 times `noise`"),
        (lambda x, g, before, after, std, noise: after**0.5 * g + (1 - after) ** 0.5 * noise, "nothing should change"),
        (in_place, "x_t is changed afterwards"),
    ],
)
def test_mistakes_in_a_visit_are_named(answer, said):
    assert said in verdict("01b/next_visit", answer)


def test_the_chain_and_the_score_call_what_was_written():
    calls = dict.fromkeys(("best_guess", "score_of", "next_visit"), 0)

    def counted(name, function):
        def call(*arguments):
            calls[name] += 1
            return function(*arguments)

        return call

    written = {name.partition("/")[2]: function for name, (function,) in solutions("01b")}
    assert list(written) == list(calls)
    draws = torch.Generator().manual_seed(0)
    recorded, start = road_fork.record_routes(50, draws), torch.randn(20, 2, generator=draws)

    def driven():
        denoise = lambda x_t, left: road_fork.best_guess(x_t, recorded, left)  # noqa: E731
        routes = road_fork.drive(start, denoise, [0.01, 0.5, 0.9, 1.0], 1.0, torch.Generator().manual_seed(1))
        return torch.cat([routes, road_fork.score(routes, 0.9)])

    before = driven()
    for name, function in written.items():
        own_code.use(f"01b/{name}", counted(name, function))
    try:
        torch.testing.assert_close(driven(), before)
    finally:
        for name in written:
            own_code.use(f"01b/{name}", None)
    assert calls == {"best_guess": 3, "score_of": 1, "next_visit": 3}
