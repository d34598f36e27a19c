r"""Fork in the road: trajectories of two numbers, whose density, best denoiser and score are known exactly.

A car drives towards a wall and passes it on the left or on the right. A trajectory tells how far to the left of the
middle it is half-way and at the wall, in metres. Two of three drivers go left:

$p(x_0) = \sum_k w_k \, N(\mu_k, s^2 I)$, and under noise $p(x_t) = \sum_k w_k \, N(\sqrt{\bar\alpha} \, \mu_k, v I)$
with $v = \bar\alpha s^2 + 1 - \bar\alpha$.

:func:`best_guess` knows recorded routes alone; :func:`drive` denoises noise with it, by :func:`next_visit`. Lesson 1b
builds these two and :func:`score_of`, and asks with them why a model of futures should be a diffusion model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

WAYS = torch.tensor([[0.9, 1.6], [-0.9, -1.6]])  # [K, 2] metres to the left, half-way and at the wall
SHARES = torch.tensor([2 / 3, 1 / 3])  # of the drivers who take each
SPREAD = 0.18  # metres, standard deviation about a way
WALL = 0.8  # metres to either side of the middle


def record_routes(count: int, generator: torch.Generator) -> Tensor:
    """Routes [count, 2] that drivers took."""
    taken = torch.multinomial(SHARES, count, replacement=True, generator=generator)  # [N]
    return WAYS[taken] + SPREAD * torch.randn(count, 2, generator=generator)  # [N, 2]


def hits_wall(routes: Tensor) -> Tensor:
    """True for each of the routes [..., 2] that ends in the wall."""
    return routes[..., 1].abs() < WALL


def log_density(x_t: Tensor, alpha_bar: float) -> Tensor:
    r"""$\log p(x_t)$ of noisy routes [..., 2], of whose variance a share ``alpha_bar`` is signal."""
    return _log_parts(x_t, alpha_bar).logsumexp(-1)  # [...]


def best_denoiser(x_t: Tensor, alpha_bar: float) -> Tensor:
    r"""Mean of all routes that may be behind noisy ones, $E[x_0 \mid x_t]$: [..., 2], as ``x_t`` is."""
    variance = alpha_bar * SPREAD**2 + 1 - alpha_bar
    behind = _log_parts(x_t, alpha_bar).softmax(-1)[..., None]  # [..., K, 1] how likely each way is
    # E[x_0 | x_t, k] = \mu_k + \sqrt{\bar\alpha} s^2 / v (x_t - \sqrt{\bar\alpha} \mu_k)
    gain = alpha_bar**0.5 * SPREAD**2 / variance
    seen = WAYS + gain * (x_t[..., None, :] - alpha_bar**0.5 * WAYS)  # [..., K, 2]
    return (behind * seen).sum(-2)  # [..., 2]


def score(x_t: Tensor, alpha_bar: float) -> Tensor:
    r"""$\nabla \log p(x_t)$ [..., 2]; ``alpha_bar`` is below 1."""
    return score_of(x_t, best_denoiser(x_t, alpha_bar), alpha_bar)


def score_of(x_t: Tensor, guess: Tensor, alpha_bar: float) -> Tensor:
    """Score that belongs to a denoiser's ``guess``, by Tweedie's formula; both like ``x_t``."""
    # \nabla \log p(x_t) = (\sqrt{\bar\alpha} E[x_0 | x_t] - x_t) / (1 - \bar\alpha)
    return (alpha_bar**0.5 * guess - x_t) / (1 - alpha_bar)


def best_guess(x_t: Tensor, recorded: Tensor, alpha_bar: float) -> Tensor:
    """Mean of the ``recorded`` routes [N, 2] that may be behind each of the noisy ones [B, 2]: [B, 2].

    It is what a denoiser that is trained on them would say if it learned them by heart.
    """
    # p(x_t | x_0) = N(x_t; \sqrt{\bar\alpha} x_0, (1 - \bar\alpha) I)
    off = ((x_t[:, None] - alpha_bar**0.5 * recorded) ** 2).sum(-1)  # [B, N]
    return (-off / (2 * (1 - alpha_bar))).softmax(1) @ recorded  # [B, 2]


def next_visit(
    x_t: Tensor, guess: Tensor, alpha_bar: float, alpha_bar_next: float, std: float, noise: Tensor
) -> Tensor:
    r"""Less noisy routes: the guess and the noise that it implies, mixed anew; all like ``x_t``.

    Args:
        x_t: noisy routes, of whose variance a share ``alpha_bar`` is signal.
        guess: what the denoiser says of them.
        alpha_bar_next: share of signal that they are brought to.
        std: of the noise that is drawn; its square is at most ``1 - alpha_bar_next``.
        noise: standard normal.
    """
    # \hat\epsilon = (x_t - \sqrt{\bar\alpha} \hat{x}_0) / \sqrt{1 - \bar\alpha}
    implied = (x_t - alpha_bar**0.5 * guess) / (1 - alpha_bar) ** 0.5
    # x_s = \sqrt{\bar\alpha_s} \hat{x}_0 + \sqrt{1 - \bar\alpha_s - \sigma^2} \hat\epsilon + \sigma z
    return alpha_bar_next**0.5 * guess + (1 - alpha_bar_next - std**2) ** 0.5 * implied + std * noise


def drive(
    start: Tensor,
    denoise: Callable[[Tensor, float], Tensor],
    signals: Sequence[float],
    eta: float,
    generator: torch.Generator,
) -> Tensor:
    """Routes [B, 2] that a chain of visits makes of noise.

    Args:
        start: [B, 2] noise.
        denoise: guesses routes from noisy ones and their share of signal.
        signals: share of signal of the start, and after each visit; 1 in the end.
        eta: noise drawn in each visit: 0 is DDIM, 1 is DDPM.
    """
    x = start
    for before, after in pairwise(signals):
        # \sigma^2 = \eta^2 (1 - \bar\alpha_s) / (1 - \bar\alpha_t) (1 - \bar\alpha_t / \bar\alpha_s)
        std = eta * ((1 - after) / (1 - before) * (1 - before / after)) ** 0.5
        noise = torch.randn(x.shape, generator=generator)
        x = next_visit(x, denoise(x, before), before, after, std, noise)  # [B, 2]
    return x


def _log_parts(x_t: Tensor, alpha_bar: float) -> Tensor:
    """Logarithm of each way's part [..., K] of the density."""
    variance = alpha_bar * SPREAD**2 + 1 - alpha_bar
    off = ((x_t[..., None, :] - alpha_bar**0.5 * WAYS) ** 2).sum(-1)  # [..., K]
    return SHARES.log() - math.log(2 * math.pi * variance) - off / (2 * variance)
