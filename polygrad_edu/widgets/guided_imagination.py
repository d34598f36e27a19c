"""Guided imagination to play with: a trained world model, a policy whose spread is free, any rule and convention.

The sampler here walks the chain as ``TrajectoryDiffusion.imagine`` does, but may weigh and place the guidance of each
step as Diffuser or policy-guided diffusion do.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from .. import environments
from ..actor_critic import GaussianPolicy
from ..course.paths import shipped
from ..guidance_theory import guidance_shift
from ..noise_schedule import NoiseSchedule
from ..replay import Normaliser
from ..score_guidance import Guidance, clip_to_policy, guide_actions, standardise_actions
from ..trajectory_diffusion import TrajectoryDiffusion
from ..world_model_error import on_policyness

CONVENTIONS = ("polygrad", "diffuser", "policy-guided")
RUNAWAY = 100  # policy stds
STRENGTHS = (1e-4, 3.0)  # that can be chosen
N_PLAYED = 400
TASKS = {"point-mass": "point-mass", "hopper": "hopper-cpu"}


@dataclass(frozen=True, eq=False)
class Playground:
    """A shipped run, taken apart."""

    name: str
    diffusion: TrajectoryDiffusion
    policy: GaussianPolicy
    normaliser: Normaliser
    horizon: int
    env: gymnasium.Env
    observations: Tensor  # [N, O] to imagine from
    simulator_states: np.ndarray  # [N, S]

    def policy_with(self, std: float) -> PolicyWithStd:
        return PolicyWithStd(self.policy, std)


@dataclass(frozen=True)
class PolicyWithStd:
    """A trained policy's mean, and a spread of one's own choice."""

    mean_of: GaussianPolicy
    std: float

    def __call__(self, observations: Tensor) -> Distribution:
        return Independent(Normal(self.mean_of.mean(observations), self.std, validate_args=False), 1)


@functools.cache
def load_playground(task: str) -> Playground:
    """The world model, policy and real states of a task; loaded once in a process.

    Raises:
        ValueError: no such task.
    """
    if task not in TASKS:
        raise ValueError(f"there is no playground {task!r}; choose {' or '.join(TASKS)}")
    result = shipped(TASKS[task])
    loop, model = result.loop, result.loop.world_model
    network = model.averaged_network.requires_grad_(False)
    return Playground(
        task,
        network,
        loop.best_policy,
        model.normaliser,
        loop.preset.horizon,
        loop.make_env(),
        result.observations,
        result.simulator_states.numpy(),
    )


def step_weights(convention: str, diffusion: TrajectoryDiffusion) -> list[float]:
    """What each trained step's pull is multiplied by, [T]: how far an action one unit and one std off is moved."""
    # theory.guidance_shift is -weight * offset / sigma^2
    return (-guidance_shift(convention, diffusion.schedule, 1.0, 1.0, 1.0)).tolist()


class Visit(NamedTuple):
    """The trained steps that a visit of the sampler stands for, both ends included, and their mean weight."""

    first: int
    last: int
    weight: float


def visits(schedule: NoiseSchedule, weights: list[float]) -> list[Visit]:
    """Of a respaced schedule, noisiest first. Step 0 is unguided, and nobody's weight counts it."""
    found = []
    for last, jump in zip(schedule.trained_step_numbers[::-1], schedule.jumps[::-1], strict=True):
        first = max(last - jump + 1, 1)
        guided = weights[first : last + 1]
        found.append(Visit(first, last, sum(guided) / len(guided) if guided else 0.0))
    return found


@torch.no_grad()
def guided_trajectories(
    playground: Playground,
    policy: PolicyWithStd,
    guidance: Guidance,
    convention: str,
    first: Tensor,
    n_sampling_steps: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Imagined observations [B, H, O] and actions [B, H, A], in the environment's units.

    A visit that stands for several trained steps is given their mean weight. With the convention ``polygrad`` this is
    ``TrajectoryDiffusion.imagine``, to the last bit.
    """
    model, normaliser = playground.diffusion, playground.normaliser
    schedule, weights = model.schedule.respaced(n_sampling_steps), step_weights(convention, model)
    if convention != "polygrad":  # neither clips, and Diffuser asks the policy at the posterior's mean
        place = "posterior_mean" if convention == "diffuser" else "reconstruction"
        guidance = replace(guidance, clip_std=None, guide_at=place)
    generator = torch.Generator().manual_seed(seed)
    first = normaliser.observations.normalise(first)  # [B, O]
    shape = (len(first), playground.horizon)
    trajectory = torch.randn(*shape, model.observation_size + 2, generator=generator)
    trajectory[:, 0, : model.observation_size] = first
    actions = start_actions = torch.randn(*shape, normaliser.actions.size, generator=generator)
    for index, visit in zip(reversed(range(schedule.n_steps)), visits(schedule, weights), strict=True):
        trajectory_noise = torch.randn(trajectory.shape, generator=generator)
        drawn = start_actions
        if guidance.rule != "fixed-noise":
            drawn = torch.randn(actions.shape, generator=generator)
        weighed = replace(guidance, scale=guidance.scale * visit.weight)
        asked = policy
        if convention == "policy-guided":  # at x_t, whatever the denoiser makes of it
            noisy = normaliser.observations.denormalise(trajectory[..., : model.observation_size]).clone()
            asked = lambda _, noisy=noisy: policy(noisy)  # noqa: E731
        trajectory, actions = model.reverse_step(
            schedule, index, trajectory, actions, first, asked, normaliser, weighed, trajectory_noise, drawn
        )
    observations, _, _ = normaliser.denormalise_trajectory(trajectory)
    return observations, normaliser.actions.denormalise(actions)


class Measured(NamedTuple):
    """Imagined trajectories beside what the simulator does with their actions."""

    observations: np.ndarray  # [B, H, O] imagined
    real: np.ndarray  # [B, H, O] simulated
    deviations: np.ndarray  # [B, H, A] actions less the policy's mean
    standardised: np.ndarray  # [B, H, A]
    std: float
    ks_distance: float
    errors: np.ndarray  # [H] median squared error, in units of the data's variance


def measure(
    playground: Playground, policy: PolicyWithStd, observations: Tensor, actions: Tensor, states: np.ndarray
) -> Measured:
    """Play the imagined actions in the simulator, from ``states`` [B, S], and put both side by side.

    Raises:
        ValueError: actions so far from the policy that there is nothing to compare.
    """
    distribution = policy(observations)
    standardised = standardise_actions(actions, distribution)
    if not standardised.abs().max() < RUNAWAY:
        raise ValueError("the actions run away: each step overshoots the policy's mean; choose a smaller strength")
    replays = [
        environments.replay_actions(playground.env, state, played)
        for state, played in zip(states, actions.numpy(), strict=True)
    ]
    real = np.stack([replay["observations"] for replay in replays])
    ended = np.maximum.accumulate(np.stack([replay["terminals"] for replay in replays]), axis=1)  # [B, H] by then
    scale = playground.normaliser.observations.scale.numpy()
    squared = (((observations.numpy() - real) / scale) ** 2).mean(axis=-1)  # [B, H]
    running = np.concatenate([np.ones((len(real), 1), dtype=bool), ended[:, :-1] == 0], axis=1)
    real[~running] = np.nan  # after its end an episode shows nothing
    errors = np.array([np.median(squared[runs, h]) if runs.any() else np.nan for h, runs in enumerate(running.T)])
    like = on_policyness(standardised)
    deviations = (actions - distribution.mean).numpy()
    return Measured(observations.numpy(), real, deviations, standardised.numpy(), like.std, like.ks_distance, errors)


def expected_std(
    playground: Playground, convention: str, scales: Tensor, policy_std: float, n_sampling_steps: int, clip: bool = True
) -> Tensor:
    """Spread of the actions about a mean that stands still, relative to the policy's, for strengths ``scales`` [N].

    The gradient rule itself, played on ``N_PLAYED`` actions: ``theory.chain_std`` with the clip, the visited steps and
    the convention's weights.
    """
    schedule, unit = playground.diffusion.schedule.respaced(n_sampling_steps), playground.normaliser.actions.scale
    stds = playground.diffusion.schedule.posterior_variance.sqrt().tolist()
    clip_std = 3.0 if clip and convention == "polygrad" else None
    generator = torch.Generator().manual_seed(0)
    shape = (N_PLAYED, len(unit))
    actions = (unit * torch.randn(shape, generator=generator)).expand(len(scales), *shape)  # [N, M, A]
    policy = Independent(Normal(torch.zeros_like(actions), policy_std, validate_args=False), 1)
    for visit in visits(schedule, step_weights(convention, playground.diffusion)):
        noise = torch.randn(shape, generator=generator)
        if visit.last:
            guidance = Guidance(scale=scales[:, None, None] * visit.weight, clip_std=clip_std)
            step_stds = stds[visit.first : visit.last + 1][::-1]
            actions = guide_actions(actions, policy, guidance, noise, step_stds, unit)
    return clip_to_policy(actions, policy, clip_std).square().mean(dim=(1, 2)).sqrt() / policy_std


@functools.lru_cache(maxsize=64)
def expected_curve(
    task: str, convention: str, policy_std: float, n_sampling_steps: int
) -> tuple[list[float], list[float], float | None]:
    """Strengths, the spread expected at each, and the strength at which it first falls through 1, if it does."""
    scales = torch.logspace(math.log10(STRENGTHS[0]), math.log10(STRENGTHS[1]), 60)
    spread = expected_std(load_playground(task), convention, scales, policy_std, n_sampling_steps)
    spread = spread.nan_to_num(1e3, 1e3).clamp(1e-3, 1e3)
    below = (spread < 1).nonzero().flatten().tolist()
    right = None
    if below and below[0] > 0:  # a straight line between logarithms
        (x, next_x), (y, next_y) = (values[below[0] - 1 : below[0] + 1].log().tolist() for values in (scales, spread))
        right = math.exp(x + (next_x - x) * y / (y - next_y))
    return scales.tolist(), spread.tolist(), right
