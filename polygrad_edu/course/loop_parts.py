"""What assignment 5 builds its loop from: a plan, the parts of the package, and a world in one dimension."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch

from ..actor_critic import ActorCritic
from ..policy_update import ActorCriticOptimiser
from ..polygrad import PolyGRAD
from ..presets import get_preset
from ..replay import Normaliser, SequenceReplay


class Plan(NamedTuple):
    """How much of what a loop does."""

    env_steps: int  # real steps in all, the random ones included
    prefill_steps: int  # of them random, before anything is learned
    pretrain_updates: int  # updates of the world model on these
    updates_per_step: float  # updates of the world model for each further real step
    improve_every: int  # real steps between updates of the policy
    imagined_trajectories: int  # for each of these


PENDULUM = Plan(
    env_steps=1000,
    prefill_steps=500,
    pretrain_updates=500,
    updates_per_step=1.0,
    improve_every=4,
    imagined_trajectories=128,
)  # about five seconds


class Parts(NamedTuple):
    """Everything but the environment."""

    replay: SequenceReplay
    world_model: PolyGRAD
    actor_critic: ActorCritic
    optimiser: ActorCriticOptimiser


def make_parts(env: gymnasium.Env, plan: Plan, seed: int, width: int = 128) -> Parts:
    """Untrained parts for a vector task, small enough for seconds on a CPU; the same for the same seed."""
    torch.manual_seed(seed)
    preset = replace(get_preset("inverted-pendulum"), width=width, depth=2, sampling_steps=8, batch_size=2 * width)
    sizes = gymnasium.spaces.flatdim(env.observation_space), gymnasium.spaces.flatdim(env.action_space)
    normaliser, generator = Normaliser(*sizes), torch.Generator().manual_seed(seed)
    world_model = PolyGRAD(preset, normaliser, generator)
    replay = SequenceReplay(plan.env_steps, world_model.window, normaliser)
    actor_critic = ActorCritic(
        *sizes, preset.policy_width, preset.initial_std, preset.minimum_std, preset.gamma, preset.gae_lambda,
        preset.entropy_weight, preset.target_average, preset.value_statistics_rate, preset.real_steps_only,
    )  # fmt: skip
    optimiser = ActorCriticOptimiser(
        actor_critic,
        preset.actor_learning_rate,
        preset.critic_learning_rate,
        preset.target_change,
        preset.gradient_clip,
    )
    return Parts(replay, world_model, actor_critic, optimiser)


class LineWorld(gymnasium.Env):
    """A point on a line, $x' = 0.9 x + 0.3 a$, which begins anywhere from -1 to 1 and is stopped after 25 steps.

    Args:
        pays: the reward of every step; ``None`` pays $-|x'|$.
        edge: the episode ends beyond it, on either side.
    """

    def __init__(self, pays: float | None = None, edge: float = np.inf):
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.pays, self.edge, self.x, self.age = pays, edge, 0.0, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.x, self.age = float(self.np_random.uniform(-1, 1)), 0
        return np.array([self.x], dtype=np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.x = 0.9 * self.x + 0.3 * float(np.clip(action, -1, 1).item())
        self.age += 1
        reward = -abs(self.x) if self.pays is None else self.pays
        return np.array([self.x], dtype=np.float32), reward, abs(self.x) > self.edge, self.age == 25, {}
