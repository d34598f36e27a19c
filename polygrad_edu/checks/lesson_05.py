"""Checks of lesson 5: score guidance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from . import given


def check_score(score: Callable[[Tensor, float, float], Tensor]) -> None:
    """Check ``score(actions, mean, std)``: the score of a Gaussian."""
    actions = torch.tensor([-1.0, 0.5, 3.0])
    at_mean = given(score(actions, 0.5, 1.0), "score")
    assert at_mean.shape == actions.shape, f"three actions should have three scores; yours has shape {at_mean.shape}."
    assert at_mean[1] == 0, "at the policy's mean there is nothing to gain: the score there should be 0."
    assert at_mean[0] > 0 > at_mean[2], "the score should point towards the mean: up from below it, down from above it."
    near, far = score(torch.tensor([1.5, 2.5]), 0.5, 1.0)
    assert torch.isclose(far, 2 * near), "twice as far from the mean the pull should be twice as strong."
    sure = score(actions, 0.5, 0.5)[0]
    unsure = score(actions, 0.5, 1.0)[0]
    assert sure > unsure, "a surer policy (smaller std) should pull harder."
    assert torch.isclose(sure, 4 * unsure), (
        f"with half the std the pull should be four times as strong; yours is {(sure / unsure).item():g} times."
    )
    assert torch.isclose(at_mean[0], torch.tensor(1.5)), (
        "the slope is off by a constant factor; differentiate once more."
    )


def check_settled_std(settled_std: Callable[[float, float, float], float]) -> None:
    """Check ``settled_std(scale, noise_std, policy_std)``: the stationary std of the Langevin chain."""
    quiet = given(settled_std(0.1, 0.0, 1.0), "settled_std")
    assert abs(quiet) < 1e-9, f"without noise all actions end at the mean: a spread of 0, not {quiet:g}."
    whole = settled_std(0.25, 0.3, 0.5)
    assert abs(whole - 0.3) < 1e-6, (
        "with scale = std^2 a step lands on the mean, and only that step's noise is left: with noise 0.3 the spread "
        f"should be 0.3; you say {whole:g}."
    )
    once = settled_std(0.01, 0.1, 0.5)
    twice = settled_std(0.01, 0.2, 0.5)
    assert abs(twice - 2 * once) < 1e-6, "twice the noise should give twice the spread."
    assert settled_std(0.02, 0.1, 0.5) < once, "a stronger pull should leave a smaller spread."
    r = 1 - 0.01 / 0.25
    v = once**2
    assert abs(r**2 * v + 0.01 - v) < 1e-6, (
        f"at your spread of {once:.3f} one more step changes the variance from {v:.4f} to {r**2 * v + 0.01:.4f}; it "
        "should stay."
    )


def check_keep(keep: Callable[[Tensor, float, float, float, Tensor], Tensor]) -> None:
    """Check ``keep(actions, mean, std, persistence, noise)``: the Ornstein-Uhlenbeck update."""
    generator = torch.Generator().manual_seed(0)
    mean = 2.0
    std = 0.5
    actions = mean + std * torch.randn(200_000, generator=generator)
    noise = torch.randn(200_000, generator=generator)
    same = given(keep(actions, mean, std, 1.0, noise), "keep")
    assert torch.allclose(same, actions, atol=1e-5), "with persistence 1 everything is kept: nothing should change."
    fresh = keep(actions, mean, std, 0.0, noise)
    assert torch.allclose(fresh, mean + std * noise, atol=1e-5), (
        "with persistence 0 nothing is kept: the actions should be new draws of the policy, mean + std * noise."
    )
    after = keep(actions, mean, std, 0.8, noise)
    assert abs(after.mean() - mean) < 0.01, (
        f"actions around {mean:g} should stay around it; afterwards their mean is {after.mean():.2f}. Is it the "
        "*distance* to the mean that shrinks?"
    )
    assert abs(after.std() - std) < 0.01, (
        f"actions with the policy's std of {std:g} should still have it; afterwards, with persistence 0.8, it is "
        f"{after.std():.3f}. It is variances that add up."
    )
    kept = torch.corrcoef(torch.stack([actions, after]))[0, 1]
    assert abs(kept - 0.8) < 0.02, f"the share kept of each distance should be 0.8; it is {kept:.2f}."
