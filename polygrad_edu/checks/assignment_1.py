"""Checks of assignment 1: noise schedules and the posterior.

None of them compares with the formula that the student is asked for. Each tests what has to follow from it: limits, the
product of many steps, Bayes' rule written for precisions.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .parts import Property, part, worth
from .properties import call, close, random, tensor

MAY_NOT_IMPORT = ("noise_schedule",)
MAY_NOT_USE = ()
LESSONS = {
    "signal": "lesson 2, 'Which betas?'",
    "betas": "lesson 2, 'One small step'",
    "add_noise": "lesson 2, 'All the steps in one jump'",
    "posterior_variance": "lesson 2, 'The way back'",
    "posterior_mean": "lesson 2, 'The way back'",
    "respaced": "lesson 2, 'Fewer visits'",
}


@worth(
    falls=Property(0.5, "it begins with 1, falls at every step, and ends with nothing left"),
    cosine=Property(1.5, "at temperature 1 it is the cosine's share of the variance"),
    temperature=Property(1, "another temperature changes it as it should", ("falls",)),
)
def check_signal(signal: Callable[[int, float], Tensor], seed: int = 0) -> None:
    """Check ``signal(n_steps, tau)``: [T+1] the cosine schedule's signal before the first step and after each step."""
    for n_steps in (8, 12 + 2 * (seed % 40), 128):
        what = f"signal({n_steps}, 1.0)"
        left = call(signal, n_steps, 1.0, what=what)
        assert type(left) is Tensor, f"{what} should return a torch tensor, not a {type(left).__name__}."
        assert left.shape == (n_steps + 1,), (
            f"{what} should hold one number more than there are steps, because it begins before the first; yours has "
            f"the shape {tuple(left.shape)}."
        )
        with part("falls"):
            assert abs(tensor(left, (n_steps + 1,), what)[0] - 1) < 1e-5, (
                f"{what} should begin with 1: before the first step nothing is hidden; yours begins with {left[0]:.3f}."
            )
        with part("cosine"):
            half = float(left[n_steps // 2])
            assert abs(half - 0.5) < 1e-4, (
                f"{what}: at temperature 1, half of the *variance* should be left halfway; yours is {half:.3f}. Is "
                "the angle in radians, and is it the share of the variance?"
            )
            third = float(call(signal, 3 * n_steps, 1.0, what=what)[n_steps])
            assert abs(third - 0.75) < 1e-4, (
                f"signal({3 * n_steps}, 1.0): the cosine starts slowly, so a third of the way three quarters should "
                f"be left (the angle is 30 degrees); yours is {third:.3f}."
            )
        for tau in (0.1, 0.1 + 0.05 * (1 + seed % 7), 2.0):
            _check_temperature(signal, n_steps, tau)


def _check_temperature(signal: Callable[[int, float], Tensor], n_steps: int, tau: float) -> None:
    what = f"signal({n_steps}, {tau:.2f})"
    with part("falls"):
        left = tensor(call(signal, n_steps, tau, what=what), (n_steps + 1,), what)
        assert left.min() >= 0, f"{what} falls below nothing left: {float(left.min()):.2g}."
        assert left[-1] < 2e-3, f"{what} should end with nothing left; yours ends with {float(left[-1]):.3g}."
        assert (left.diff() < 0).all(), f"{what} should fall at every step; the signal never comes back."
    with part("temperature"):
        left = tensor(call(signal, n_steps, tau, what=what), (n_steps + 1,), what)
        double = tensor(call(signal, n_steps, 2 * tau, what=what), (n_steps + 1,), what)
        assert close(double[:-1], left[:-1] ** 2, 2e-3), (
            f"{what}: with twice the temperature the share that is left should be squared, so a small temperature "
            f"keeps the signal longer; at step {n_steps // 2} yours goes from {float(left[n_steps // 2]):.3f} to "
            f"{float(double[n_steps // 2]):.3f}."
        )


def _shares(seed: int, n_steps: int) -> Tensor:
    """Random falling curve [T+1] that starts at 1; each step takes 5 to 60 percent of what is left."""
    kept = 0.4 + 0.55 * torch.rand(n_steps, generator=torch.Generator().manual_seed(100 + seed), dtype=torch.float64)
    return torch.cat([kept.new_ones(1), kept.cumprod(0)]).float()


@worth(
    product=Property(2, "what the steps keep multiplies up to the shares"),
    limit=Property(1, "a step that takes everything is limited", ("product",)),
)
def check_betas(betas: Callable[[Tensor], Tensor], seed: int = 0) -> None:
    """Check ``betas(alpha_bar)``: [T] the noise of each step, from the [T+1] shares of signal that are left."""
    for n_steps in (6, 9 + seed % 20):
        shares = _shares(seed, n_steps)
        what = f"betas(a curve of {n_steps + 1} shares)"
        noise = tensor(call(betas, shares, what=what), (n_steps,), what)
        with part("product"):
            assert ((noise > 0) & (noise < 1)).all(), (
                f"{what}: a beta is a share of the variance, between 0 and 1; yours go from {float(noise.min()):.3f} "
                f"to {float(noise.max()):.3f}."
            )
            rebuilt = (1 - noise).cumprod(0)
            assert close(rebuilt, shares[1:]), (
                f"{what}: multiplying up what each step keeps should give back the shares you were handed; after step "
                f"1 they say {float(shares[1]):.3f} and yours multiply to {float(rebuilt[0]):.3f}, after step 2 "
                f"{float(shares[2]):.3f} and {float(rebuilt[1]):.3f}."
            )
    ends = torch.tensor([1.0, 0.6, 0.3, 0.0])
    with part("limit"):
        largest = float(
            tensor(call(betas, ends, what="betas([1, 0.6, 0.3, 0])"), (3,), "betas([1, 0.6, 0.3, 0])").max()
        )
        assert abs(largest - 0.999) < 1e-5, (
            "betas([1, 0.6, 0.3, 0]): a step that takes everything cannot be walked back, so no beta may be above "
            f"0.999; your largest is {largest:.4f}."
        )


@worth(
    variance=Property(2, "data of variance 1 keeps variance 1, and the noise comes with its own sign"),
    share=Property(2, "the signal's share is that of each row's own step"),
)
def check_add_noise(add_noise: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor], seed: int = 0) -> None:
    """Check ``add_noise(x_0, alpha_bar, step, noise)``: each row of x_0 at its own step, in one jump."""
    n_steps = 5 + seed % 6
    shares = _shares(seed, n_steps)[1:]  # [T]
    for shape in ((5, 5), (4, 3), (3, 7, 2 + seed % 3), (2, 3, 4, 5)):
        x_0 = random(seed, *shape)
        noise = random(seed + 1, *shape)
        step = torch.randint(n_steps, (shape[0],), generator=torch.Generator().manual_seed(seed))
        step[0] = 0
        step[1] = n_steps - 1
        what = f"add_noise for x_0 of shape {shape}"
        noised = tensor(call(add_noise, x_0, shares, step, noise, what=what), shape, what)
        only_signal = tensor(call(add_noise, x_0, shares, step, 0 * noise, what=what), shape, what)
        only_noise = tensor(call(add_noise, 0 * x_0, shares, step, noise, what=what), shape, what)
        assert close(noised, only_signal + only_noise), (
            f"{what} should be one share of x_0 plus one share of the noise."
        )
        assert close(only_signal / x_0, (only_signal / x_0).flatten(1)[:, :1].reshape(-1, *[1] * (len(shape) - 1))), (
            f"{what}: every number of a row is at the same step, so all of a row should shrink alike; yours do not. "
            f"Which axis does `step` belong to?"
        )
        kept = (only_signal / x_0).flatten(1)[:, 0]  # [B]
        added = (only_noise / noise).flatten(1)[:, 0]
        with part("variance"):
            assert close(kept**2 + added**2, torch.ones(shape[0])), (
                f"{what}: data of variance 1 should keep variance 1. Your weights' squares add up to "
                f"{float((kept**2 + added**2)[0]):.3f} in row 0."
            )
            assert (added > 0).all(), f"{what}: the noise should be added as it is, not with its sign turned."
        with part("share"):
            row = int((kept**2 - shares[step].double()).abs().argmax())
            assert close(kept**2, shares[step]), (
                f"{what}: at step {int(step[row])} the signal's share of the variance should be "
                f"{shares[step[row]]:.3f}; in row {row} yours is {float(kept[row] ** 2):.3f}."
            )


@worth(
    bayes=Property(2, "past the first index it follows Bayes' rule"),
    first=Property(1, "at index 0 nothing is left to draw", ("bayes",)),
)
def check_posterior_variance(posterior_variance: Callable[[Tensor], Tensor], seed: int = 0) -> None:
    """Check ``posterior_variance(betas)``: [T] the variance of q(x_{t-1} | x_t, x_0) at every step."""
    for n_steps in (4, 7 + seed % 20):
        betas, before, _ = _chain(seed, n_steps)
        what = f"posterior_variance of {n_steps} betas"
        variance = tensor(call(posterior_variance, betas.float(), what=what), (n_steps,), what)
        with part("first"):
            assert abs(variance[0]) < 1e-6, (
                f"{what}: the step back from index 0 ends at x_0, which is given, so nothing is left to draw; yours "
                f"has variance {float(variance[0]):.3f} there."
            )
        with part("bayes"):
            assert (variance[1:] > 0).all(), (
                f"{what}: a variance must be positive; yours falls to {float(variance.min())}."
            )
            assert (variance[1:] < betas[1:]).all(), (
                f"{what}: who knows x_0 as well as x_t is surer than who knows x_t alone, so it should be below beta; "
                f"at index 1 it is {float(variance[1]):.3f} and beta {float(betas[1]):.3f}."
            )
            # Bayes' rule for Gaussians: what x_0 says of x_{t-1} and what x_t says of it add up in precision
            precision = (1 - betas) / betas + 1 / (1 - before)
            at = 1 + int((variance * precision - 1)[1:].abs().argmax())
            assert close((variance * precision)[1:], torch.ones(n_steps - 1), 1e-3), (
                f"{what}: what x_0 tells of the step before and what x_t tells of it should add up (as precisions, one "
                f"over the variance). At index {at} the sum is {float(precision[at]):.2f} and one over your variance "
                f"{float(1 / variance[at]):.2f}."
            )


@worth(
    path=Property(1.5, "where there was no noise it leads back along the signal"),
    spread=Property(1.5, "one step in and one back leave as much noise as there was"),
    ends=Property(1, "at index 0 it is x_0 itself, and before that both count"),
)
def check_posterior_mean(posterior_mean: Callable[[Tensor, Tensor, Tensor, int], Tensor], seed: int = 0) -> None:
    """Check ``posterior_mean(x_0, x_t, betas, index)``: the mean of q(x_{t-1} | x_t, x_0)."""
    n_steps = 6 + seed % 20
    betas, before, after = _chain(seed, n_steps)
    for shape in ((3, 4), (2, 5, 3), (6,)):
        x_0 = random(seed, *shape)
        x_t = random(seed + 1, *shape)
        for index in (0, 1, 2 + seed % 3, n_steps - 1):
            what = f"posterior_mean at index {index} of {n_steps}, x_0 of shape {shape}"

            def mean(clean: Tensor, noisy: Tensor, index: int = index, what: str = what) -> Tensor:
                return tensor(call(posterior_mean, clean, noisy, betas.float(), index, what=what), clean.shape, what)

            both = mean(x_0, x_t)
            clean = mean(x_0, 0 * x_t)
            noisy = mean(0 * x_0, x_t)
            assert close(both, clean + noisy), f"{what} should be a weighted sum of x_0 and x_t."
            if index == 0:
                with part("ends"):
                    assert close(both, x_0), (
                        f"{what}: the step back from index 0 ends at x_0, so the mean should be x_0 itself and x_t "
                        f"should not count any more."
                    )
                continue
            with part("ends"):
                assert noisy.any(), f"{what} should depend on x_t as well."
            with part("path"):
                on_the_way = mean(x_0, after[index].sqrt().float() * x_0)
                share = float((on_the_way / x_0).flatten()[0])
                assert close(on_the_way, before[index].sqrt() * x_0, 1e-3), (
                    f"{what}: where x_t is the noised x_0 with no luck at all (noise 0), the mean should be the "
                    f"noised x_0 of the step before, {float(before[index].sqrt()):.3f} times x_0; yours is "
                    f"{share:.3f} times. "
                )
            with part("spread"):
                # Var(x_{t-1}) = c_2^2 Var(x_t) + posterior variance, all given x_0
                weight = float((noisy / x_t).flatten()[0])
                variance = 1 / ((1 - betas[index]) / betas[index] + 1 / (1 - before[index]))
                spread = weight**2 * (1 - after[index]) + variance
                assert abs(spread - (1 - before[index])) < 1e-3, (
                    f"{what}: one step in and one step back should leave as much noise as there was, variance "
                    f"{float(1 - before[index]):.3f}; with your weight of x_t, {weight:.3f}, it is "
                    f"{float(spread):.3f}. "
                )


@worth(
    between=Property(2, "from one stop to the next as much signal goes as went in the whole chain"),
    start=Property(1, "what was hidden before the first stop counts, too", ("between",)),
)
def check_respaced(respaced: Callable[[Tensor, Tensor], Tensor], seed: int = 0) -> None:
    """Check ``respaced(betas, visited)``: [S] the betas of a chain that stops only at the visited steps."""
    for n_steps, visits in ((6, [0, 2, 5]), (9 + seed % 10, [1, 4, 5, 8]), (7, list(range(7))), (5, [4])):
        betas, _, after = _chain(seed, n_steps)
        what = f"respaced({n_steps} betas, {visits})"
        fewer = tensor(call(respaced, betas.float(), torch.tensor(visits), what=what), (len(visits),), what)
        assert ((fewer > 0) & (fewer < 1)).all(), (
            f"{what}: a beta is a share of the variance, between 0 and 1; yours go from {float(fewer.min()):.3f} to "
            f"{float(fewer.max()):.3f}."
        )
        left = (1 - fewer).cumprod(0)
        wanted = after[visits]
        at = int((left / left[0] - wanted / wanted[0]).abs().argmax())
        with part("between"):
            assert close(left / left[0], wanted / wanted[0], 1e-3), _same_noise(what, visits[at], wanted[at], left[at])
        with part("start"):
            assert close(left[0], wanted[0], 1e-3), _same_noise(what, visits[0], wanted[0], left[0])


def _same_noise(what: str, step: int, wanted: Tensor, left: Tensor) -> str:
    return (
        f"{what}: it is the same noise seen at fewer times, so where the chain stops at trained step {step} as much "
        f"signal should be left as there was, {float(wanted):.3f}; with yours it is {float(left):.3f}."
    )


def _chain(seed: int, n_steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random betas [T], and the signal left before and after each step."""
    shares = _shares(seed, n_steps).double()
    betas = 1 - shares[1:] / shares[:-1]
    return betas, shares[:-1], shares[1:]
