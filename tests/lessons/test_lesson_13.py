"""Lesson 13: the mistakes students make are named, and the package runs what was written."""

import numpy as np
import pytest
import torch

from polygrad_edu.checks import own_code, verdict
from polygrad_edu.measuring.distribution_error import variance_parts
from polygrad_edu.variants.conditioned_sampler import kalman_update
from tests.lessons.test_lessons import solutions


def share(within=lambda d: d.var(axis=1, ddof=1).mean(), between=lambda d: d.mean(axis=1).var(axis=0, ddof=1).mean()):
    return lambda drift: within(drift) / (within(drift) + between(drift))


def in_place(drift):
    drift -= drift.mean()
    return variance_parts(drift).share_within


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (share(), "yours is 0.9"),
        (share(within=lambda d: d.var(axis=0, ddof=1).mean()), "Do you take the variance over the steps"),
        (lambda d: d.var(axis=1).mean() / d.var(), "yours is 0.9"),
        (in_place, "changed afterwards"),
        (lambda d: 1 - variance_parts(d).share_within, "0, not 1.000"),
        (lambda d: np.sqrt(variance_parts(d).within) / np.sqrt(sum(variance_parts(d))), "about 0.5, not 0.7"),
        (lambda d: d.var(axis=1), "a share is one number"),
        (lambda d: None, "share_within is empty so far"),
    ],
)
def test_mistakes_in_the_share_within_are_named(answer, said):
    assert said in verdict("13/share_within", answer)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda w, k: None, "spread_ahead is empty so far"),
        (lambda w, k: np.array([w, k]), "a spread is one number"),
        (lambda w, k: 1 - w + w / k, "the ratio of the variances"),
        (lambda w, k: (k**2 * (1 - w) + k * w) ** 0.5, "in units of a single step's"),
        (lambda w, k: (1 - w) ** 0.5, "do not cancel altogether"),
        (lambda w, k: (1 - w + w / k**2) ** 0.5, "yours have that of one alone"),
        (lambda w, k: (1 - w) ** 0.5 + (w / k) ** 0.5, "their variances do"),
        (lambda w, k: k**-0.5, "half of this wind's variance is constant"),
        (lambda w, k: 1.0, "treat the gusts as constant"),
        (lambda w, k: (w + (1 - w) / k) ** 0.5, "the wind *is* constant"),
        (lambda w, k: (1 - w + w / (k + 1)) ** 0.5, "after a single step"),
        (lambda w, k: (1 - w + w / (2 * k - 1)) ** 0.5, "0.25, not 0.17"),
        (lambda w, k: (1 - w**2 + w**2 / k) ** 0.5, "you say 0.901"),
    ],
)
def test_mistakes_in_the_spread_ahead_are_named(answer, said):
    assert said in verdict("13/spread_ahead", answer)


def update(power=2, over=lambda own: own, along=lambda cross: cross, back=lambda seen: seen.clone()):
    def kalman(seen, cross, own, missing, std):
        known = over(own) + std**power * torch.eye(own.shape[-1])
        weights = torch.linalg.solve(known, missing[..., None])
        new = back(seen)
        new += (weights * along(cross)).sum(dim=1)
        return new

    return kalman


def only_what_is_read(cross):
    kept = torch.zeros_like(cross)
    kept[:, 0, 4] = cross[:, 0, 4]
    return kept


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (update(power=1), "square it"),
        (update(back=lambda seen: seen), "`seen` is changed afterwards"),
        (lambda seen, cross, own, missing, std: seen.clone(), "nothing has moved"),
        (update(power=0), "should be what is wanted"),
        (lambda seen, cross, own, missing, std: kalman_update(seen, cross, own, missing, 0.0), "only part of the way"),
        (lambda seen, cross, own, missing, std: cross, "three means of five numbers"),
        (update(along=lambda cross: -cross), "should be what is wanted"),
        (lambda seen, *rest: kalman_update(seen, *rest) + 0.1, "if nothing is missing, nothing should move"),
        (lambda *given: None, "kalman_update is empty so far"),
    ],
)
def test_mistakes_in_the_update_are_named(answer, said):
    assert said in verdict("13/kalman_update", answer)


def pinned_alone(seen, cross, own, missing, std):
    """The readings are met, and nothing else moves."""
    moved = kalman_update(seen, cross, own, missing, std)
    new = seen.clone()
    new[:, 4] = moved[:, 4]
    new[:, 0] += (moved - seen)[:, :3].sum(dim=1)
    return new


def test_an_update_that_moves_only_what_is_read_is_named():
    assert "each by its covariance" in verdict("13/kalman_update", pinned_alone)


def test_the_package_runs_the_students_update(monkeypatch):
    from polygrad_edu.variants import conditioned_sampler

    (solution,) = [own for name, own in solutions("13") if name == "13/kalman_update"]
    calls = []
    monkeypatch.setitem(vars(conditioned_sampler), "kalman_update", kalman_update)  # put back afterwards
    own_code.use("13/kalman_update", lambda *given: calls.append(1) or solution[0](*given))
    found = conditioned_sampler.kalman_update(
        torch.zeros(1, 2), torch.ones(1, 1, 2), torch.ones(1, 1, 1), torch.ones(1, 1), 0.0
    )
    assert calls == [1]
    torch.testing.assert_close(found, torch.ones(1, 2))
    own_code.use("13/kalman_update", None)
    assert conditioned_sampler.kalman_update is kalman_update
