"""The imagination loop: act, store, fit the world model, imagine, improve (arXiv 2312.08533, Algorithm 2).

The policy never learns from what it did, only from what the world model imagines it would do; real steps
serve to keep the world model honest about the states that the policy visits.
"""

from __future__ import annotations

import copy
import functools
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import environments
from .actor_critic import ActorCritic
from .baselines import make_world_model
from .policy_update import ActorCriticOptimiser
from .polygrad import PolyGRAD
from .replay import Normaliser, SequenceReplay
from .settings import Preset
from .trajectory_diffusion import ImaginedTrajectories

# Evaluation episodes start from these seeds on, far from training seeds; reported ones from others again.
SELECTION_SEED, REPORT_SEED = 1_000_000, 2_000_000


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, before anything is drawn."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - for libraries that still draw from it
    torch.manual_seed(seed)


class NotFiniteError(ArithmeticError):
    """A number became infinite or not a number; the message says which, where, and what to try."""


class ImaginationLoop:
    """A whole training run: environment, replay, world model, policy, and the order they work in.

    Attributes:
        world_model: PolyGRAD, or the baseline that the preset names.
        actor_critic: the policy and the value function.
        replay: all real transitions so far.
        env_step: real steps taken.

    Example::

        loop = ImaginationLoop(get_preset("inverted-pendulum"), seed=0)
        for metrics in loop.steps():
            ...
    """

    def __init__(self, preset: Preset, seed: int = 0, device: torch.device | str = "cpu"):
        seed_everything(seed)
        self.preset, self.seed, self.device = preset, seed, torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.make_env = functools.partial(environments.make, preset.env_id, preset.action_scale)
        self.env = self.make_env()
        self.observation, _ = self.env.reset(seed=seed)
        self.env.action_space.seed(seed)
        observation_size, action_size = len(self.observation), self.env.action_space.shape[0]
        normaliser = Normaliser(observation_size, action_size, self.device)
        self.world_model = make_world_model(preset, normaliser, self.generator)
        self.replay = SequenceReplay(
            preset.env_steps,
            self.world_model.window,
            normaliser,
            len(environments.get_simulator_state(self.env)),
            self.device,
        )
        self.actor_critic = ActorCritic(
            observation_size,
            action_size,
            preset.policy_width,
            preset.initial_std,
            preset.minimum_std,
            preset.gamma,
            preset.gae_lambda,
            preset.entropy_weight,
            preset.target_average,
            preset.value_statistics_rate,
            preset.real_steps_only,
        ).to(self.device)
        self.optimiser = ActorCriticOptimiser(
            self.actor_critic,
            preset.actor_learning_rate,
            preset.critic_learning_rate,
            preset.target_change,
            preset.gradient_clip,
        )
        if isinstance(self.world_model, PolyGRAD):
            self.world_model.advantage = self.actor_critic.advantage
        self.best_policy = copy.deepcopy(self.actor_critic.policy).requires_grad_(False)
        # what a checkpoint keeps beside the tensors
        self.env_step = 0
        self.world_model_updates = 0
        self.episode_return = 0.0
        self.last_return = float("nan")
        self.best_return = -float("inf")
        self.last_eval = float("nan")

    counters = (
        "env_step", "world_model_updates", "episode_return", "last_return", "best_return", "last_eval",
    )  # fmt: skip

    def steps(self) -> Iterator[dict[str, Any]]:
        """Run to the preset's ``env_steps``; after each real step, yield what was learned from it.

        The dictionary holds tensors that were not waited for; read them when they are to be shown.
        """
        while self.env_step < self.preset.env_steps:
            yield self.step()

    def step(self) -> dict[str, Any]:
        """One real step and all the learning that is due after it (Algorithm 2's loop body)."""
        preset = self.preset
        metrics: dict[str, Any] = self.act()
        if self.env_step == preset.prefill_steps:
            self.replay.refresh_normaliser()
        if self.env_step >= preset.prefill_steps and self.replay.n_starts:
            for _ in range(self._updates_due()):
                metrics["world_model_loss"] = self.fit_world_model()
            if self.env_step % preset.policy_update_every == 0:
                metrics |= self.improve_policy()
        if self.env_step % preset.eval_every == 0 or self.env_step == preset.env_steps:
            metrics |= self.evaluate()
        return metrics

    def act(self) -> dict[str, Any]:
        """Take one step in the real environment (a random one at first) and store it."""
        state = environments.get_simulator_state(self.env)
        if self.env_step < self.preset.prefill_steps:
            action_size = self.replay.normaliser.actions.size
            action = 2 * torch.rand(action_size, generator=self.generator, device=self.device) - 1
        else:
            action = self._sample_action()
        action = action.cpu().numpy()
        observation, reward, terminal, truncated, _ = self.env.step(action)
        if not (np.isfinite(observation).all() and np.isfinite(reward)):
            raise NotFiniteError(
                f"{self.preset.env_id} returned a non-finite observation or reward at step {self.env_step}; "
                "its simulation has diverged, which a smaller initial_std may prevent"
            )
        self.replay.add(self.observation, action, reward, terminal, truncated, state)
        self.observation = observation
        self.env_step += 1
        self.episode_return += float(reward)
        if not (terminal or truncated):
            return {}
        self.last_return, self.episode_return = self.episode_return, 0.0
        self.observation, _ = self.env.reset()
        if self.env_step > self.preset.prefill_steps:
            self.replay.refresh_normaliser()
        return {"episode_return": self.last_return}

    @torch.no_grad()
    def _sample_action(self) -> Tensor:
        policy = self.actor_critic.policy
        mean = policy.mean(torch.as_tensor(self.observation, dtype=torch.float32, device=self.device))  # [A]
        return mean + policy.std * torch.randn(mean.shape, generator=self.generator, device=self.device)

    def _updates_due(self) -> int:
        learned_steps = self.env_step - self.preset.prefill_steps
        due = self.preset.pretrain_updates + int(learned_steps * self.preset.updates_per_step)
        return due - self.world_model_updates

    def fit_world_model(self) -> Tensor:
        """One update of the world model on real sequences; returns the loss."""
        self.world_model_updates += 1
        return self.world_model.fit(self.replay)

    def imagine(self, n_trajectories: int) -> ImaginedTrajectories:
        """Imagine on-policy trajectories from real states drawn from the replay."""
        batch = self.replay.sample(n_trajectories, self.generator)
        return self.imagine_from(batch.first_observations)

    def imagine_from(
        self, first_observations: Tensor, generator: torch.Generator | None = None
    ) -> ImaginedTrajectories:
        """Imagine from given raw observations [B, O]."""
        policy = self.actor_critic.policy
        return self.world_model.imagine(first_observations, policy, self.preset.horizon, generator)

    def improve_policy(self) -> dict[str, Tensor]:
        """Imagine, then one actor-critic update; the world model is told how on-policy its actions were."""
        imagined = self.imagine(self.preset.imagined_trajectories)
        metrics = self.optimiser.update(imagined.observations, imagined.actions, imagined.rewards, imagined.terminals)
        return metrics | self.world_model.tune(metrics["action_std"])

    def evaluate(self) -> dict[str, float]:
        """Returns of the policy's mean action; the best policy so far is kept."""
        policy = self.actor_critic.policy
        returns = environments.evaluate(self.make_env, policy, self.preset.eval_episodes, SELECTION_SEED, self.device)
        self.last_eval = float(returns.mean())
        if self.last_eval >= self.best_return:
            self.best_return = self.last_eval
            self.best_policy.load_state_dict(policy.state_dict())
        return {"eval_return": self.last_eval, "best_return": self.best_return}
