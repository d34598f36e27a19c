"""The noise schedule: how a trajectory is turned into noise, and which steps lead back.

A diffusion model hides a clean trajectory x_0 under T small amounts of Gaussian noise. The schedule
says how much is added at each step; a sampler's way back follows from it by Bayes'
rule. Step index 0 is the least noisy (arXiv 2312.08533, section 3).

Built in lesson 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

CLEAN = -1  # the step of what carries no noise, one below the least noisy


class Posterior(NamedTuple):
    r"""Coefficients of $q(x_{t-1} \mid x_t, x_0)$ at each step of a chain, all [T]."""

    alphas_cumprod: Tensor  # share of the signal's variance that is left
    variance: Tensor
    coef_x_0: Tensor  # the mean is coef_x_0 x_0 + coef_x_t x_t
    coef_x_t: Tensor


def posterior(betas: Tensor, eta: float = 1.0) -> Posterior:
    r"""The posterior of a chain with variances $\beta_t$ [T], in their precision (arXiv 2006.11239, equations 6 and 7).

    Args:
        eta: noise of a reverse step relative to the posterior's. 1 draws from the posterior (ancestral sampling, the
            paper's), 0 adds none: then the start decides the whole way back (DDIM, arXiv 2010.02502, equation 12).
    """
    # \bar\alpha_t = \prod_{s \le t} (1 - \beta_s)
    alphas_cumprod = torch.cumprod(1 - betas, dim=0)  # [T]
    previous = torch.cat([alphas_cumprod.new_ones(1), alphas_cumprod[:-1]])  # [T] \bar\alpha_{t-1}
    # \tilde\beta_t = \beta_t (1 - \bar\alpha_{t-1}) / (1 - \bar\alpha_t)
    variance = betas * (1 - previous) / (1 - alphas_cumprod)
    # E[x_{t-1} | x_t, x_0] = c_1 x_0 + c_2 x_t
    coef_x_0 = betas * previous.sqrt() / (1 - alphas_cumprod)
    coef_x_t = (1 - previous) * (1 - betas).sqrt() / (1 - alphas_cumprod)
    if eta != 1:  # less noise is drawn, so more of the noise that is there is kept: x_{t-1} keeps its distribution
        variance = eta**2 * variance
        # c_2 = \sqrt{(1 - \bar\alpha_{t-1} - \eta^2 \tilde\beta_t) / (1 - \bar\alpha_t)}
        coef_x_t = ((1 - previous - variance).clamp(min=0) / (1 - alphas_cumprod)).sqrt()
        # c_1 = \sqrt{\bar\alpha_{t-1}} - c_2 \sqrt{\bar\alpha_t}
        coef_x_0 = previous.sqrt() - coef_x_t * alphas_cumprod.sqrt()
    return Posterior(alphas_cumprod, variance, coef_x_0, coef_x_t)


class NoiseSchedule(nn.Module):
    r"""The variances $\beta_t$ of the forward process and what is derived from them.

    Build one with :meth:`cosine` (the paper's) or :meth:`linear`; :meth:`walk` is the way back through all or some of
    its steps.

    Args:
        betas: [T] noise added at each step, each in (0, 1). What follows from them is computed in their
            precision and stored as float32.
    """

    betas: Tensor
    alphas_cumprod: Tensor
    posterior_variance: Tensor
    posterior_coef_x_0: Tensor
    posterior_coef_x_t: Tensor

    def __init__(self, betas: Tensor):
        super().__init__()
        if betas.ndim != 1 or len(betas) == 0 or not bool(((betas > 0) & (betas < 1)).all()):
            raise ValueError("betas must be a non-empty vector of numbers between 0 and 1, both excluded")
        found = posterior(betas)
        self.register_buffer("betas", betas.float(), persistent=False)
        self.register_buffer("alphas_cumprod", found.alphas_cumprod.float(), persistent=False)
        self.register_buffer("posterior_variance", found.variance.float(), persistent=False)
        self.register_buffer("posterior_coef_x_0", found.coef_x_0.float(), persistent=False)
        self.register_buffer("posterior_coef_x_t", found.coef_x_t.float(), persistent=False)

    @property
    def n_steps(self) -> int:
        """T, the number of steps."""
        return len(self.betas)

    @classmethod
    def cosine(cls, n_steps: int, tau: float = 1.0) -> NoiseSchedule:
        r"""Cosine schedule with temperature (arXiv 2301.10972; the paper uses tau 0.1 for Hopper).

        $\bar\alpha(u) = \cos(u\pi/2)^{2\tau}$ for $u$ from 0 to 1. A smaller tau keeps the signal
        longer and destroys it in the last few steps.
        """
        if n_steps < 1 or not tau > 0:
            raise ValueError(f"a cosine schedule needs n_steps >= 1 and tau > 0, not {n_steps} and {tau}")
        u = torch.linspace(0, 1, n_steps + 1, dtype=torch.float64)
        signal = torch.cos(u * math.pi / 2).clamp(min=0) ** (2 * tau)  # [T+1]
        last = math.cos(math.pi / 2) ** (2 * tau)  # zero up to rounding, which a small tau magnifies
        signal = (last - signal) / (last - 1)
        # from here on in float32, as in the official code, whose rounding shows in the fifth digit
        return cls((1 - signal[1:] / signal[:-1]).clamp(max=0.999).float())

    @classmethod
    def linear(cls, n_steps: int) -> NoiseSchedule:
        r"""Linear schedule of DDPM (arXiv 2006.11239), scaled so that any T ends in as much noise."""
        if n_steps < 1:
            raise ValueError(f"a linear schedule needs n_steps >= 1, not {n_steps}")
        scale = 1000 / n_steps
        return cls(torch.linspace(1e-4 * scale, 0.02 * scale, n_steps).clamp(max=0.999))

    def add_noise(self, x_0: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """Draw from q(x_t | x_0), the forward process in one jump (arXiv 2006.11239, equation 4).

        Args:
            x_0: [B, ...] clean values.
            step: [B] or [1] which step each row is taken to; or like ``x_0``, a step or ``CLEAN`` for each number.
            noise: like ``x_0``, standard normal. Zeros give the mean, as for the scaled actions.
        """
        alpha_bar = self.signal_variance(step if step.ndim == x_0.ndim else _per_row(step, x_0))  # [B, 1, ...]
        # x_t = \sqrt{\bar\alpha_t} x_0 + \sqrt{1 - \bar\alpha_t} \epsilon
        return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * noise  # [B, ...]

    def signal_variance(self, step: Tensor) -> Tensor:
        r"""$\bar\alpha$ at each step, the share of the signal's variance that is left: 1 at ``CLEAN``."""
        # CLEAN, as an index, reads the last of them, which is then dropped
        return torch.where(step == CLEAN, 1.0, self.alphas_cumprod[step])

    def posterior_mean(self, x_0: Tensor, x_t: Tensor, index: int) -> Tensor:
        """Mean of q(x_{t-1} | x_t, x_0) at one step of the chain; its variance is ``posterior_variance``."""
        # \tilde\mu_t = c_1 x_0 + c_2 x_t
        return self.posterior_coef_x_0[index] * x_0 + self.posterior_coef_x_t[index] * x_t

    def walk(self, n_visits: int | None = None, eta: float = 1.0) -> Walk:
        r"""The way back from noise that visits ``n_visits`` of the T steps and draws ``eta`` of the noise in each.

        The visited steps are evenly spread from the first to the last. Between two of them,
        $\beta' = 1 - \bar\alpha_t / \bar\alpha_s$: the same forward process seen at fewer times, so the
        trained denoiser serves unchanged.

        Args:
            n_visits: S; None visits all T steps.
            eta: see :func:`posterior`.
        """
        n_visits = self.n_steps if n_visits is None else n_visits
        if not 1 <= n_visits <= self.n_steps:
            raise ValueError(f"can visit 1 to {self.n_steps} of {self.n_steps} steps, not {n_visits}")
        if not 0 <= eta <= 1:
            raise ValueError(f"eta must be from 0 (no noise) to 1 (the posterior's), not {eta}")
        if n_visits == self.n_steps and eta == 1:
            own = (self.alphas_cumprod, self.posterior_variance, self.posterior_coef_x_0, self.posterior_coef_x_t)
            return Walk(self, torch.arange(n_visits), Posterior(*own), eta)
        visited = evenly_spread(self.n_steps, n_visits)  # [S]
        # float64 from the stored betas, because ratios of tiny signals lose float32's digits
        alpha_bar = torch.cumprod(1 - self.betas.double().cpu(), dim=0)[visited]  # [S]
        previous = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
        betas = (1 - alpha_bar / previous).clamp(max=1 - 1e-12)  # 1 itself where no signal is left
        found = Posterior(*(values.float().to(self.betas.device) for values in posterior(betas, eta)))
        return Walk(self, visited, found, eta)


def evenly_spread(n_steps: int, n_visits: int) -> Tensor:
    """The steps to visit, [S], from the first to the last of T; a single visit jumps from the noisiest."""
    first = 0 if n_visits > 1 else n_steps - 1
    return torch.linspace(first, n_steps - 1, n_visits, dtype=torch.float64).round().long()


@dataclass(frozen=True, eq=False)
class Visit:
    """One reverse step of a walk: from x_t to the x of the next, less noisy visit, or to x_0 after the last.

    In a staggered walk each time point has numbers of its own, see :mod:`polygrad_edu.variants.staggered_sampler`.

    Attributes:
        index: its place in the walk; 0 is the last visit, the least noisy one.
        trained_step: the step's number t, as the denoiser was trained on it.
        jump: how many trained steps it stands for, all those since the next less noisy visit.
        step: [1] t for the denoiser.
        signal: () square root of alpha bar, what is left of the signal.
        coef_x_0, coef_x_t: () of the mean.
        variance: () of the noise that is drawn; 0 at the last visit.
        trained_stds: posterior standard deviation of each trained step that it stands for, noisiest first. The step to
            x_0 is not among them: nothing is drawn there, and it is not guided.
    """

    index: int
    trained_step: int
    jump: int
    step: Tensor
    signal: Tensor
    coef_x_0: Tensor
    coef_x_t: Tensor
    variance: Tensor
    trained_stds: Sequence[float] | Tensor

    @property
    def noise_std(self) -> Tensor:
        """Standard deviation () of the noise that this step draws."""
        return self.variance.sqrt()

    def mean(self, x_0: Tensor, x_t: Tensor) -> Tensor:
        """Mean of the next x, given x_t and the clean ``x_0`` that is seen in it."""
        # \tilde\mu_t = c_1 x_0 + c_2 x_t
        return self.coef_x_0 * x_0 + self.coef_x_t * x_t


class Walk:
    """The visits that lead back from noise, noisiest first: ``for visit in walk`` is the reverse process.

    Attributes:
        eta: noise of each reverse step, see :func:`posterior`.
        trained_steps: [S] numbers of the steps visited, the least noisy first.
        alphas_cumprod: [S] alpha bar at each of them.
    """

    def __init__(self, schedule: NoiseSchedule, trained_steps: Tensor, found: Posterior, eta: float):
        self.eta = eta
        self.trained_steps = trained_steps
        self.alphas_cumprod = found.alphas_cumprod
        stds: list[float] = schedule.posterior_variance.sqrt().tolist()  # on the host, for the guidance rules
        numbers: list[int] = trained_steps.tolist()
        on_device = trained_steps.to(found.variance.device)
        self._visits: list[Visit] = []
        previous = -1
        for index, t in enumerate(numbers):
            visit = Visit(
                index=index,
                trained_step=t,
                jump=t - previous,
                step=on_device[index : index + 1],
                signal=found.alphas_cumprod[index].sqrt(),
                coef_x_0=found.coef_x_0[index],
                coef_x_t=found.coef_x_t[index],
                variance=found.variance[index],
                trained_stds=stds[max(previous + 1, 1) : t + 1][::-1],
            )
            self._visits.append(visit)
            previous = t

    def __iter__(self) -> Iterator[Visit]:
        return reversed(self._visits)

    def __len__(self) -> int:
        return len(self._visits)

    def visit(self, index: int) -> Visit:
        """The visit at one place of the walk; 0 is the last, the least noisy one."""
        return self._visits[index]


def _per_row(step: Tensor, like: Tensor) -> Tensor:
    """The step of each row, shaped to broadcast against ``like``."""
    return step.reshape(-1, *(1,) * (like.ndim - 1))
