"""Checks of lesson 2: the noise schedule."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from ..noise_schedule import NoiseSchedule
from . import given


def check_noised(noised: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """Check ``noised(x_0, alpha_bar, noise)``: a draw from q(x_t | x_0)."""
    x_0 = torch.full((3, 4), 2.0)
    noise = torch.full((3, 4), -1.0)
    one, zero = torch.tensor(1.0), torch.tensor(0.0)
    out = given(noised(x_0, one, noise), "noised")
    assert torch.is_tensor(out), f"noised should return a tensor, not a {type(out).__name__}."
    assert out.shape == x_0.shape, f"the shape went from {tuple(x_0.shape)} to {tuple(out.shape)}; noising keeps it."
    assert torch.allclose(out, x_0), "with alpha_bar = 1 nothing is hidden yet, but the trajectory came back changed."
    alone = noised(x_0, zero, noise)
    assert torch.equal(alone, noised(x_0, zero, noise)), (
        "called twice with the same noise, it returns two different results: use the noise you are given, draw none."
    )
    assert torch.allclose(alone, noise), (
        "with alpha_bar = 0 only the noise that was given should be left, and yours is something else."
    )
    drawn = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    clean = torch.randn(200_000, generator=torch.Generator().manual_seed(1))
    for share in (0.2, 0.7):
        alpha_bar = torch.tensor(share)
        variance = noised(clean, alpha_bar, drawn).var().item()
        assert abs(variance - 1) < 0.02, (
            f"data of variance 1 should keep variance 1 at every level; at alpha_bar = {share} it is "
            f"{variance:.2f}. Look at what the two weights' squares add up to."
        )
        found = torch.corrcoef(torch.stack([clean, noised(clean, alpha_bar, drawn)]))[0, 1].item()
        assert abs(found - share**0.5) < 0.02, (
            f"at alpha_bar = {share} the signal's share of the variance should be {share}; yours is {found**2:.2f}."
        )
    rows = noised(x_0, torch.tensor([[1.0], [0.0], [1.0]]), noise)
    assert torch.allclose(rows, torch.stack([x_0[0], noise[1], x_0[2]])), (
        "alpha_bar may be a tensor [B, 1], one share for each row of x_0; yours goes wrong there."
    )


def check_posterior(posterior: Callable[..., tuple[Tensor, Tensor]]) -> None:
    """Check ``posterior(x_0, x_t, beta, alpha_bar, alpha_bar_before)``: mean and variance of q(x_{t-1} | x_t, x_0)."""
    schedule = NoiseSchedule.cosine(32)
    x_0 = torch.randn(2, 5, generator=torch.Generator().manual_seed(2))
    x_t = torch.ones(2, 5)
    for index in (1, 9, 30):
        beta, after, before = schedule.betas[index], schedule.alphas_cumprod[index], schedule.alphas_cumprod[index - 1]
        answer = given(posterior(x_0, x_t, beta, after, before), "posterior")
        two_things = isinstance(answer, tuple | list) and len(answer) == 2
        assert two_things, "posterior should return two things: the mean and the variance."
        mean, variance = answer
        assert torch.as_tensor(variance) > 0, (
            f"a variance must be positive; at step {index} yours is {float(variance):.3g}."
        )
        right = schedule.posterior_variance[index]
        assert not torch.allclose(torch.as_tensor(variance), right.sqrt(), atol=1e-5), (
            f"the variance at step {index} of 32 is off: yours is its root, the standard deviation."
        )
        assert not torch.allclose(torch.as_tensor(variance), beta, atol=1e-5), (
            f"the variance at step {index} of 32 is off: yours is beta itself, as if there were as much noise before "
            "the step as after it. Is alpha_bar_before, the signal left before the step, in the place of alpha_bar?"
        )
        assert torch.allclose(torch.as_tensor(variance), right, atol=1e-5), (
            f"the variance at step {index} of 32 is off. It should be smaller than beta, by the ratio of the noise "
            "there was before to the noise there is now."
        )
        _name_the_slip(mean, x_0, x_t, (beta, after, before))
        assert torch.allclose(mean, schedule.posterior_mean(x_0, x_t, index), atol=1e-4), (
            f"the mean at step {index} of 32 is off: it is a weighted sum of x_0 and x_t. Where beta is tiny it should "
            "nearly be x_t, and where nothing was noisy before, x_0."
        )


def _name_the_slip(mean: Tensor, x_0: Tensor, x_t: Tensor, numbers: tuple[Tensor, Tensor, Tensor]) -> None:
    """Fail if the posterior's mean is one that a known slip leads to."""
    beta, after, before = numbers

    def slipped(before_of_clean: Tensor, before_of_noisy: Tensor, kept: Tensor) -> bool:
        wrong = (beta * before_of_clean * x_0 + (1 - before_of_noisy) * kept * x_t) / (1 - after)
        return torch.allclose(mean, wrong, atol=1e-5)

    kept = (1 - beta).sqrt()
    assert not any(
        slipped(*wrong)
        for wrong in ((after.sqrt(), before, kept), (before.sqrt(), after, kept), (after.sqrt(), after, kept))
    ), (
        "in the mean alpha_bar stands where alpha_bar_before belongs: the signal that was left *before* the step. It "
        "is this lesson's common mistake."
    )
    assert not any(
        slipped(*wrong)
        for wrong in ((before, before, kept), (before.sqrt(), before, 1 - beta), (before, before, 1 - beta))
    ), "in the mean a root is missing: both weights have one, over what was left of x_0 and over what a step keeps."


def check_visits(visits: Callable[[int, int], list[int] | Tensor]) -> None:
    """Check ``visits(n_steps, n_sampling_steps)``: the trained steps of a few-step sampler, least noisy first."""
    for total, few in ((128, 16), (128, 5), (100, 100), (10, 2)):
        given(answer := visits(total, few), "visits")
        numbers = torch.as_tensor(answer)
        assert not numbers.is_floating_point(), (
            f"steps are whole numbers, to be used as an index; yours are floats, such as {numbers[-1].item()}."
        )
        chosen: list[int] = numbers.tolist()
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
        even = [i * (total - 1) / (few - 1) for i in range(few)]
        furthest = max(range(few), key=lambda i: abs(chosen[i] - even[i]))
        assert abs(chosen[furthest] - even[furthest]) < 0.51, (
            f"of {total} steps, {few} evenly spread ones come by {even[furthest]:.2f}; yours is {chosen[furthest]}, "
            "not the nearest whole step. Round, do not cut."
        )
