"""Checks of lesson 2: the noise schedule."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch

from ..noise_schedule import NoiseSchedule
from . import given


def check_noised(noised: Callable[[torch.Tensor, float, torch.Tensor], torch.Tensor]) -> None:
    """Check ``noised(x_0, alpha_bar, noise)``: a draw from q(x_t | x_0)."""
    x_0 = torch.full((3, 4), 2.0)
    noise = torch.full((3, 4), -1.0)
    out = given(noised(x_0, 1.0, noise), "noised")
    assert torch.is_tensor(out), f"noised should return a tensor, not a {type(out).__name__}."
    assert out.shape == x_0.shape, f"the shape went from {tuple(x_0.shape)} to {tuple(out.shape)}; noising keeps it."
    assert torch.allclose(out, x_0), "with alpha_bar = 1 nothing is hidden yet, but the trajectory came back changed."
    assert torch.allclose(noised(x_0, 0.0, noise), noise), "with alpha_bar = 0 only the noise should be left."
    drawn = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    for alpha_bar in (0.2, 0.7):
        clean = torch.randn(200_000, generator=torch.Generator().manual_seed(1))
        variance = noised(clean, alpha_bar, drawn).var().item()
        assert abs(variance - 1) < 0.02, (
            f"data of variance 1 should keep variance 1 at every level; at alpha_bar = {alpha_bar} it is "
            f"{variance:.2f}. Look at what the two weights' squares add up to."
        )
        share = torch.corrcoef(torch.stack([clean, noised(clean, alpha_bar, drawn)]))[0, 1].item()
        assert abs(share - alpha_bar**0.5) < 0.02, (
            f"at alpha_bar = {alpha_bar} the signal's share of the variance should be {alpha_bar}; yours is "
            f"{share**2:.2f}."
        )


def check_posterior(posterior: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Check ``posterior(x_0, x_t, beta, alpha_bar, alpha_bar_before)``: mean and variance of q(x_{t-1} | x_t, x_0)."""
    schedule = NoiseSchedule.cosine(32)
    x_0 = torch.randn(2, 5, generator=torch.Generator().manual_seed(2))
    x_t = torch.ones(2, 5)
    for index in (1, 9, 30):
        numbers = (schedule.betas[index], schedule.alphas_cumprod[index], schedule.alphas_cumprod[index - 1])
        answer = given(posterior(x_0, x_t, *numbers), "posterior")
        two_things = isinstance(answer, tuple) and len(answer) == 2
        assert two_things, "posterior should return two things: the mean and the variance."
        mean, variance = answer
        assert torch.as_tensor(variance) > 0, (
            f"a variance must be positive; at step {index} yours is {float(variance):.3g}."
        )
        assert torch.allclose(torch.as_tensor(variance), schedule.posterior_variance[index], atol=1e-5), (
            f"the variance at step {index} of 32 is off. It should be smaller than beta, by the ratio of the noise "
            "there was before to the noise there is now."
        )
        assert torch.allclose(mean, schedule.posterior_mean(x_0, x_t, index), atol=1e-4), (
            f"the mean at step {index} of 32 is off: it is a weighted sum of x_0 and x_t. Where beta is tiny it should "
            "nearly be x_t, and where nothing was noisy before, x_0."
        )


def check_visits(visits: Callable[[int, int], list[int]]) -> None:
    """Check ``visits(n_steps, n_sampling_steps)``: the trained steps of a few-step sampler, least noisy first."""
    for total, few in ((128, 16), (128, 5), (100, 100), (10, 2)):
        chosen = given(visits(total, few), "visits")
        chosen = [int(step) for step in chosen]
        assert len(chosen) == few, f"of {total} steps {few} should be visited; you visit {len(chosen)}."
        assert len(set(chosen)) == few, f"of {total} steps some are visited twice: {chosen}."
        assert chosen == sorted(chosen), f"they should stand from the least noisy on; yours are {chosen}."
        assert chosen[0] == 0, f"the last step back, number 0, is missing: yours begin with {chosen[0]}."
        assert chosen[-1] == total - 1, (
            f"sampling starts from pure noise, step {total - 1}; yours end with {chosen[-1]}."
        )
        gaps = [b - a for a, b in itertools.pairwise(chosen)]
        assert max(gaps) - min(gaps) <= 1, (
            f"the gaps between visits should be alike; yours go from {min(gaps)} to {max(gaps)}."
        )
