"""Guided imagination to play with: a trained world model, a policy whose spread is free, any rule and convention.

The sampler is the package's own; where another convention is chosen, it weighs and places the guidance of each step as
Diffuser or policy-guided diffusion do.
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
from ..guided_sampler import GuidedSampler, Prediction
from ..noise_schedule import Visit
from ..replay import Normaliser
from ..runs.browser_export import pack
from ..runs.shipped import ShippedResult
from ..score_guidance import clip_to_policy, guide_actions, standardise_actions
from ..settings import GuidanceSettings
from ..trajectory_diffusion import TrajectoryDiffusion
from ..world_model_error import on_policyness
from .page_noise import standard_normal

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
    packed: bytes  # the same for a page

    def policy_with(self, std: float, goal: tuple[float, ...] = (0.0, 0.0), turn: float = 0.0) -> PolicyByHand:
        return PolicyByHand(self.policy, std, goal, turn)


@dataclass(frozen=True)
class PolicyByHand:
    """A trained policy's mean, moved and turned by hand, and a spread of one's own choice.

    Attributes:
        goal: on the point mass, the place that the policy takes for the middle of the arena.
        turn: degrees by which its mean is turned; for two actions.
    """

    mean_of: GaussianPolicy
    std: float
    goal: tuple[float, ...] = (0.0, 0.0)
    turn: float = 0.0

    def __call__(self, observations: Tensor) -> Distribution:
        if any(self.goal):  # it sees each place from its goal
            away = torch.zeros(observations.shape[-1])
            away[:2] = torch.tensor(self.goal)
            observations = observations - away
        mean = self.mean_of.mean(observations)
        if self.turn:
            cos, sin = math.cos(math.radians(self.turn)), math.sin(math.radians(self.turn))
            mean = mean @ torch.tensor([[cos, sin], [-sin, cos]])
        return Independent(Normal(mean, self.std, validate_args=False), 1)


@functools.cache
def load_playground(task: str) -> Playground:
    """The world model, policy and real states of a task; loaded once in a process.

    Raises:
        ValueError: no such task.
    """
    if task not in TASKS:
        raise ValueError(f"there is no playground {task!r}; choose {' or '.join(TASKS)}")
    return playground_of(task, shipped(TASKS[task]))


def playground_of(name: str, result: ShippedResult) -> Playground:
    """Take a shipped run apart."""
    loop, model = result.loop, result.loop.world_model
    network = model.averaged_network.requires_grad_(False)
    return Playground(
        name,
        network,
        loop.best_policy,
        model.normaliser,
        loop.preset.world_model.horizon,
        loop.make_env(),
        result.observations,
        result.simulator_states.numpy(),
        pack(loop, result.observations),
    )


def step_weights(convention: str, diffusion: TrajectoryDiffusion) -> list[float]:
    """Factor of each trained step's pull, [T]: how far it moves an action that is one unit and one std off."""
    # guidance_theory.guidance_shift is -weight * offset / sigma^2
    return (-guidance_shift(convention, diffusion.schedule, 1.0, 1.0, 1.0)).tolist()


def mean_weight(visit: Visit, weights: list[float]) -> float:
    """Mean weight of the trained steps that a visit stands for; 0 for the step to x_0, which is unguided."""
    guided = weights[visit.trained_step - len(visit.trained_stds) + 1 : visit.trained_step + 1]
    return sum(guided) / len(guided) if visit.trained_stds else 0.0


class ConventionalSampler(GuidedSampler):
    """The package's sampler with the guidance of another method: its weights, and where it asks the policy.

    A visit that stands for several trained steps is given their mean weight. With the convention ``polygrad`` this is
    :class:`polygrad_edu.guided_sampler.GuidedSampler`, to the last bit.
    """

    def __init__(self, playground: Playground, guidance: GuidanceSettings, convention: str, n_sampling_steps: int):
        if convention != "polygrad":  # neither clips, and Diffuser asks the policy at the posterior's mean
            place = "posterior_mean" if convention == "diffuser" else "reconstruction"
            guidance = replace(guidance, clip_std=0.0, guide_at=place)
        diffusion = playground.diffusion
        super().__init__(diffusion, diffusion.schedule.walk(n_sampling_steps), guidance, playground.normaliser)
        self.convention = convention
        weights = step_weights(convention, diffusion)
        self.by_visit = {
            visit.index: replace(guidance, scale=guidance.scale * mean_weight(visit, weights)) for visit in self.walk
        }

    def guidance_at(self, visit: Visit) -> GuidanceSettings:
        return self.by_visit[visit.index]

    def states_to_ask_at(self, predicted: Prediction) -> Tensor:
        if self.convention == "policy-guided":  # at x_t, whatever the denoiser makes of it
            return predicted.noisy
        return super().states_to_ask_at(predicted)


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
    playground: Playground, policy: PolicyByHand, observations: Tensor, actions: Tensor, states: np.ndarray
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

    The gradient rule itself, played on ``N_PLAYED`` actions: ``guidance_theory.chain_std`` with the clip, the visited
    steps and the convention's weights.
    """
    unit = playground.normaliser.actions.scale
    weights = step_weights(convention, playground.diffusion)
    clip_std = 3.0 if clip and convention == "polygrad" else 0.0
    shape = (N_PLAYED, len(unit))
    actions = (unit * standard_normal(0, 0, *shape)).expand(len(scales), *shape)  # [N, M, A]
    policy = Independent(Normal(torch.zeros_like(actions), policy_std, validate_args=False), 1)
    for number, visit in enumerate(playground.diffusion.schedule.walk(n_sampling_steps), start=1):
        noise = standard_normal(0, number, *shape)
        if visit.trained_stds:
            scale = scales[:, None, None] * mean_weight(visit, weights)
            guidance = GuidanceSettings(scale=scale, clip_std=clip_std)
            actions = guide_actions(actions, policy, guidance, noise, visit.trained_stds, unit)
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


def verdict_on(std: float) -> str:
    """Words on how wide actions spread, in units of the policy's std."""
    return "As wide as the policy" if abs(std - 1) < 0.1 else "Too narrow" if std < 1 else "Too wide"
