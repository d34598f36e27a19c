"""Actor-critic: a Gaussian policy and a value function that learn from imagined trajectories.

On-policy advantage actor-critic with generalised advantage estimation (arXiv 1506.02438), as in arXiv
2312.08533, Algorithm 2: the networks, the lambda-returns and both losses. The step that follows from them
is in :mod:`polygrad_edu.policy_update`. Everything here is in the environment's units.

Built in lesson 7.
"""

from __future__ import annotations

import copy
import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .score_guidance import standardise_actions
from .settings import ActorCriticSettings


def mlp(input_size: int, output_size: int, width: int) -> nn.Sequential:
    """Two hidden layers of Linear, LayerNorm and ELU, as policy and critic have: [..., in] to [..., out]."""
    return nn.Sequential(
        nn.Linear(input_size, width),
        nn.LayerNorm(width, eps=1e-3),
        nn.ELU(),
        nn.Linear(width, width),
        nn.LayerNorm(width, eps=1e-3),
        nn.ELU(),
        nn.Linear(width, output_size),
    )


class GaussianPolicy(nn.Module):
    r"""$\pi(a \mid s) = N(\tanh(f(s)), \sigma^2)$ with one learned sigma per action dimension."""

    def __init__(self, observation_size: int, action_size: int, width: int, initial_std: float, minimum_std: float):
        super().__init__()
        if not initial_std > minimum_std > 0:
            raise ValueError(f"initial_std {initial_std} must exceed minimum_std {minimum_std}, and both be positive")
        self.network = mlp(observation_size, action_size, width)
        self.log_std = nn.Parameter(torch.full((action_size,), math.log(initial_std - minimum_std)))
        self.minimum_std = minimum_std

    def mean(self, observations: Tensor) -> Tensor:
        return torch.tanh(self.network(observations))  # [..., A]

    @property
    def std(self) -> Tensor:
        return self.log_std.exp() + self.minimum_std  # [A]

    def forward(self, observations: Tensor) -> Independent[Normal]:
        """The distribution of actions at raw ``observations`` [..., O]."""
        mean = self.mean(observations)
        return Independent(Normal(mean, self.std.expand_as(mean), validate_args=False), 1, validate_args=False)


class Advantages(NamedTuple):
    """Per time step, all but the last: [B, H-1]."""

    advantages: Tensor
    value_targets: Tensor  # the lambda-returns
    reality_weight: Tensor  # 1 as long as the episode goes on


def lambda_returns(
    rewards: Tensor, terminals: Tensor, values: Tensor, gamma: float, lambda_: float, last_step_counts: bool = False
) -> Advantages:
    r"""Generalised advantage estimation (arXiv 1506.02438, equation 16) on imagined trajectories.

    An episode may end before its trajectory does. What is imagined after the end is no experience: the reality weight
    is 1 until a terminal step and 0 after it.

    Args:
        rewards, terminals, values: [B, H]; a terminal of 1 says that step t ended the episode.
        gamma: discount of later rewards.
        lambda_: 0 trusts the value of the next state, 1 only the rewards and the last value.
        last_step_counts: gives the terminal step itself weight 1 (ours) and not 0 (the official code).
    """
    alive = 1 - terminals  # [B, H]
    # \delta_t = r_t + \gamma (1 - d_t) V(s_{t+1}) - V(s_t)
    deltas = rewards[:, :-1] + gamma * alive[:, :-1] * values[:, 1:] - values[:, :-1]  # [B, H-1]
    advantage = torch.zeros_like(deltas[:, 0])
    advantages = []
    for t in reversed(range(deltas.shape[1])):
        # A_t = \delta_t + \gamma \lambda (1 - d_t) A_{t+1}
        advantage = deltas[:, t] + gamma * lambda_ * alive[:, t] * advantage
        advantages.append(advantage)
    advantages = torch.stack(advantages[::-1], dim=1)  # [B, H-1]
    # w_t = \prod_{k \le t} (1 - d_k)
    reality_weight = alive[:, :-1].cumprod(dim=1)  # [B, H-1]
    if last_step_counts:
        reality_weight = torch.cat([torch.ones_like(reality_weight[:, :1]), reality_weight[:, :-1]], dim=1)
    return Advantages(advantages, advantages + values[:, :-1], reality_weight)


class Losses(NamedTuple):
    """Both losses on a batch, and what the update and the log need of it; all [] but where a shape is given."""

    actor: Tensor
    critic: Tensor
    entropy: Tensor
    log_prob: Tensor  # [B, H-1]
    value_targets: Tensor  # [B, H-1]
    action_std: Tensor  # of the standardised actions: 1 when they are on-policy
    action_mean: Tensor  # of the standardised actions: 0 when they are on-policy


class ActorCritic(nn.Module):
    r"""The policy, the critic and the critic's slow copy, with the losses that the first two learn by.

    The critic learns $(V - m) / s$, where m and s follow the mean and standard deviation of its targets
    and its last layer is rescaled so that V does not jump when they move (PopArt, arXiv 1602.07714). Without
    it a critic faces values from -1,500 (Pendulum) to 3,000 (Hopper) with one learning rate.
    With ``settings.value_statistics_rate`` 0, raw values, as in the official code.

    With ``settings.real_steps_only`` the advantages are standardised over the steps that are real, the terminal step
    counted among them. The official code leaves the terminal step out, and standardises over what is
    imagined after it too: on a task that ends early that is most of the batch.
    """

    value_mean: Tensor
    value_scale: Tensor

    def __init__(self, observation_size: int, action_size: int, settings: ActorCriticSettings):
        super().__init__()
        self.settings = settings
        self.policy = GaussianPolicy(
            observation_size, action_size, settings.policy_width, settings.initial_std, settings.minimum_std
        )
        self.critic = mlp(observation_size, 1, settings.policy_width)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.register_buffer("value_mean", torch.zeros(()))
        self.register_buffer("value_scale", torch.ones(()))

    def value(self, observations: Tensor, critic: nn.Module | None = None) -> Tensor:
        """V(s) of raw ``observations`` [..., O], by the critic or the copy given."""
        normed = (critic or self.critic)(observations)[..., 0]  # [...]
        return self.value_mean + self.value_scale * normed

    def advantage(self, observations: Tensor, rewards: Tensor, terminals: Tensor) -> Tensor:
        """One-step advantages of imagined trajectories in units of the value scale, [B, H-1]; for guidance.

        ``terminals`` may lie between 0 and 1, as they do while a trajectory is still being denoised.
        """
        values = self.value(observations, self.target_critic)  # [B, H]
        alive = 1 - terminals[:, :-1].clamp(0, 1)
        # A_t = r_t + \gamma (1 - d_t) V(s_{t+1}) - V(s_t)
        return (rewards[:, :-1] + self.settings.gamma * alive * values[:, 1:] - values[:, :-1]) / self.value_scale

    def losses(self, observations: Tensor, actions: Tensor, rewards: Tensor, terminals: Tensor) -> Losses:
        """Both losses on a batch of imagined trajectories, [B, H, ...] in the environment's units."""
        settings = self.settings
        with torch.no_grad():
            values = self.value(observations, self.target_critic)  # [B, H]
            advantages, targets, weight = lambda_returns(
                rewards, terminals, values, settings.gamma, settings.gae_lambda, settings.real_steps_only
            )
            real = weight if settings.real_steps_only else torch.ones_like(weight)
            n_real = real.sum()
            # A <- (A - E[A]) / \sqrt{Var[A]}, over the steps that count
            centred = advantages - (advantages * real).sum() / n_real
            normed_advantages = centred / (((centred**2 * real).sum() / (n_real - 1)).sqrt() + 1e-8)  # [B, H-1]
        past = slice(None, -1)
        distribution = self.policy(observations[:, past])
        log_prob = distribution.log_prob(actions[:, past])  # [B, H-1]
        entropy = distribution.entropy()  # [B, H-1]
        # L_\pi = -E[ w (A \log \pi(a|s) + \eta H(\pi)) ]
        actor = -((log_prob * normed_advantages + settings.entropy_weight * entropy) * weight).mean()
        # L_V = E[ w (V(s) - R^\lambda)^2 / 2 ], in units of the value scale
        error = (self.value(observations[:, past]) - targets) / self.value_scale
        critic = 0.5 * (error.square() * weight).mean()
        with torch.no_grad():
            standardised = standardise_actions(actions[:, past], distribution)  # [B, H-1, A]
            action_std = standardised.std(dim=(0, 1)).mean()
            action_mean = standardised.mean(dim=(0, 1)).mean()
        return Losses(actor, critic, entropy.mean(), log_prob.detach(), targets, action_std, action_mean)

    @torch.no_grad()
    def update_target(self) -> None:
        """Move the critic's slow copy one step towards the critic."""
        average = get_ema_multi_avg_fn(self.settings.target_average)
        average(list(self.target_critic.parameters()), list(self.critic.parameters()), None)

    @torch.no_grad()
    def follow_value_statistics(self, targets: Tensor) -> None:
        """Let m and s follow ``targets``, with both critics' outputs unchanged."""
        rate = self.settings.value_statistics_rate
        if rate == 0:
            return
        mean = self.value_mean.lerp(targets.mean(), rate)
        # spread around the running mean, so that a drift counts too
        square = self.value_scale.square().lerp((targets - mean).square().mean(), rate)
        scale = square.sqrt().clamp(min=1e-2)
        for last in self._last_layers():
            last.weight.mul_(self.value_scale / scale)
            last.bias.copy_((self.value_scale * last.bias + self.value_mean - mean) / scale)
        self.value_mean.copy_(mean)
        self.value_scale.copy_(scale)

    def _last_layers(self) -> list[nn.Linear]:
        """Of the critic and its slow copy."""
        return [cast(nn.Linear, critic[-1]) for critic in (self.critic, self.target_critic)]
