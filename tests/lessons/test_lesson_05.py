"""Lesson 5: the mistakes students make are named."""

import pytest
import torch

from polygrad_edu.checks import verdict


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("05/score", lambda a, m, s: None, "score is empty so far"),
        ("05/score", lambda a, m, s: (a - m) / s**2, "point towards the mean"),
        ("05/score", lambda a, m, s: (m - a) / s, "four times as strong"),
        ("05/score", lambda a, m, s: (m - a) * s**2, "surer policy"),
        ("05/score", lambda a, m, s: 2 * (m - a) / s**2, "constant factor"),
        ("05/score", lambda a, m, s: (m - a).sign() / s**2, "twice as far"),
        ("05/score", lambda a, m, s: ((m - a) / s**2).sum(), "three scores"),
        ("05/score", lambda a, m, s: -((a - m) ** 2) / (2 * s**2), "point towards the mean"),
        ("05/settled_std", lambda k, n, p: ..., "settled_std is empty so far"),
        ("05/settled_std", lambda k, n, p: p, "without noise"),
        ("05/settled_std", lambda k, n, p: n**2 / (1 - (1 - k / p**2) ** 2), "noise 0.3"),
        ("05/settled_std", lambda k, n, p: n / (k / p**2), "one more step"),
        ("05/settled_std", lambda k, n, p: n / (1 - (1 - k / p) ** 2) ** 0.5, "noise 0.3"),
        ("05/keep", lambda a, m, s, r, e: None, "keep is empty so far"),
        ("05/keep", lambda a, m, s, r, e: m + r * (a - m) + (1 - r) * s * e, "variances that add up"),
        ("05/keep", lambda a, m, s, r, e: r * a + (1 - r**2) ** 0.5 * (m + s * e), "*distance* to the mean"),
        ("05/keep", lambda a, m, s, r, e: m + r * (a - m) + (1 - r**2) ** 0.5 * e, "new draws of the policy"),
        ("05/keep", lambda a, m, s, r, e: m + s * e, "nothing should change"),
    ],
)
def test_wrong_answers_are_told_which_property_broke(exercise, wrong, words):
    told = verdict(exercise, wrong)
    assert told.startswith("Not yet: ")
    assert words in told


def test_right_answers_in_other_words_pass():
    def by_differentiation(actions, mean, std):
        actions = actions.clone().requires_grad_()
        log_density = torch.distributions.Normal(mean, std).log_prob(actions).sum()
        return torch.autograd.grad(log_density, actions)[0]

    assert verdict("05/score", by_differentiation) == "Right."
    assert verdict("05/settled_std", lambda k, n, p: n * p**2 / (k * (2 * p**2 - k)) ** 0.5) == "Right."
