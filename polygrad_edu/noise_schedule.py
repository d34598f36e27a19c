"""The noise schedule: how a trajectory is turned into noise, and which steps lead back.

A diffusion model hides a clean trajectory x_0 under T small amounts of Gaussian noise. The schedule
says how much is added at each step; everything a sampler needs to walk back follows from it by Bayes'
rule. Step index 0 is the least noisy (arXiv 2312.08533, section 3).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class NoiseSchedule(nn.Module):
    r"""The variances $\beta_t$ of the forward process and what is derived from them.

    Build one with :meth:`cosine` (the paper's) or :meth:`linear`; :meth:`respaced` keeps only some of
    the steps, for sampling faster than the model was trained.

    Args:
        betas: [T] noise added at each step, each in (0, 1). What follows from them is computed in their
            precision and stored as float32.
        trained_steps: [T] what each step is called by the denoiser. ``None`` means 0..T-1; a respaced
            schedule keeps the numbers of the steps it was taken from.
        eta: noise of a reverse step relative to the posterior's. 1 draws from the posterior (ancestral sampling, the
            paper's), 0 adds none: then the start decides the whole way back (DDIM, arXiv 2010.02502).
    """

    betas: Tensor
    alphas_cumprod: Tensor
    alphas_cumprod_prev: Tensor
    posterior_variance: Tensor
    posterior_mean_coef1: Tensor
    posterior_mean_coef2: Tensor
    trained_steps: Tensor

    def __init__(self, betas: Tensor, trained_steps: Tensor | None = None, eta: float = 1.0):
        super().__init__()
        if betas.ndim != 1 or len(betas) == 0 or not bool(((betas > 0) & (betas < 1)).all()):
            raise ValueError("betas must be a non-empty vector of numbers between 0 and 1, both excluded")
        if trained_steps is None:
            trained_steps = torch.arange(len(betas))
        # \bar\alpha_t = \prod_{s \le t} (1 - \beta_s)
        alphas_cumprod = torch.cumprod(1 - betas, dim=0)  # [T]
        alphas_cumprod_prev = torch.cat([alphas_cumprod.new_ones(1), alphas_cumprod[:-1]])  # [T]
        # \tilde\beta_t = \beta_t (1 - \bar\alpha_{t-1}) / (1 - \bar\alpha_t)
        posterior_variance = betas * (1 - alphas_cumprod_prev) / (1 - alphas_cumprod)
        # E[x_{t-1} | x_t, x_0] = c_1 x_0 + c_2 x_t
        coef1 = betas * alphas_cumprod_prev.sqrt() / (1 - alphas_cumprod)
        coef2 = (1 - alphas_cumprod_prev) * (1 - betas).sqrt() / (1 - alphas_cumprod)
        if eta != 1:  # less noise is drawn, so more of the noise that is there is kept: x_{t-1} keeps its distribution
            posterior_variance = eta**2 * posterior_variance
            # c_2 = \sqrt{(1 - \bar\alpha_{t-1} - \eta^2 \tilde\beta_t) / (1 - \bar\alpha_t)}
            coef2 = ((1 - alphas_cumprod_prev - posterior_variance).clamp(min=0) / (1 - alphas_cumprod)).sqrt()
            # c_1 = \sqrt{\bar\alpha_{t-1}} - c_2 \sqrt{\bar\alpha_t}
            coef1 = alphas_cumprod_prev.sqrt() - coef2 * alphas_cumprod.sqrt()
        self.eta = eta
        # How many trained steps one visit stands for: all those since the next less noisy visit.
        self.jumps: list[int] = torch.diff(trained_steps, prepend=torch.tensor([-1])).tolist()
        self.trained_step_numbers: list[int] = trained_steps.tolist()
        for name, values in {
            "betas": betas,
            "alphas_cumprod": alphas_cumprod,
            "alphas_cumprod_prev": alphas_cumprod_prev,
            "posterior_variance": posterior_variance,
            "posterior_mean_coef1": coef1,
            "posterior_mean_coef2": coef2,
        }.items():
            self.register_buffer(name, values.float(), persistent=False)
        self.register_buffer("trained_steps", trained_steps, persistent=False)

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
        last = math.cos(math.pi / 2) ** (2 * tau)  # zero but for rounding, which a small tau magnifies
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
        """Draw from q(x_t | x_0), the forward process in one jump.

        Args:
            x_0: [B, ...] clean values.
            step: [B] or [1] which step each row is taken to.
            noise: like ``x_0``, standard normal. Zeros give the mean, as for the scaled actions.
        """
        alpha_bar = _per_row(self.alphas_cumprod, step, x_0)  # [B, 1, ...]
        # x_t = \sqrt{\bar\alpha_t} x_0 + \sqrt{1 - \bar\alpha_t} \epsilon
        return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * noise  # [B, ...]

    def posterior_mean(self, x_0: Tensor, x_t: Tensor, index: int) -> Tensor:
        """Mean of q(x_{t-1} | x_t, x_0) at one step of the chain; its variance is ``posterior_variance``.

        With another ``eta`` than 1 it is the mean of the step that draws that much noise, and so is the variance.
        """
        # \tilde\mu_t = c_1 x_0 + c_2 x_t
        return self.posterior_mean_coef1[index] * x_0 + self.posterior_mean_coef2[index] * x_t

    def respaced(self, n_sampling_steps: int, eta: float = 1.0) -> NoiseSchedule:
        r"""The schedule of a chain that visits only S of the T steps and draws ``eta`` of the noise in each.

        The visited steps are evenly spread from the first to the last. Between two of them,
        $\beta' = 1 - \bar\alpha_t / \bar\alpha_s$: the same forward process seen at fewer times, so the
        trained denoiser serves unchanged.
        """
        if not 1 <= n_sampling_steps <= self.n_steps:
            raise ValueError(f"can visit 1 to {self.n_steps} of {self.n_steps} steps, not {n_sampling_steps}")
        if not 0 <= eta <= 1:
            raise ValueError(f"eta must be from 0 (no noise) to 1 (the posterior's), not {eta}")
        if (n_sampling_steps, eta) == (self.n_steps, self.eta):
            return self
        # With one visit there is no way back in parts: jump from the noisiest step.
        first = 0 if n_sampling_steps > 1 else self.n_steps - 1
        visited = torch.linspace(first, self.n_steps - 1, n_sampling_steps, dtype=torch.float64).round().long()
        # float64 from the stored betas, because ratios of tiny signals lose float32's digits
        alpha_bar = torch.cumprod(1 - self.betas.double().cpu(), dim=0)[visited]  # [S]
        previous = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
        betas = (1 - alpha_bar / previous).clamp(max=1 - 1e-12)  # 1 itself where no signal is left
        respaced = NoiseSchedule(betas, self.trained_steps.cpu()[visited], eta)
        return respaced.to(self.betas.device)


def _per_row(table: Tensor, step: Tensor, like: Tensor) -> Tensor:
    """Look ``table`` up at each row's step, shaped to broadcast against ``like``."""
    return table[step].reshape(-1, *(1,) * (like.ndim - 1))
