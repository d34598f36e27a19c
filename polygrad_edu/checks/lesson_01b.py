"""Checks of lesson 1b: why diffusion."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from . import given

TWO = torch.tensor([[1.0, 2.0], [-1.0, -2.0]])


def check_best_guess(best_guess: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    """Check ``best_guess(x_t, recorded, alpha_bar)``: the mean of the recordings that may be behind the noise."""
    generator = torch.Generator().manual_seed(0)
    recorded, x_t = torch.randn(7, 2, generator=generator), torch.randn(4, 2, generator=generator)
    found = given(best_guess(x_t, recorded, 0.5), "best_guess")
    assert tuple(found.shape) == (4, 2), (
        f"four noisy routes and seven recorded ones make four guesses [4, 2]; yours has shape {tuple(found.shape)}."
    )
    # of two recordings +a and -a, the guess is a tanh(\sqrt{\bar\alpha} a x / (1 - \bar\alpha))
    x, alpha_bar = torch.tensor([[0.1, 0.1]]), 0.36
    tilt = alpha_bar**0.5 * float(x[0] @ TWO[0])
    right = math.tanh(tilt / (1 - alpha_bar))
    yours = float(best_guess(x, TWO, alpha_bar)[0, 0])
    at = f"Between {_pair(TWO[0])} and {_pair(TWO[1])}, with a noisy route of {_pair(x[0])} at alpha_bar 0.36, "
    mistakes = {
        math.tanh(tilt / alpha_bar**0.5 * alpha_bar / (1 - alpha_bar)): "noise shrinks a recording to sqrt(alpha_bar) "
        "of its size: a share of the *variance* is left, so take the root.",
        math.tanh(tilt / alpha_bar**0.5 / (1 - alpha_bar)): "compare the noisy route with the recordings as they are "
        "under the noise, sqrt(alpha_bar) times themselves.",
        math.tanh(
            tilt / (1 - alpha_bar) ** 0.5
        ): "the exponent divides by the variance, 1 - alpha_bar, not by its root.",
        math.tanh(2 * tilt / (1 - alpha_bar)): "a Gaussian's exponent divides by *twice* the variance.",
        math.tanh(tilt): "the exponent divides by twice the variance of the noise, 1 - alpha_bar.",
    }
    for wrong, why in mistakes.items():
        assert abs(yours - wrong) > 1e-4, at + why
    assert abs(yours - right) < 1e-4, f"{at}the first number is {right:.3f} by Bayes' rule, not {yours:.3f}."
    hidden = best_guess(x_t, recorded, 0.0)
    assert torch.allclose(hidden, recorded.mean(0).expand(4, 2), atol=1e-4), (
        "under pure noise (alpha_bar 0) every recording is equally likely, so the guess is their mean, "
        f"{_pair(recorded.mean(0))}; yours is {_pair(hidden[0])}."
    )
    seen = best_guess(0.99**0.5 * TWO, TWO, 0.99)
    assert torch.allclose(seen, TWO, atol=1e-3), (
        f"under hardly any noise the guess is the recording that is there, {_pair(TWO[0])}; yours is {_pair(seen[0])}."
    )
    far = best_guess(torch.tensor([[30.0, 60.0]]), TWO, 0.99)
    assert torch.isfinite(far).all(), (
        "far from all recordings the likelihoods round to 0, and 0 / 0 is no guess. Take the softmax of their "
        "logarithms: it subtracts the largest first."
    )


def check_score_of(score_of: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    """Check ``score_of(x_t, guess, alpha_bar)``: the gradient of the log-density, from the denoiser's guess."""
    alpha_bar = 0.36
    x_t = torch.tensor([[0.5, -0.2], [1.0, 0.3]])
    guess = torch.tensor([[0.7, 0.1], [-0.4, 0.9]])
    found = given(score_of(x_t, guess, alpha_bar), "score_of")
    assert tuple(found.shape) == (2, 2), f"a score has the shape of x_t, [2, 2]; yours is {tuple(found.shape)}."
    right = (alpha_bar**0.5 * guess - x_t) / (1 - alpha_bar)
    assert not torch.allclose(found, -right, atol=1e-4), (
        "yours points away from where the recordings are; the gradient of the logarithm points *up*, towards them."
    )
    assert not torch.allclose(found, right * (1 - alpha_bar) ** 0.5, atol=1e-4), (
        "right up to a factor: a Gaussian's gradient divides by the variance 1 - alpha_bar, and yours by its root."
    )
    assert not torch.allclose(found, right * (1 - alpha_bar), atol=1e-4), (
        "right up to a factor: something is still to be divided by the variance of the noise."
    )
    for shrunk in (1.0, alpha_bar):
        assert not torch.allclose(found, (shrunk * guess - x_t) / (1 - alpha_bar), atol=1e-4), (
            "a recording's Gaussian stands at sqrt(alpha_bar) times the recording: the root of the share that is left."
        )
    assert torch.allclose(found, right, atol=1e-4), (
        f"for x_t {_pair(x_t[0])}, guess {_pair(guess[0])} and alpha_bar {alpha_bar} the gradient of log p is "
        f"{_pair(right[0])}, not {_pair(found[0])}."
    )


def check_next_visit(next_visit: Callable[[Tensor, Tensor, float, float, float, Tensor], Tensor]) -> None:
    """Check ``next_visit(x_t, guess, alpha_bar, alpha_bar_next, std, noise)``: the guess and the noise, mixed anew."""
    generator = torch.Generator().manual_seed(1)
    x_0, first, fresh = torch.randn(3, 2000, 2, generator=generator)
    x_t = 0.2**0.5 * x_0 + 0.8**0.5 * first
    kept = x_t.clone()
    found = given(next_visit(x_t, x_0, 0.2, 0.6, 0.0, fresh), "next_visit")
    assert torch.equal(x_t, kept), "x_t is changed afterwards: return a new tensor."
    assert tuple(found.shape) == (2000, 2), (
        f"the shape of x_t, [2000, 2], should come out; yours is {tuple(found.shape)}."
    )
    assert torch.allclose(next_visit(x_t, x_0, 0.2, 1.0, 0.0, fresh), x_0, atol=1e-5), (
        "with alpha_bar_next = 1 and no fresh noise, nothing but the guess is left."
    )
    stays = next_visit(x_t, x_0, 0.2, 0.2, 0.0, fresh)
    assert torch.allclose(stays, x_t, atol=1e-5), (
        "from one noise level to the same one, without fresh noise, nothing should change: what is the noise that "
        "belongs to x_t and the guess?"
    )
    assert torch.allclose(found, 0.6**0.5 * x_0 + 0.4**0.5 * first, atol=1e-5), (
        "without fresh noise, the guess and the *same* noise should be mixed in the shares of the next level."
    )
    stirred = next_visit(x_t, x_0, 0.2, 0.6, 0.5, fresh)
    size = float((stirred - 0.6**0.5 * x_0).var())
    assert abs(size - 0.4) < 0.04, (
        f"at the next level 0.4 of the variance should be noise, fresh and kept together; yours is {size:.2f}. "
        "What is drawn fresh has to be taken off what is kept, and variances add up, not standard deviations."
    )
    right = 0.6**0.5 * x_0 + (0.4 - 0.25) ** 0.5 * first + 0.5 * fresh
    assert torch.allclose(stirred, right, atol=1e-4), (
        "the noise has the right size; but with std 0.5 the fresh part should be 0.5 times `noise`."
    )


def _pair(numbers: Tensor) -> str:
    """Two numbers in brackets."""
    return "(" + ", ".join(f"{number:.2f}" for number in numbers.tolist()) + ")"
