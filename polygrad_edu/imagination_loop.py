"""The imagination loop: act, store, fit the world model, imagine, improve (arXiv 2312.08533, Algorithm 2).

The policy never learns from what it did, only from what the world model imagines it would do; real steps
serve to keep the world model honest about the states that the policy visits.

Built in lesson 8.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from . import environments
from .acceleration import captured, check_torch_defaults, plain_where_auto
from .baselines import make_world_model, window_of
from .collector import make_collector
from .files.input_error import InputError
from .imagined_trajectories import ImaginedTrajectories
from .replay import Normaliser, SequenceReplay
from .score_guidance import limit_actions
from .settings import MAX_SEED, Preset
from .variants.pathwise_gradient import make_actor_critic, make_optimiser

# Evaluation episodes start from these seeds on, far from training seeds; reported ones from others again.
SELECTION_SEED, REPORT_SEED = MAX_SEED + 1, 2 * (MAX_SEED + 1)


def check_seed(seed: int) -> None:
    """Refuse a seed out of range.

    Raises:
        InputError: naming the range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"seed must be from 0 to {MAX_SEED:,}, not {seed}")


@contextlib.contextmanager
def seeded_weights(seed: int, device: torch.device | str = "cpu") -> Generator[None, None, None]:
    """Within it torch draws from ``seed``; afterwards from where it stood, so that nobody else's numbers change."""
    gpus = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        yield


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

    # what a checkpoint keeps beside the tensors
    counters = ("env_step", "world_model_updates", "episode_returns", "last_return", "best_return", "last_eval")

    def __init__(self, preset: Preset, seed: int = 0, device: torch.device | str = "cpu"):
        check_seed(seed)
        check_torch_defaults()
        self.preset = preset = plain_where_auto(preset)
        self.seed, self.device = seed, torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        n_envs = preset.task.parallel_envs
        self.make_env = functools.partial(environments.make, preset.task.env_id, preset.task.action_scale)
        self.collector = make_collector(self.make_env, seed, n_envs)
        self.replay = self._make_replay()
        with seeded_weights(seed, self.device):
            self.world_model = make_world_model(preset, self.replay.normaliser, self.generator)
            self.actor_critic = make_actor_critic(preset, self.replay.normaliser).to(self.device)
        self.optimiser = make_optimiser(preset, self.actor_critic)
        self._improve_from = captured(self._eager_improve_from, preset.acceleration.compile, self.generator)
        # The policy that is evaluated and kept: the last one, or the average of the last ones.
        self.settled_policy = self.actor_critic.policy
        if preset.actor_critic.policy_average:
            self.settled_policy = copy.deepcopy(self.actor_critic.policy).requires_grad_(False)
        self.best_policy = copy.deepcopy(self.actor_critic.policy).requires_grad_(False)
        self.exploded = torch.zeros((), device=self.device)  # imagined trajectories left out so far
        self.env_step = 0
        self.world_model_updates = 0
        self.episode_returns = [0.0] * n_envs
        self.last_return = float("nan")
        self.best_return = -float("inf")
        self.last_eval = float("nan")

    def _make_replay(self) -> SequenceReplay:
        """An empty replay with room for the whole run.

        Raises:
            InputError: the task's episodes are shorter than the windows that the world model learns from.
        """
        preset, collector, window = self.preset, self.collector, window_of(self.preset)
        if window > (longest := collector.longest_episode):
            collector.close()
            raise InputError(
                f"episodes of {preset.task.env_id} are stopped after {longest} steps and hold no window of {window}; "
                f"choose a horizon of at most {longest}"
            )
        replay = SequenceReplay(
            preset.loop.env_steps + collector.n_envs - 1,  # the last steps are taken side by side, too
            window,
            Normaliser(collector.observations.shape[1], collector.action_size, self.device),
            collector.state_size,
            self.device,
            collector.n_envs,
        )
        if preset.denoiser.endings == "read":
            replay.keep_next_observations()
        return replay

    def steps(self) -> Iterator[dict[str, Any]]:
        """Run to the preset's ``env_steps``; after each real step, yield what was learned from it.

        The dictionary holds tensors that were not waited for; read them when they are to be shown.
        """
        while self.env_step < self.preset.loop.env_steps:
            yield self.step()

    def step(self) -> dict[str, Any]:
        """A real step of each environment and all the learning that is due (Algorithm 2's loop body).

        One environment acts first and is learned from at once. Several act in processes of their own while
        this one learns from what they did before; the ratio of learning to acting is the same.
        """
        before = self.env_step
        self._send_actions()
        metrics: dict[str, Any] = {} if self.collector.n_envs == 1 else self.learn()
        metrics |= self._receive()
        if before < self.preset.loop.prefill_steps <= self.env_step:
            self.replay.refresh_normaliser()
        if self.collector.n_envs == 1:
            metrics |= self.learn()
        if self.times_due(self.preset.run.eval_every) or self.env_step >= self.preset.loop.env_steps:
            metrics |= self.evaluate()
        return metrics

    def act(self) -> dict[str, Any]:
        """Take a step in each real environment (a random one at first) and store it."""
        self._send_actions()
        return self._receive()

    def learn(self) -> dict[str, Any]:
        """Make every update that is due for the real steps taken so far."""
        preset, metrics = self.preset, {}
        if self.env_step < preset.loop.prefill_steps or not self.replay.n_starts:
            return metrics
        for _ in range(self.updates_due()):
            metrics["world_model_loss"] = self.fit_world_model()
        for _ in range(self.times_due(preset.loop.policy_update_every)):
            metrics |= self.improve_policy()
        return metrics

    def times_due(self, every: int) -> int:
        """Number of times that a task due every ``every`` real steps came due in the latest step."""
        return self.env_step // every - (self.env_step - self.collector.n_envs) // every

    @torch.no_grad()
    def _send_actions(self) -> None:
        shape = self.collector.n_envs, self.collector.action_size
        if self.env_step < self.preset.loop.prefill_steps:
            actions = 2 * torch.rand(shape, generator=self.generator, device=self.device) - 1
        else:
            observations = torch.as_tensor(self.collector.observations, dtype=torch.float32, device=self.device)
            distribution = self.actor_critic.policy(observations)
            noise = torch.randn(shape, generator=self.generator, device=self.device)
            actions = distribution.mean + distribution.stddev * noise  # [n, A]
            actions = limit_actions(actions, self.preset.guidance.action_limit)
        on_host = actions.cpu().numpy()
        if not np.isfinite(on_host).all():
            raise NotFiniteError(f"an action of the policy was not finite at step {self.env_step}")
        self.collector.send(on_host)

    def _receive(self) -> dict[str, Any]:
        step = self.collector.receive()
        if not (np.isfinite(self.collector.observations).all() and np.isfinite(step.rewards).all()):
            raise NotFiniteError(
                f"{self.preset.task.env_id} returned a non-finite observation or reward at step {self.env_step}; "
                "its simulation has diverged, which a smaller initial_std may prevent"
            )
        self.replay.add(*step)
        if self.replay.next_observations is not None:
            self.replay.lead_to(self.collector.reached)
        self.env_step += self.collector.n_envs
        ended = False
        for i, reward in enumerate(step.rewards.tolist()):
            self.episode_returns[i] += reward
            if step.terminals[i] or step.truncated[i]:
                self.last_return, self.episode_returns[i], ended = self.episode_returns[i], 0.0, True
        # Within an episode, too, the normalisation follows a value that was never seen before.
        if self.env_step > self.preset.loop.prefill_steps and (
            ended or self.replay.is_surprised(step.observations, step.rewards)
        ):
            self.replay.refresh_normaliser()
        return {"episode_return": self.last_return} if ended else {}

    def updates_due(self) -> int:
        """World-model updates that the real steps taken so far call for and that were not made yet."""
        learned_steps = self.env_step - self.preset.loop.prefill_steps
        due = self.preset.loop.pretrain_updates + int(learned_steps * self.preset.loop.updates_per_step)
        return due - self.world_model_updates

    def fit_world_model(self) -> Tensor:
        """One update of the world model on real sequences; returns the loss."""
        self.world_model_updates += 1
        return self.world_model.fit(self.replay)

    def imagine(self, n_trajectories: int) -> ImaginedTrajectories:
        """Imagine on-policy trajectories from real states drawn from the replay."""
        return self.imagine_from(self.draw_states(n_trajectories))

    def draw_states(self, n: int) -> Tensor:
        """Real raw observations from the replay to imagine from."""
        return self.replay.observations[self.replay.draw(n, self.generator)]  # [n, O]

    def imagine_from(
        self, first_observations: Tensor, generator: torch.Generator | None = None
    ) -> ImaginedTrajectories:
        """Imagine from given raw observations [B, O]."""
        model, horizon = self.world_model, self.preset.world_model.horizon
        if self.preset.guidance.advantage_scale:
            model = model.with_advantage(self.actor_critic.advantage)
        return model.imagine(first_observations, self.actor_critic.policy, horizon, generator)

    def _imagine_to_learn_from(self, first_observations: Tensor) -> ImaginedTrajectories:
        if self.preset.actor_critic.policy_gradient == "likelihood-ratio":
            return self.imagine_from(first_observations)
        policy, horizon = self.actor_critic.policy, self.preset.world_model.horizon
        return self.world_model.imagine_differentiably(first_observations, policy, horizon)

    def improve_policy(self) -> dict[str, Tensor]:
        """Imagine, then one actor-critic update; the world model is told how on-policy its actions were."""
        return self._improve_from(self.draw_states(self.preset.loop.imagined_trajectories))

    def _eager_improve_from(self, first_observations: Tensor) -> dict[str, Tensor]:
        imagined = self._imagine_to_learn_from(first_observations)
        reach = imagined.reach(self.replay.normaliser.observations, self.preset.loop.explosion_factor).detach()  # [B]
        imagined, exploded = imagined.without_exploded(reach)
        self.exploded += exploded
        metrics = self.optimiser.update(*imagined)
        self._settle_policy()
        metrics |= {"imagined_reach": reach.amax(), "exploded_share": exploded / len(reach)}
        return metrics | {"exploded": self.exploded} | self.world_model.adapt_guidance(metrics["action_std"])

    @torch.no_grad()
    def _settle_policy(self) -> None:
        """Average the policies of the last updates, if the preset asks for it."""
        policy, decay = self.actor_critic.policy, self.preset.actor_critic.policy_average
        if decay:
            # \bar\theta <- d \bar\theta + (1 - d) \theta
            average = get_ema_multi_avg_fn(decay)
            average(list(self.settled_policy.parameters()), list(policy.parameters()), 0)
            for own, new in zip(self.settled_policy.buffers(), policy.buffers(), strict=True):
                own.copy_(new)

    def evaluate(self) -> dict[str, float]:
        """Returns of the mean action of the policy, or of the average of the last ones; the best so far is kept."""
        policy = self.settled_policy
        returns = environments.evaluate(
            self.make_env, policy, self.preset.run.eval_episodes, SELECTION_SEED, self.device
        )
        self.last_eval = float(returns.mean())
        if self.last_eval >= self.best_return:
            self.best_return = self.last_eval
            self.best_policy.load_state_dict(policy.state_dict())
        return {"eval_return": self.last_eval, "best_return": self.best_return}
