r"""Diffusion forcing: a noise level of its own for each step of a trajectory (arXiv 2407.01392).

PolyGRAD takes the noise off a whole trajectory at once. Autoregressive diffusion takes all of it off one step before it
turns to the next. They are the two ends of one dial. Here a *step* is an action, its reward, whether it ended the
episode, and the state that it led to, and each step has a noise level of its own. While sampling, a step begins
``delay`` visits after the one before it: 0 is the paper's order, as many as there are visits is one after the other,
and in between a step sees its past nearly clean, for a fraction of the calls.

In a trajectory [B, P, O+2] of P time points, row t holds the state s_t, and the reward and ending of the step *after*
it. So the level of step t is that of the state in row t, and of the reward, ending and action in row t - 1. The state
in row 0 is given. Nothing follows the last row, whose reward and ending have the level of its state.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..acceleration import autocast
from ..noise_schedule import CLEAN, NoiseSchedule
from ..settings import PREDICTIONS
from ..trajectory_diffusion import TrajectoryDiffusion
from .ending_network import EndingMLP

VISITED, CLEAN_PAST, UNRELATED = 0.5, 0.4, 0.1  # shares of training sequences, see draw_levels
CORRELATION_RATE = 0.01  # how fast the correlation of neighbours follows the batches
LARGEST_LOG_ERROR = 8.0


def draw_levels(n_rows: int, n_points: int, n_steps: int, generator: torch.Generator) -> Tensor:
    """Diffusion steps [B, P] to train on: sequences that get noisier with time, as samplers with a delay meet them.

    The last point has any level but clean; each point before it has less noise by a lag, from 1/16 of the whole noise
    to all of it, which is the lag of a share ``CLEAN_PAST``. In a share ``VISITED`` the last point stands where a walk
    of 1, 2, 4, 8 or 16 visits would: most of what there is to learn is learned from pure noise, the first visit of all
    of them. In a share ``UNRELATED`` levels have nothing to do with one another.

    Returns:
        [B, P] from 0 to T - 1, or ``CLEAN``.
    """
    device = generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    lag = torch.where(uniform(n_rows, 1) < CLEAN_PAST, 1.0, 2 ** (-4 * uniform(n_rows, 1)))  # [B, 1]
    visits = 2 ** (5 * uniform(n_rows, 1)).floor()  # [B, 1]
    visits = torch.where(uniform(n_rows, 1) < VISITED, visits, n_steps)
    back = torch.arange(n_points - 1, -1, -1, device=device)  # [P] how far each point lies before the last
    reach = 1 + lag * (n_points - 2)  # so that every point is met at every level
    front = (uniform(n_rows, 1) * reach * visits).ceil() / visits  # [B, 1]
    noise = torch.where(uniform(n_rows, 1) < UNRELATED, uniform(n_rows, n_points), front - lag * back)  # [B, P]
    step = (noise.clamp(0, 1) * n_steps).round().long() - 1  # CLEAN is one below the least noisy
    return torch.cat([step[:, :-1], step[:, -1:].clamp(min=0)], dim=1)


def level_features(schedule: NoiseSchedule) -> Tensor:
    """Smooth features of the noise levels, [T+1, 8], clean first: share, log signal-to-noise, sines and cosines."""
    device = schedule.betas.device
    share = torch.arange(schedule.n_steps + 1, device=device) / schedule.n_steps
    signal = torch.cat([torch.ones(1, device=device), schedule.alphas_cumprod]).clamp(1e-5, 1 - 1e-5)
    waves = [wave(torch.pi * n * share) for n in (1, 2, 4) for wave in (torch.sin, torch.cos)]
    return torch.stack([share, (signal / (1 - signal)).log() / 6, *waves], dim=1)


class Guess(NamedTuple):
    """A guess at the clean trajectory from each noisy number and the one before it; all [B, P, O+2]."""

    mean: Tensor
    std: Tensor  # how wrong it should be
    surprise: Tensor  # the noisy number, standardised given the one before it


class ForcedDiffusion(TrajectoryDiffusion):
    r"""A denoiser that is told a noise level for each time point, and the loss it is trained with.

    The denoiser is given steps [B, P] where others are given [B]. Actions are given as they are and not scaled: an
    action is what somebody did, so it carries no noise. With the prediction ``change`` the network corrects the
    :meth:`guess` in units of its error: where the past is clean, that is the change of state in units of its own
    spread, which a network learns far more exactly than the state. The errors of all levels and of all state variables,
    of rewards and of endings count alike, because each is divided by what is expected of it (arXiv 2312.02696).

    An ending is rare, and a mean that stays below one half never ends anything: with little data hardly any imagined
    robot falls. A network of its own can read instead how *likely* it is that a step ended the episode, from the state
    that it led to (:mod:`polygrad_edu.variants.ending_network`).

    Args:
        ending: from a state [..., O], normalised, to log-odds [..., 1]; None: endings are diffused.
    """

    features: Tensor
    predictions = PREDICTIONS

    def __init__(
        self,
        denoiser: nn.Module,
        schedule: NoiseSchedule,
        observation_size: int,
        prediction: str = "change",
        precision: str = "float32",
        ending: EndingMLP | None = None,
    ):
        super().__init__(denoiser, schedule, observation_size, prediction, precision)
        self.register_buffer("features", level_features(schedule), persistent=False)
        # 1 - \rho^2 of each state variable from one time point to the next, measured, not learned; a parameter only so
        # that it is averaged with the others
        self.change_variance = nn.Parameter(torch.full((observation_size,), 0.1), requires_grad=False)
        size = 2 * self.features.shape[1]
        self.log_error = nn.Sequential(nn.Linear(size, 64), nn.SiLU(), nn.Linear(64, observation_size + 2))
        self.ending = ending

    @property
    def lookback(self) -> int | None:
        """Rows before a step's own state that the denoiser looks at; None where it looks at all."""
        return cast("int | None", self.denoiser.lookback)

    def draw_steps(self, n_rows: int, n_points: int, generator: torch.Generator) -> Tensor:
        """Steps to train on, one for each time point: [B, P], see :func:`draw_levels`."""
        return draw_levels(n_rows, n_points, self.schedule.n_steps, generator)

    def loss(self, trajectory: Tensor, actions: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        r"""Squared error of the steps that are noisy, each in units of the guess's error and of its level's.

        Args:
            trajectory: [B, P, O+2] clean, normalised.
            actions: [B, P, A] normalised.
            step: [B, P] of each time point, as :func:`draw_levels` gives them.
            noise: [B, P, O+2] standard normal.
        """
        self._follow_correlation(trajectory[..., : self.observation_size])
        noisy = self.schedule.add_noise(trajectory, self.of_parts(step), noise)  # [B, P, O+2]
        with autocast(noisy.device, "float32" if self.precision == "float16" else self.precision):
            reconstruction, unit = self._reconstruct(noisy, actions, step)
            expected = self._log_error(step)  # [B, P-1, O+2]
        squared = self._of_steps(((reconstruction - trajectory) / unit.clamp(min=1e-3)).square())  # [B, P-1, O+2]
        scored = (step[:, 1:] != CLEAN).float()  # [B, P-1]
        # L = E [ (\hat x_0 - x_0)^2 / e^u + u ], least where u is the logarithm of the error
        weighted = (squared * (-expected).exp() + expected).mean(dim=-1)  # [B, P-1]
        loss = (weighted * scored).sum() / scored.sum()
        if self.ending is None:
            return loss
        ended = (trajectory[:, :-1, -1] > 0).float()  # [B, P-1]; normalised, 0 lies between no and yes
        return loss + self.ending.loss(self._led_to(trajectory), ended)

    def ending_log_odds(self, trajectory: Tensor) -> Tensor:
        """Log-odds [B, P-1] that each step of a clean trajectory, normalised, ended the episode."""
        assert self.ending is not None
        return self.ending(self._led_to(trajectory))[..., 0]

    def _led_to(self, trajectory: Tensor) -> Tensor:
        """States that the steps of a trajectory led to, [B, P-1, O]."""
        return trajectory[:, 1:, : self.observation_size]

    def reconstruct(
        self, noisy: Tensor, scaled_actions: Tensor, step: Tensor, normed_first: Tensor | None = None
    ) -> Tensor:
        """The clean trajectory that the denoiser sees in a noisy one, [B, P, O+2].

        What is clean comes back as it is, and with it the first observation, wherever the rows begin.

        Args:
            scaled_actions: [B, P, A] normalised; their scale is 1 at every level.
            step: [B, P], or [1, P] where all trajectories stand at the same steps.
        """
        seen, _ = self._reconstruct(noisy, scaled_actions, step)
        return torch.where(self.of_parts(step) == CLEAN, noisy, seen)

    def guess(self, noisy: Tensor, step: Tensor) -> Guess:
        r"""A clean trajectory without any network: two noisy neighbours, their correlation, and Bayes' rule.

        Every number of a normalised trajectory is taken for standard normal, and a state variable correlates by $\rho$
        with itself one time point before; rewards and endings do not.
        """
        alpha_bar = self.schedule.signal_variance(self.of_parts(step))  # [B, P, O+2]
        before = F.pad(self.schedule.signal_variance(step[:, :-1]), (1, 0))[..., None]  # [B, P, 1] \bar\alpha'
        states = F.pad(noisy[:, :-1, : self.observation_size], (0, 0, 1, 0))  # [B, P, O] x', nothing before the first
        # E[x_0 | x'] = \rho \sqrt{\bar\alpha'} x', \quad V = 1 - \rho^2 \bar\alpha'
        prior = F.pad((1 - self.change_variance).sqrt() * before.sqrt() * states, (0, 2))
        variance = F.pad(1 - before + before * self.change_variance, (0, 2), value=1.0)
        # x_t given x' has the mean \sqrt{\bar\alpha_t} E[x_0 | x'] and this variance
        total = 1 - alpha_bar + alpha_bar * variance
        # E[x_0 | x', x_t] = ((1 - \bar\alpha_t) E[x_0 | x'] + V \sqrt{\bar\alpha_t} x_t)
        #                    / (1 - \bar\alpha_t + \bar\alpha_t V)
        mean = ((1 - alpha_bar) * prior + variance * alpha_bar.sqrt() * noisy) / total
        return Guess(
            mean, (variance * (1 - alpha_bar) / total).sqrt(), (noisy - alpha_bar.sqrt() * prior) / total.sqrt()
        )

    def of_parts(self, of_points: Tensor) -> Tensor:
        """Values [..., P] of the steps, for each number of a trajectory: [..., P, O+2]."""
        shape = of_points.shape
        own = of_points[..., None].expand(*shape, self.observation_size)
        return torch.cat([own, of_step_after(of_points)[..., None].expand(*shape, 2)], dim=-1)

    def _reconstruct(self, noisy: Tensor, actions: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """The clean trajectory that is seen, and the unit of its error: [B, P, O+2] each."""
        guess = self.guess(noisy, step)
        output = self.denoiser(noisy, actions, step, guess.surprise).to(noisy.dtype)
        if self.prediction == "change":
            return guess.mean + guess.std * output, guess.std
        alpha_bar = self.schedule.signal_variance(self.of_parts(step))
        if self.prediction == "velocity":
            # \hat x_0 = \sqrt{\bar\alpha_t} x_t - \sqrt{1 - \bar\alpha_t} \hat v
            output = alpha_bar.sqrt() * noisy - (1 - alpha_bar).sqrt() * output
        return output, (1 - alpha_bar).sqrt()

    def _log_error(self, step: Tensor) -> Tensor:
        """Logarithm u of the error to expect, from a step's level and the one before: [B, P-1, O+2]."""
        levels = self.features[step + 1]  # [B, P, 8]
        found = self.log_error(torch.cat([levels[:, 1:], levels[:, :-1]], dim=-1)).float()
        return LARGEST_LOG_ERROR * torch.tanh(found / LARGEST_LOG_ERROR)

    def _of_steps(self, of_parts: Tensor) -> Tensor:
        """Values of each step's state, reward and ending: from [B, P, O+2] to [B, P-1, O+2]."""
        size = self.observation_size
        return torch.cat([of_parts[:, 1:, :size], of_parts[:, :-1, size:]], dim=-1)

    @torch.no_grad()
    def _follow_correlation(self, states: Tensor) -> None:
        # Of standard normal neighbours, E (x - x')^2 / 2 = 1 - \rho
        apart = ((states[:, 1:] - states[:, :-1]).square().mean(dim=(0, 1)) / 2).clamp(1e-6, 1)
        self.change_variance.lerp_(apart * (2 - apart), CORRELATION_RATE)  # 1 - \rho^2


def of_step_after(of_points: Tensor) -> Tensor:
    """Values [..., P] of the steps, for what stands one row earlier: actions, rewards and endings. The last repeats."""
    return torch.cat([of_points[..., 1:], of_points[..., -1:]], dim=-1)
