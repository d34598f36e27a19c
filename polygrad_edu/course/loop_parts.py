"""Parts of assignment 5's loop: a plan, the networks and the replay of the package, and a world in one dimension."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch

from ..actor_critic import ActorCritic
from ..policy_update import ActorCriticOptimiser
from ..presets import get_preset
from ..replay import Normaliser, SequenceReplay
from ..world_model import PolyGRAD


class Plan(NamedTuple):
    """Numbers of steps and updates of a loop."""

    env_steps: int  # real steps in all, the random ones included
    prefill_steps: int  # random ones among them, before anything is learned
    pretrain_updates: int  # of the world model on the random steps
    updates_per_step: float  # of the world model for each further real step
    improve_every: int  # real steps between updates of the policy
    imagined_trajectories: int  # for each update of the policy


PENDULUM = Plan(
    env_steps=1000,
    prefill_steps=500,
    pretrain_updates=500,
    updates_per_step=1.0,
    improve_every=4,
    imagined_trajectories=128,
)  # about five seconds


class Parts(NamedTuple):
    """Parts of a loop, without the environment."""

    replay: SequenceReplay
    world_model: PolyGRAD
    actor_critic: ActorCritic
    optimiser: ActorCriticOptimiser


def make_parts(env: gymnasium.Env, plan: Plan, seed: int, width: int = 128) -> Parts:
    """Make untrained parts for a vector task, small enough to train in seconds on a CPU; equal for equal seeds."""
    torch.manual_seed(seed)
    preset = get_preset("inverted-pendulum").with_overrides(
        width=width, depth=2, sampling_steps=8, batch_size=2 * width
    )
    sizes = gymnasium.spaces.flatdim(env.observation_space), gymnasium.spaces.flatdim(env.action_space)
    normaliser = Normaliser(*sizes)
    world_model = PolyGRAD(preset, normaliser, torch.Generator().manual_seed(seed))
    replay = SequenceReplay(plan.env_steps, world_model.window, normaliser)
    actor_critic = ActorCritic(*sizes, preset.actor_critic)
    return Parts(replay, world_model, actor_critic, ActorCriticOptimiser(actor_critic, preset.policy_update))


class LineWorld(gymnasium.Env):
    """Point on a line, $x' = 0.9 x + 0.3 a$, which starts anywhere from -1 to 1 and is cut off after 25 steps.

    Args:
        pays: reward of every step; ``None`` pays $-|x'|$.
        edge: distance from 0 beyond which the episode ends.
    """

    def __init__(self, pays: float | None = None, edge: float = np.inf):
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.pays = pays
        self.edge = edge
        self.x = 0.0
        self.age = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.x = float(self.np_random.uniform(-1, 1))
        self.age = 0
        return np.array([self.x], dtype=np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.x = 0.9 * self.x + 0.3 * float(np.clip(action, -1, 1).item())
        self.age += 1
        reward = -abs(self.x) if self.pays is None else self.pays
        return np.array([self.x], dtype=np.float32), reward, abs(self.x) > self.edge, self.age == 25, {}
