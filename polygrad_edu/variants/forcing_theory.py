r"""Forcing theory: the effect of a delay where it can be worked out; nothing here is learned.

In a linear Gaussian world every denoiser is known: the one that sees the whole trajectory, the one that sees the past,
and the one that looks back a single step. The sampler of :mod:`polygrad_edu.variants.staggered_sampler` is an affine
map of its noise then, so what it draws has exact moments for each delay. A constant that no state shows, the same
throughout an episode, tells the three apart.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..guidance_theory import LinearGaussianWorld, Moments, moments_reached, unit_draws
from ..guided_sampler import SamplerNoise
from ..noise_schedule import NoiseSchedule
from ..replay import Normaliser
from ..settings import GuidanceSettings
from .diffusion_forcing import ForcedDiffusion
from .staggered_sampler import StaggeredSampler, StaggeredVisit

VIEWS = ("whole", "past", "step")  # all time points; those up to the one in question; that one and the one before


class ForcedDenoiser(nn.Module):
    r"""$E[x_0 \mid x, a]$ where each time point has a noise level of its own, in the sampler's layout.

    Args:
        world: it knows the world's data with random actions, those of ``behaviour_gain`` 0.
        schedule: the noise levels.
        view: how much of the trajectory it sees, one of ``VIEWS``; of the actions it sees all those before a state.
    """

    lookback = None

    def __init__(self, world: LinearGaussianWorld, schedule: NoiseSchedule, view: str):
        super().__init__()
        if view not in VIEWS:
            raise ValueError(f"view {view!r} is unknown; choose one of {', '.join(VIEWS)}")
        self.schedule = schedule
        self.offset, self.by_actions, self.covariance = world.states_given_actions()
        everything = torch.ones(world.horizon, world.horizon, dtype=torch.bool)
        past = everything.tril()
        self.sees = {"whole": everything, "past": past, "step": past.triu(-1)}[view]

    def forward(self, trajectory: Tensor, actions: Tensor, step: Tensor, surprise: Tensor) -> Tensor:
        """As :meth:`polygrad_edu.variants.step_denoiser.StepMLPDenoiser.forward`; rewards and endings are 0."""
        signal = self.schedule.signal_variance(step[0]).double()  # [H] \bar\alpha of each time point
        prior = self.offset + actions[..., 0].double() @ self.by_actions.T  # [B, H] E[s | a]
        unexpected = trajectory[..., 0].double() - signal.sqrt() * prior  # [B, H]
        # \mathrm{cov}(x) = D C D + 1 - D^2, with D = \sqrt{\bar\alpha}
        scale = signal.sqrt()
        noisy = scale[:, None] * self.covariance * scale + torch.diag(1 - signal)
        states = []
        for point, seen in enumerate(self.sees):
            # E[s_t | x] = E[s_t | a] + C_t D (D C D + 1 - D^2)^{-1} (x - D E[s | a]), over what is seen
            weights = torch.linalg.pinv(noisy[seen][:, seen], hermitian=True) @ (scale * self.covariance[point])[seen]
            states.append(prior[:, point] + unexpected[:, seen] @ weights)
        return F.pad(torch.stack(states, dim=1)[..., None], (0, 2)).to(trajectory)  # [B, H, 3]


def forced_sampler(
    world: LinearGaussianWorld, view: str, schedule: NoiseSchedule, visits: int, delay: int
) -> StaggeredSampler:
    """The package's staggered sampler with the exact denoiser of a view, in units of 1 and with nothing clipped."""
    diffusion = ForcedDiffusion(ForcedDenoiser(world, schedule, view), schedule, 1, "x0")
    guidance = GuidanceSettings(rule="fixed-noise", clip_std=0.0, change_limit=1e9)
    return StaggeredSampler(diffusion, schedule.walk(visits), guidance, Normaliser(1, 1), world.horizon, delay)


@torch.no_grad()
def forced_moments(world: LinearGaussianWorld, view: str, schedule: NoiseSchedule, visits: int, delay: int) -> Moments:
    """The exact moments of the states and actions that :func:`forced_sampler` draws.

    ``response`` is to (calls+1)*H*4 numbers: drawn first and at each call, for state, reward, terminal and action.
    """
    sampler = forced_sampler(world, view, schedule, visits, delay)
    calls = list(sampler.walk)
    draws, state, first = unit_draws(world, len(calls))
    for number, visit in enumerate(calls, start=1):
        assert isinstance(visit, StaggeredVisit)
        noise = SamplerNoise(draws[:, number, visit.rows, :3], draws[:, 0, visit.rows, 3:])
        state = sampler.step(visit, state, first, world.policy, noise)
    return moments_reached(state)


class Kept(NamedTuple):
    """A distribution over trajectories beside the world's own; 1 is right for both."""

    spread: float  # standard deviation of the last state
    constant: float  # share of the hidden constant's variance that the steps of a trajectory have in common


def kept(world: LinearGaussianWorld, moments: Moments) -> Kept:
    """Spread of the last state, and how much of the hidden constant is one constant."""
    exact = world.moments().covariance
    last = world.horizon - 1
    spread = (moments.covariance[last, last] / exact[last, last]).sqrt().item()
    eye = torch.eye(world.horizon, dtype=torch.float64)
    # d_t = s_{t+1} - F s_t - G a_t is the constant and the step's own noise
    drift = torch.cat([eye[1:] - world.transition * eye[:-1], -world.control * eye[:-1]], dim=1)  # [H-1, 2H]
    covariance = drift @ moments.covariance @ drift.T
    pairs = covariance[~torch.eye(world.horizon - 1, dtype=torch.bool)]
    return Kept(spread, pairs.mean().item() / world.hidden_std**2 if world.hidden_std else math.nan)
