"""Guided imagination to play with: a trained world model, a policy whose spread is free, any rule and convention.

The sampler here walks the chain as ``TrajectoryDiffusion.imagine`` does, but may weigh and place the guidance of each
step as Diffuser or policy-guided diffusion do.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from .. import environments
from ..actor_critic import GaussianPolicy
from ..course.shared import shipped
from ..replay import Normaliser
from ..score_guidance import Guidance, standardise_actions
from ..theory import guidance_shift
from ..trajectory_diffusion import TrajectoryDiffusion
from ..world_model_error import on_policyness

CONVENTIONS = ("polygrad", "diffuser", "policy-guided")
RUNAWAY = 100  # policy stds
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
    for index in reversed(range(schedule.n_steps)):
        trajectory_noise = torch.randn(trajectory.shape, generator=generator)
        drawn = start_actions
        if guidance.rule != "fixed-noise":
            drawn = torch.randn(actions.shape, generator=generator)
        last = schedule.trained_step_numbers[index]
        stands_for = weights[max(last - schedule.jumps[index] + 1, 1) : last + 1] or [0.0]
        weighed = replace(guidance, scale=guidance.scale * sum(stands_for) / len(stands_for))
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


def measure(playground: Playground, policy: PolicyWithStd, observations: Tensor, actions: Tensor, states) -> Measured:
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


def expected_std(playground: Playground, convention: str, scale: Tensor, policy_std: float) -> Tensor:
    """Spread of unclipped actions under the gradient rule, relative to the policy's, for strengths ``scale`` [N].

    ``theory.chain_std`` for each action dimension with its own unit, and for the other conventions with their weights.
    """
    schedule = playground.diffusion.schedule
    weights = step_weights(convention, playground.diffusion)
    units = playground.normaliser.actions.scale.double()  # [A]
    variance = (units**2).expand(len(scale), -1)  # [N, A] actions start as noise of one unit
    for step in reversed(range(1, schedule.n_steps)):  # step 0 is unguided
        contraction = 1 - scale.double()[:, None] * weights[step] / policy_std**2
        # v \leftarrow (1 - \lambda w_t / \sigma^2)^2 v + \tilde\beta_t u^2
        variance = contraction**2 * variance + schedule.posterior_variance[step].double() * units**2
    return variance.mean(dim=1).sqrt() / policy_std


def best_scale(playground: Playground, convention: str, policy_std: float) -> float | None:
    """The strength at which :func:`expected_std` falls through 1, where there is one: where tuning comes to rest."""
    low, high = 1e-8, None
    grid = torch.logspace(-6, 2, 400, dtype=torch.float64)
    spread = expected_std(playground, convention, grid, policy_std)
    below = (spread < 1).nonzero()
    if len(below) == 0 or below[0] == 0:
        return None
    low, high = grid[below[0] - 1].item(), grid[below[0]].item()
    for _ in range(20):
        middle = (low * high) ** 0.5
        spread = expected_std(playground, convention, torch.tensor([middle], dtype=torch.float64), policy_std)
        low, high = (middle, high) if spread > 1 else (low, middle)
    return (low * high) ** 0.5
