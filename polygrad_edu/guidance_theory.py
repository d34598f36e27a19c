r"""Guidance theory: the effect of PolyGRAD's guidance where it can be worked out; nothing here is learned.

Its action update (arXiv 2312.08533, Algorithm 1) is a Langevin chain, so the scale the tuner seeks can be computed. In
a linear Gaussian world the denoiser is known, and what a rule samples has exact moments to compare.

Built in lesson 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn import functional as F

from .guided_sampler import GuidedSampler, SamplerNoise, SamplerState
from .noise_schedule import NoiseSchedule
from .replay import Normaliser
from .settings import GuidanceSettings
from .trajectory_diffusion import TrajectoryDiffusion, with_first


def langevin_std(scale: float, noise_std: float, policy_std: float) -> float:
    r"""Spread that $a \leftarrow a + \lambda \nabla_a \log N(a; \mu, \sigma^2) + s \epsilon$ settles at, or inf."""
    # a - \mu is an AR(1) process: contraction r = 1 - \lambda / \sigma^2, stationary variance s^2 / (1 - r^2)
    contraction = 1 - scale / policy_std**2
    return noise_std / math.sqrt(1 - contraction**2) if abs(contraction) < 1 else math.inf


def langevin_scale(noise_std: float, policy_std: float) -> float:
    r"""The scale that settles at the policy's spread; for small noise $s^2 / 2$, unadjusted Langevin's step size."""
    if noise_std > policy_std:
        raise ValueError(f"noise of std {noise_std:g} alone is wider than the policy's {policy_std:g}: no scale fits")
    # \lambda = \sigma^2 - \sigma \sqrt{\sigma^2 - s^2} solves s^2 / (1 - r^2) = \sigma^2; r > 0 (no overshooting)
    return policy_std * noise_std**2 / (policy_std + math.sqrt(policy_std**2 - noise_std**2))


def chain_std(scale: float, schedule: NoiseSchedule, policy_std: float, start_std: float = 1, unit: float = 1) -> float:
    """Spread of unclipped actions about a mean that stands still, after the sampler's T steps.

    The sampler starts with ``action_unit``; ``unit`` is that times ``action_noise_scale``.
    """
    contraction = 1 - scale / policy_std**2
    variance = start_std**2
    for posterior_variance in schedule.posterior_variance.double().tolist()[:0:-1]:  # step 0 is unguided
        # v \leftarrow r^2 v + \tilde\beta_t u^2
        variance = contraction**2 * variance + posterior_variance * unit**2
    return math.sqrt(variance)


def tuned_scale(schedule: NoiseSchedule, policy_std: float, start_std: float = 1, unit: float = 1) -> float:
    """The scale with which T unclipped steps end in the policy's spread: where ``GuidanceScaleTuner`` comes to rest."""
    # From no pull to one that lands on the mean the spread can only fall, so there is one solution or none.
    return _tune(lambda scale: chain_std(scale, schedule, policy_std, start_std, unit) / policy_std, policy_std)


def _tune(relative_std: Callable[[float], float], policy_std: float) -> float:
    """The scale from 0 to sigma^2 at which ``relative_std`` falls through 1: bisection to 12 digits."""
    low, high = 0.0, policy_std**2
    if not relative_std(low) >= 1 >= relative_std(high):
        raise ValueError("no guidance scale from 0 to sigma^2 gives the actions the policy's spread")
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if relative_std(middle) > 1 else (low, middle)
    return (low + high) / 2


class Moments(NamedTuple):
    """Of a trajectory's H states followed by its H actions, as an affine map of N unit normal numbers."""

    mean: Tensor  # [2H]
    response: Tensor  # [N, 2H] to each number

    @property
    def covariance(self) -> Tensor:
        return self.response.T @ self.response  # [2H, 2H]


@dataclass(frozen=True)
class LinearGaussianWorld:
    r"""$s_{t+1} = F s_t + G a_t + c + w_t$ from a known $s_0$, and a policy $a_t = K s_t + z_t$; all are numbers.

    The world model knows data with actions $K_b s_t + z_t$: random for $K_b = 0$, the policy's own for $K_b = K$. If it
    is unsure of a noiseless world by ``process_std`` per step, its denoiser is that of a noisy world.
    """

    process_std: float  # of w_t
    policy_std: float = 0.5  # sigma, of z_t
    behaviour_gain: float = 0.0  # K_b
    transition: float = 0.9  # F
    control: float = 0.5  # G
    gain: float = -0.5  # K
    first_state: float = 0.8
    horizon: int = 6
    hidden_std: float = 0.0  # of c, which is drawn once for a trajectory and not seen

    def policy(self, states: Tensor) -> Distribution:
        """pi(. | s) for states [..., 1]."""
        return Independent(Normal(self.gain * states, self.policy_std), 1)

    def moments(self) -> Moments:
        """The exact joint of states and actions under the policy: what imagined trajectories should be like."""
        eye = torch.eye(self.horizon, dtype=torch.float64)
        shift = eye.roll(1, 0).tril()  # [H, H] from each time to the next
        # s = (I - (F + G K) S)^{-1} (e_0 s_0 + G S z + S w + S 1 c),  a = K s + z
        solve = torch.linalg.inv(eye - (self.transition + self.control * self.gain) * shift)
        sources = [self.first_state * eye[:, :1], self.control * self.policy_std * shift, self.process_std * shift]
        if self.hidden_std:
            sources.append(self.hidden_std * shift.sum(1, keepdim=True))
        states = solve @ torch.cat(sources, 1)  # [H, 1+2H], and one more with a hidden constant
        own = self.policy_std * F.pad(eye, (1, states.shape[1] - 1 - self.horizon))  # of the actions
        rows = torch.cat([states, self.gain * states + own])  # [2H, 1+2H]
        return Moments(rows[:, 0], rows[:, 1:].T)

    def states_given_actions(self) -> tuple[Tensor, Tensor, Tensor]:
        """p(s | a) in the behaviour's data, with mean offset [H] + by_actions [H, H] @ a, and covariance [H, H]."""
        behaviour = replace(self, gain=self.behaviour_gain).moments()
        (states, _), (shared, actions) = (half.chunk(2, 1) for half in behaviour.covariance.chunk(2))
        # \Sigma_{sa} \Sigma_{aa}^{-1}
        by_actions = torch.linalg.solve(actions, shared).T
        state_mean, action_mean = behaviour.mean.chunk(2)
        return state_mean - by_actions @ action_mean, by_actions, states - by_actions @ shared

    def score(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        r"""Gradient of the on-policy log density, [B, H] each, 0 for s_0. PolyGRAD knows ``policy_score`` only."""
        # W^{-1} (s_{t+1} - F s_t - G a_t)
        surprise = (states[:, 1:] - (self.transition * states + self.control * actions)[:, :-1]) / self.process_std**2
        after, before = F.pad(surprise, (0, 1)), F.pad(surprise, (1, 0))  # [B, H]
        # \nabla_a \log \pi(a \mid s) = (K s - a) / \sigma^2
        policy_score = (self.gain * states - actions) / self.policy_std**2
        of_states = (self.transition * after - before - self.gain * policy_score)[:, 1:]
        return F.pad(of_states, (1, 0)), policy_score + self.control * after


class ExactDenoiser(nn.Module):
    r"""$E[x_0 \mid x_t, a]$ for the CURRENT actions, in the sampler's layout; reward and terminal are 0."""

    def __init__(self, world: LinearGaussianWorld, schedule: NoiseSchedule):
        super().__init__()
        self.signal = schedule.alphas_cumprod.double().sqrt()
        self.offset, self.by_actions, covariance = world.states_given_actions()
        alpha_bar = self.signal[:, None, None] ** 2
        noisy = alpha_bar * covariance + (1 - alpha_bar) * torch.eye(world.horizon, dtype=torch.float64)
        # \sqrt{\bar\alpha} (\bar\alpha C + (1 - \bar\alpha) I)^{-1} C: how far to trust x_t over the actions
        self.trust = alpha_bar.sqrt() * torch.linalg.solve(noisy, covariance)  # [T, H, H]

    def forward(self, trajectory: Tensor, scaled_actions: Tensor, step: Tensor) -> Tensor:
        signal = self.signal[step]  # [1]
        prior = self.offset + (scaled_actions[..., 0].double() / signal) @ self.by_actions.T  # [B, H]
        states = prior + (trajectory[..., 0] - signal * prior) @ self.trust[step[0]]
        return F.pad(states[..., None], (0, 2)).to(trajectory)  # [B, H, 3]


def guided_sampling(
    world: LinearGaussianWorld, guidance: GuidanceSettings, schedule: NoiseSchedule, visits: int, batch: int, seed: int
) -> Tensor:
    """States and actions [B, 2H] from the package's own sampler with the exact denoiser: only guidance can be wrong."""
    first = torch.full((batch, 1), world.first_state)
    generator = torch.Generator().manual_seed(seed)
    sampled = exact_sampler(world, guidance, schedule, visits).sample(first, world.policy, world.horizon, generator)
    return torch.cat([sampled.observations[..., 0], sampled.actions[..., 0]], 1).double()


def exact_sampler(
    world: LinearGaussianWorld, guidance: GuidanceSettings, schedule: NoiseSchedule, visits: int
) -> GuidedSampler:
    """The package's sampler with the exact denoiser, in units of 1."""
    diffusion = TrajectoryDiffusion(ExactDenoiser(world, schedule), schedule, 1)
    return GuidedSampler(diffusion, schedule.walk(visits), guidance, Normaliser(1, 1))


def guided_moments(
    world: LinearGaussianWorld, guidance: GuidanceSettings, schedule: NoiseSchedule, visits: int
) -> Moments:
    """The exact moments of what :func:`guided_sampling` draws from if nothing is clipped: the rest is affine.

    ``response`` is to (visits+1)*H*4 numbers: drawn first and at each visit, for state, reward, terminal and action.
    """
    sampler = exact_sampler(world, replace(guidance, clip_std=0.0, change_limit=1e9), schedule, visits)
    draws, state, first = unit_draws(world, visits)
    for number, visit in enumerate(sampler.walk, start=1):
        kept = 0 if guidance.rule == "fixed-noise" else number
        noise = SamplerNoise(draws[:, number, :, :3], draws[:, kept, :, 3:])
        state = sampler.step(visit, state, first, world.policy, noise)
    return moments_reached(state)


def unit_draws(world: LinearGaussianWorld, visits: int) -> tuple[Tensor, SamplerState, Tensor]:
    """Draws by which an affine sampler shows its response: all of them 0, and then each number 1 by itself.

    Returns:
        Draws [R, visits+1, H, 4], the state that those in place 0 begin with, and the first states [R, 1].
    """
    shape = (visits + 1, world.horizon, 4)
    draws = F.pad(torch.eye(math.prod(shape)).double(), (0, 0, 1, 0)).reshape(-1, *shape)  # [R, visits+1, H, 4]
    trajectory, actions = draws[:, 0].split([3, 1], dim=-1)  # [R, H, 3], [R, H, 1]
    first = torch.full_like(trajectory[:, 0, :1], world.first_state)  # [R, 1]
    return draws, SamplerState(with_first(trajectory, first), actions), first


def moments_reached(state: SamplerState) -> Moments:
    """The moments that an affine sampler's last states under :func:`unit_draws` tell."""
    reached = torch.cat([state.trajectory[..., 0], state.actions[..., 0]], 1)  # [R, 2H]
    return Moments(reached[0], reached[1:] - reached[0])


def compare(world: LinearGaussianWorld, moments: Moments) -> dict[str, float]:
    r"""Sampled against on-policy trajectories: an error of 0 and three relative stds of 1 if they are alike.

    Why they are not, though the denoiser is exact: guidance never sees the states it will end with. It asks the policy
    at $E[x_0 \mid x_t, a]$, which varies less than states do until the noise is gone. And an action's late noise comes
    after the states were settled: as far as ``process_std`` lets the denoiser put a difference down to chance, states
    go on answering to earlier actions. Few visits narrow the states besides, as in any DDPM.
    """
    exact = world.moments()
    error = (moments.mean - exact.mean).abs().max().item()
    sampled_variances, variances = (m.covariance.diag().view(2, -1).sum(1) for m in (moments, exact))  # [2], [2]
    spread = (sampled_variances / variances).sqrt().tolist()
    noise_std = _with_noise(world, moments).diag()[world.horizon :].mean().sqrt().item() / world.policy_std
    return {"mean error": error, "state std": spread[0], "action std": spread[1], "noise std": noise_std}


def _with_noise(world: LinearGaussianWorld, moments: Moments) -> Tensor:
    """The covariance [2H, 2H] with the actions' own noise z = a - K s in place of the actions."""
    change = torch.eye(2 * world.horizon, dtype=torch.float64)
    change[world.horizon :, : world.horizon].fill_diagonal_(-world.gain)
    return change @ moments.covariance @ change.T


def action_effect(world: LinearGaussianWorld, moments: Moments) -> tuple[Tensor, Tensor]:
    r"""Regression coefficients of $s_{t+1}$ on the action's own noise $z_t$, relative to G: 1 on-policy.

    Returns:
        [H-2] on z_t alone and [H-2] on z_t beside s_t, without what comes of their going together; t starts at 1. If
        the model is sure (``process_std`` 0) and nothing clipped, the second is 1 under every rule: states follow from
        the last actions. Else late noise has lost most of its effect, and noise that has shrunk since keeps that of its
        former size. The first prevails in ``sample`` and ``ornstein-uhlenbeck``, mostly the second in ``gradient``.
    """
    c, state = _with_noise(world, moments), torch.arange(1, world.horizon - 1)
    noise, following = state + world.horizon, state + 1
    causes = torch.stack([state, noise], 1)  # [H-2, 2]
    # \Sigma_{xx}^{-1} \Sigma_{xy}
    beside = torch.linalg.solve(c[causes[:, :, None], causes[:, None]], c[causes, following[:, None]])[:, 1]
    return c[noise, following] / c[noise, noise] / world.control, beside / world.control


def tuned_guidance(
    world: LinearGaussianWorld, guidance: GuidanceSettings, schedule: NoiseSchedule, visits: int
) -> GuidanceSettings:
    """The gradient rule, unclipped, with the scale for a "noise std" of 1: :func:`tuned_scale` where states move."""

    def noise_std(scale: float) -> float:
        return compare(world, guided_moments(world, replace(guidance, scale=scale), schedule, visits))["noise std"]

    return replace(guidance, scale=_tune(noise_std, world.policy_std))


def guidance_shift(convention: str, schedule: NoiseSchedule, offset: float, policy_std: float, scale: float) -> Tensor:
    r"""Shift of an action that is ``offset`` off a Gaussian policy's mean, at each step [T], in three conventions.

    ``polygrad`` (arXiv 2312.08533): clipped to 3 std, then by the plain score; in the sampler at the predicted x_0.
    ``diffuser`` (arXiv 2205.09991, Algorithm 1): by the score times the posterior variance, at the posterior mean.
    ``policy-guided`` (arXiv 2404.06356, official code): by a weight that falls to 0 at the last step, at x_t.
    """
    steps = torch.arange(schedule.n_steps, dtype=torch.float64)
    done, guided = steps.flip(0) / schedule.n_steps, (steps > 0).double()  # k / T after k steps; all but the last
    weights = {
        "polygrad": guided,
        "diffuser": schedule.posterior_variance.double(),
        # 1 - k / T + 0.3 \sin(\pi (k + 1) / T)
        "policy-guided": guided * (1 - done + 0.3 * torch.sin(math.pi * (done + 1 / schedule.n_steps))),
    }
    if convention not in weights:
        raise ValueError(f"convention {convention!r} is unknown; choose one of {', '.join(weights)}")
    clipped = max(-3 * policy_std, min(3 * policy_std, offset)) if convention == "polygrad" else offset
    # \nabla_a \log N(a; \mu, \sigma^2) = -(a - \mu) / \sigma^2
    return clipped - offset - scale * weights[convention] * clipped / policy_std**2
