"""Checks of lesson 13: what only a whole trajectory can do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from . import given


def check_share_within(share_within: Callable[[np.ndarray], float]) -> None:
    """Check ``share_within(drift)``: the share of a drift's variance [M, K, D] that lies within a trajectory."""
    generator = np.random.default_rng(0)
    constant = np.repeat(generator.normal(size=(300, 1, 2)), 10, axis=1)
    kept = constant.copy()
    of_constant = given(share_within(constant), "share_within")
    assert np.ndim(of_constant) == 0, f"a share is one number; yours has shape {np.shape(of_constant)}."
    assert np.array_equal(constant, kept), "the drifts that were handed in are changed afterwards."
    assert abs(of_constant) < 1e-9, (
        f"a drift that is the same in every step of a trajectory varies between trajectories alone: 0, not "
        f"{of_constant:.3f}. Do you take the variance over the steps (axis 1)?"
    )
    fresh = generator.normal(size=(300, 10, 2))
    of_fresh = float(share_within(fresh))
    assert abs(of_fresh - 0.9) > 0.02, (
        "where each step has a drift of its own, the means of ten steps still vary by a tenth of it, by chance. Take "
        "that tenth off the part between trajectories: then the share is about 1, and yours is 0.9."
    )
    assert abs(of_fresh - 1) < 0.05, (
        f"where each step has a drift of its own, all of the variance lies within: about 1, not {of_fresh:.3f}."
    )
    both = float(share_within(constant + fresh))
    assert abs(both - 0.5) < 0.05, (
        f"a constant and a change of the same size should share the variance: about 0.5, not {both:.3f}."
    )
    wide = float(share_within(3 * constant + fresh))
    assert abs(wide - 0.1) < 0.03, (
        f"a constant three times as wide has nine times the variance: about 0.1 lies within, not {wide:.3f}. Are these "
        "variances, and not standard deviations?"
    )
    shifted = float(share_within(constant + fresh + np.array([100.0, -50.0])))
    assert abs(shifted - both) < 1e-6, (
        "the same wind for everybody is no variance: shift all drifts, and nothing moves."
    )


def check_spread_ahead(spread_ahead: Callable[[float, int], float]) -> None:
    """Check ``spread_ahead(share_within, steps)``: the spread after some steps, in parts of that of a constant wind."""
    constant = given(spread_ahead(0.0, 7), "spread_ahead")
    assert np.ndim(constant) == 0, f"a spread is one number; yours has shape {np.shape(constant)}."
    half = float(spread_ahead(0.5, 4))
    one_step = "that is the spread in units of a single step's; you were asked for parts of a constant wind's."
    mistakes = {
        0.625: "that is the ratio of the variances; spreads are their roots.",
        10**0.5: one_step,
        0.5**0.5: "gusts do not cancel altogether: four of them still blow somewhere.",
        (0.5 + 0.5 / 16) ** 0.5: "four gusts have four times the variance of one, and yours have that of one alone.",
        0.5**0.5 + 0.5**0.5 / 2: "the spreads of the constant and of the gusts do not add up; their variances do.",
        0.5: "that is what gusts alone would leave; half of this wind's variance is constant.",
        1.0: "you seem to treat the gusts as constant, too; each step has a new one.",
    }
    for wrong, why in mistakes.items():
        assert abs(half - wrong) > 1e-6, f"with half of the variance within and four steps you say {half:.3f}: {why}"
    assert abs(constant - 1) < 1e-9, f"where nothing varies within, the wind *is* constant: 1, not {constant:g}."
    one = float(spread_ahead(0.7, 1))
    assert abs(one - 1) < 1e-9, f"after a single step nobody can tell a gust from a constant: 1, not {one:g}."
    gusts = float(spread_ahead(1.0, 16))
    assert abs(gusts - 0.25) < 1e-9, (
        f"sixteen gusts alone go four times as far as one, a constant sixteen times: 0.25, not {gusts:g}."
    )
    assert abs(half - 0.625**0.5) < 1e-6, (
        f"with half of the variance within and four steps you say {half:.3f}. What is the variance of 4 c + e_1 + e_2 "
        "+ e_3 + e_4, where c and each e have a variance of one half?"
    )


def check_kalman_update(kalman_update: Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]) -> None:
    """Check ``kalman_update(seen, cross, own, missing, std)``: Bayes' rule for Gaussians, a batch of them."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(3, 5, 5, generator=generator)
    covariance = root @ root.mT + 0.1 * torch.eye(5)  # [B, D, D]
    reads = torch.zeros(2, 5)
    reads[0, 4], reads[1, :3] = 1.0, 1.0  # the last number, and the sum of the first three
    seen = torch.randn(3, 5, generator=generator)
    wanted = torch.randn(3, 2, generator=generator)
    cross, own = reads @ covariance, reads @ covariance @ reads.T
    missing = wanted - seen @ reads.T
    kept = seen.clone()
    found = given(kalman_update(seen, cross, own, missing, 1e-4), "kalman_update")
    assert torch.equal(seen, kept), "`seen` is changed afterwards: return a new tensor."
    assert tuple(found.shape) == (3, 5), (
        f"three means of five numbers go in and come out; yours is {tuple(found.shape)}."
    )
    assert not torch.allclose(found, seen), "nothing has moved, though the readings lack something."
    assert torch.allclose(kalman_update(seen, cross, own, 0 * missing, 0.3), seen, atol=1e-5), (
        "if nothing is missing, nothing should move."
    )
    assert torch.allclose(found @ reads.T, wanted, atol=1e-2), (
        "with a std of nearly 0 the readings of the new mean should be what is wanted; the last number is "
        f"{found[0, 4]:.2f}, and {wanted[0, 0]:.2f} was wanted."
    )
    gain = covariance @ reads.T @ torch.linalg.inv(own + 1e-8 * torch.eye(2))
    right = seen + (gain @ missing[..., None])[..., 0]
    assert torch.allclose(found, right, atol=1e-2), (
        "the readings are met, but the numbers that were not read should move, too, each by its covariance with them."
    )
    doubtful = kalman_update(seen, cross, own, missing, 2.0)
    gain = covariance @ reads.T @ torch.linalg.inv(own + 4 * torch.eye(2))
    half_way = seen + (gain @ missing[..., None])[..., 0]
    in_stds = seen + (covariance @ reads.T @ torch.linalg.inv(own + 2 * torch.eye(2)) @ missing[..., None])[..., 0]
    assert not torch.allclose(doubtful, in_stds, atol=1e-4), "`std` is added as it is; variances add up, so square it."
    assert torch.allclose(doubtful, half_way, atol=1e-3), (
        "with a std of 2 the mean should go only part of the way: add std squared to the variance of the reading "
        "before you divide by it."
    )
