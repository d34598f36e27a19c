"""The policy's update: one step of both networks, the actor's cut to a chosen change of its behaviour.

The gradient says where to; how far is decided by what the policy would do differently (arXiv 2312.08533,
Algorithm 2). Everything here is in the environment's units.

Built in lesson 7.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .actor_critic import ActorCritic
from .settings import PolicyUpdateSettings


class ActorCriticOptimiser:
    """One update: both gradients, a critic step, and an actor step of a chosen size.

    The actor takes Adam's step, shortened until the mean absolute change of log pi(a|s) over the batch is
    ``target_change``. The change is close to linear in the step's length, so a few secant steps find it; the
    official code retries with learning rates 0.8 apart, up to fifty times, its Adam state moving at each.
    """

    line_search_steps = 4

    def __init__(self, actor_critic: ActorCritic, settings: PolicyUpdateSettings):
        self.actor_critic = actor_critic
        self.settings = settings
        # On a GPU not even Adam's count of steps may be looked at by the host.
        capturable = actor_critic.value_mean.device.type == "cuda"
        self.actor = torch.optim.AdamW(
            actor_critic.policy.parameters(), lr=settings.actor_learning_rate, capturable=capturable
        )
        self.critic = torch.optim.AdamW(
            actor_critic.critic.parameters(), lr=settings.critic_learning_rate, capturable=capturable
        )

    def update(self, observations: Tensor, actions: Tensor, rewards: Tensor, terminals: Tensor) -> dict[str, Tensor]:
        """Learn from one batch of imagined trajectories (Algorithm 2, policy update); returns what to log."""
        model = self.actor_critic
        model.update_target()
        losses = model.losses(observations, actions, rewards, terminals)
        self.actor.zero_grad(set_to_none=True)
        self.critic.zero_grad(set_to_none=True)
        (losses.actor + losses.critic).backward()
        for part in (model.policy, model.critic):
            nn.utils.clip_grad_norm_(part.parameters(), self.settings.gradient_clip)
        self.critic.step()
        change, fraction = self._step_actor(observations[:, :-1], actions[:, :-1], losses.log_prob)
        model.follow_value_statistics(losses.value_targets)
        return {
            "actor_loss": losses.actor.detach(),
            "critic_loss": losses.critic.detach(),
            "policy_entropy": losses.entropy.detach(),
            "policy_std": model.policy.std.detach().mean(),
            "action_std": losses.action_std,
            "action_mean": losses.action_mean,
            "imagined_reward": rewards.mean(),
            "imagined_terminals": terminals.mean(),
            "value": losses.value_targets.mean(),
            "log_prob_change": change,
            "step_fraction": fraction,
        }

    @torch.no_grad()
    def _step_actor(self, observations: Tensor, actions: Tensor, old_log_prob: Tensor) -> tuple[Tensor, Tensor]:
        r"""Adam's step, shortened to the fraction that changes the policy by ``target_change``.

        The number of secant steps is fixed, so that nothing waits for the device.

        Returns:
            The mean $|\Delta \log \pi|$ before the last secant step, and the fraction, at most 1.
        """
        parameters: list[Tensor] = list(self.actor_critic.policy.parameters())
        before = [parameter.clone() for parameter in parameters]
        self.actor.step()
        steps = torch._foreach_sub(parameters, before)
        change = fraction = torch.ones((), device=old_log_prob.device)
        for _ in range(self.line_search_steps):
            # c(f) = E | \log \pi_{\theta + f \Delta\theta}(a|s) - \log \pi_\theta(a|s) |
            change = (self.actor_critic.policy(observations).log_prob(actions) - old_log_prob).abs().mean()
            # f <- \min(1, f c^* / c(f)): a secant through the origin, because c(0) = 0
            fraction = (fraction * self.settings.target_change / change.clamp(min=1e-12)).clamp(max=1.0)
            for parameter, start, step in zip(parameters, before, steps, strict=True):
                parameter.copy_(start + fraction * step)
        return change, fraction
