"""Checks of lesson 6: policy-guided trajectory diffusion."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from . import given


def check_guided_step(guided_step: Callable[..., tuple[float, float]]) -> None:
    """Check ``guided_step(x, a, clean_of, score, scale, posterior_mean, noise_x, noise_a)``: states and actions."""
    predicted_with = []
    scored_at = []

    def clean_of(x: float, a: float) -> float:
        predicted_with.append((x, a))
        return 10 * x + a

    def score(states: float, a: float) -> float:
        scored_at.append((states, a))
        return states - a

    def posterior_mean(clean: float, x: float) -> float:
        return 0.5 * clean + 0.25 * x

    answer = given(guided_step(1.0, 2.0, clean_of, score, 0.1, posterior_mean, 0.0, 0.0), "guided_step")
    both = isinstance(answer, tuple | list) and len(answer) == 2
    assert both, "two things come back: the states and the actions."
    x, a = answer
    assert predicted_with, "the denoiser was never asked; the policy needs states to act in."
    assert all(pair == (1.0, 2.0) for pair in predicted_with), (
        f"the denoiser was asked about (x, a) = {predicted_with[-1]}, but this step began with (1, 2): it guesses from "
        "the actions as they were before they were moved."
    )
    assert scored_at, "the policy's score was never asked for; what else should move the actions?"
    assert scored_at[-1][0] != 1.0, "the policy was asked in the noisy states; the denoiser knows better ones."
    assert scored_at[-1][0] != 6.25, (
        "the policy was asked at the step's mean, which is still noisy; ask where it is clean."
    )
    assert scored_at[-1] == (12.0, 2.0), (
        f"the policy should be asked about the actions as they were, in the clean states: (12, 2), not {scored_at[-1]}."
    )
    assert a != 1.0, "the actions moved away from the policy; the score leads towards it."
    assert abs(a - 3) < 1e-9, (
        f"with a score of 10 and a scale of 0.1 an action of 2 should move by 1, and yours is at {a:g}."
    )
    assert abs(x - 6.25) < 1e-9, (
        f"the states should go where posterior_mean leads from the clean trajectory and x, to 6.25; yours are at {x:g}."
    )
    noisy_x, noisy_a = guided_step(1.0, 2.0, clean_of, score, 0.1, posterior_mean, 100.0, 1000.0)
    assert abs(noisy_x - x - 100) < 1e-9, "the states' noise should come on top of where the step leads, as it is."
    assert abs(noisy_a - a - 1000) < 1e-9, "the actions' noise should come on top of their move, as it is."


def check_spread_after(spread_after: Callable[[Sequence[float], Sequence[float], float, float], float]) -> None:
    """Check ``spread_after(scales, noise_stds, policy_std, start_std)``: std of a chain with a scale for each step."""
    untouched = given(spread_after([], [], 0.5, 2.0), "spread_after")
    assert abs(untouched - 2) < 1e-6, f"without a step nothing changes: the spread stays 2, and is not {untouched:g}."
    noise = spread_after([0.0], [4.0], 0.5, 3.0)
    assert abs(noise - 5) < 1e-6, (
        f"without a pull, noise of 4 on a spread of 3 gives 5 (it is squares that add up); you say {noise:g}."
    )
    pull = spread_after([0.125], [0.0], 0.5, 2.0)
    assert abs(pull - 1) < 1e-6, (
        f"a scale of half sigma^2 halves each distance, so without noise 2 becomes 1; you say {pull:g}."
    )
    landed = spread_after([0.25], [0.3], 0.5, 7.0)
    assert abs(landed - 0.3) < 1e-6, (
        f"a scale of sigma^2 lands on the mean, and only that step's noise of 0.3 is left; you say {landed:g}."
    )
    early = spread_after([0.25, 0.0], [0.3, 0.4], 0.5, 7.0)
    late = spread_after([0.0, 0.25], [0.3, 0.4], 0.5, 7.0)
    assert abs(early - 0.5) < 1e-6, (
        f"land on the mean with noise 0.3, then only noise 0.4: the spread is 0.5; you say {early:g}. The first of the "
        "lists' entries belong to the first step."
    )
    assert abs(late - 0.4) < 1e-6, f"only noise 0.3, then land on the mean with noise 0.4: 0.4; you say {late:g}."


def check_keeping_scale(keeping_scale: Callable[[float, float], float]) -> None:
    """Check ``keeping_scale(noise_std, policy_std)``: the scale whose step leaves the policy's spread as it is."""
    quiet = given(keeping_scale(0.0, 0.5), "keeping_scale")
    assert np.ndim(quiet) == 0, f"a scale is one number; yours has shape {np.shape(quiet)}."
    noise, std = 0.3, 0.5
    yours = float(keeping_scale(noise, std))
    mistakes = {
        noise**2 / 2: "that is Langevin's half itself, which is right for small noise only.",
        noise**2: "the distance is multiplied by 1 - scale / sigma^2, and its variance by the *square* of that.",
        noise * std: "it is variances that add up, not standard deviations.",
        1 - (1 - noise**2 / std**2) ** 0.5: "that is scale / sigma^2; you were asked for the scale.",
        std**2 - std**2 * (1 - noise**2) ** 0.5: "the noise's variance is to be held against the policy's, "
        "s^2 / sigma^2, not against 1.",
        std**2 + std * (std**2 - noise**2) ** 0.5: "that keeps the spread as well, by throwing each action across the "
        "mean to its other side. Take the gentler of the two solutions.",
    }
    for wrong, why in mistakes.items():
        assert abs(yours - wrong) > 1e-6, f"with noise {noise:g} and sigma {std:g} you say {yours:.3f}: {why}"
    after = ((1 - yours / std**2) ** 2 * std**2 + noise**2) ** 0.5
    assert abs(after - std) < 1e-6, (
        f"with noise {noise:g} your scale of {yours:.3f} makes of a spread of {std:g} one of {after:.3f}. Let it stay."
    )
    assert abs(quiet) < 1e-9, (
        f"without noise nothing drives the actions apart, so no pull is called for: 0, not {quiet:g}."
    )
    widest = keeping_scale(0.5, 0.5)
    assert abs(widest - 0.25) < 1e-6, (
        "noise as wide as the policy leaves no room for anything else, so the pull has to land on the mean, with scale "
        f"sigma^2 = 0.25; you say {widest:g}."
    )


def check_effect(effect: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check ``effect(own_noise, following)``: the slope of a regression."""
    generator = torch.Generator().manual_seed(0)
    noise, other = torch.randn(2, 50_000, generator=generator, dtype=torch.float64)
    noise = (noise - noise.mean()) / noise.std()
    whole = torch.as_tensor(given(effect(noise, 0.7 * noise), "effect"))
    assert whole.numel() == 1, f"the effect is one number; yours has shape {tuple(whole.shape)}."
    assert abs(whole - 0.7) < 1e-3, f"a state that is 0.7 times the noise has an effect of 0.7; you say {whole:g}."
    none = effect(noise, other)
    assert abs(none) < 0.02, f"of noise that the state knows nothing about the effect should be near 0, not {none:g}."
    wide = effect(2 * noise, 0.7 * 2 * noise)
    assert abs(wide - 0.7) < 1e-3, (
        f"twice the noise with twice the outcome is the same effect per unit, 0.7; you say {wide:g}."
    )
    mixed = effect(noise, 0.7 * noise + 3 * other)
    assert abs(mixed - 0.7) < 0.05, (
        f"whatever else moves the state, per unit of this noise it is still 0.7; you say {mixed:g}. Divide by the "
        "variance of what causes, not of what follows."
    )
    shifted = effect(noise + 5, 0.7 * noise - 3)
    assert abs(shifted - 0.7) < 1e-3, (
        f"constants added to either side are no effect; with them you say {shifted:g} in place of 0.7."
    )
    against = effect(noise, -0.7 * noise)
    assert abs(against + 0.7) < 1e-3, (
        f"a state that moves the other way has a negative effect, -0.7; you say {against:g}."
    )
