r"""The pathwise policy gradient: back through the imagined trajectory, to the policy that guided it.

The paper's policy gradient is a likelihood ratio: actions that turned out well are made more likely (arXiv 2312.08533,
Algorithm 2). It needs nothing but samples, so one number per trajectory is all it learns from. A world model knows
more. With the noise held fixed, an imagined trajectory is a differentiable function of the policy,
$\tau = f(\epsilon, \pi_\theta)$, so the gradient of its return, $E_\epsilon \nabla_\theta R^\lambda(\tau)$, says in
which direction *each* action should have moved: as in stochastic value gradients (arXiv 1510.09142), Dreamer (arXiv
1912.01603) and SHAC (arXiv 2204.07137). Endings take part as probabilities, so that falling is a slope and not a cliff.
Beyond the horizon the value function stands in; it is the lesser of two networks, because a policy finds and uses
whatever a single one overrates.
"""

from __future__ import annotations

import copy
import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from ..actor_critic import ActorCritic, lambda_returns, mlp
from ..policy_update import ActorCriticOptimiser
from ..replay import Normaliser
from ..score_guidance import standardise_actions
from ..settings import ActorCriticSettings, Preset

N_CRITICS = 2
ENTROPY_RATE = 3e-3  # how fast the weight of the entropy follows sigma, per update
FURTHEST = 10.0  # standard deviations from the mean, beyond which an observation is cut


class StateGaussianPolicy(nn.Module):
    r"""$\pi(a \mid s) = N(\tanh(f(s)), \sigma(s)^2)$, of states standardised as the replay's.

    Args:
        observation_size, action_size: O and A.
        settings: width of the two hidden layers, and sigma: at the start, and the smallest.
    """

    mean_seen: Tensor
    scale_seen: Tensor

    def __init__(self, observation_size: int, action_size: int, settings: ActorCriticSettings):
        super().__init__()
        self.register_buffer("mean_seen", torch.zeros(observation_size))
        self.register_buffer("scale_seen", torch.ones(observation_size))
        width = settings.policy_width
        self.network = nn.Sequential(
            nn.Linear(observation_size, width),
            nn.LayerNorm(width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.LayerNorm(width),
            nn.SiLU(),
            nn.Linear(width, 2 * action_size),
        )
        self.minimum_std = settings.minimum_std
        # \sigma = \sigma_{min} + (1 - \sigma_{min}) sigm(g); the bias begins as the g of initial_std
        share = (min(settings.initial_std, 0.99) - self.minimum_std) / (1 - self.minimum_std)
        last = self.network[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight.mul_(0.1)  # begin near the middle of every action's range
            last.bias.zero_()
            last.bias[action_size:] = math.log(share / (1 - share))

    def forward(self, observations: Tensor) -> Independent[Normal]:
        """The distribution of actions at raw ``observations`` [..., O]."""
        # \mu = \tanh(f(s)), \sigma = \sigma_{min} + (1 - \sigma_{min}) sigm(g(s))
        centre, spread = self.network(self.standardise(observations)).chunk(2, dim=-1)  # [..., A] each
        std = self.minimum_std + (1 - self.minimum_std) * torch.sigmoid(spread)
        return Independent(Normal(torch.tanh(centre), std, validate_args=False), 1, validate_args=False)

    def mean(self, observations: Tensor) -> Tensor:
        return self(observations).mean  # [..., A]

    def standardise(self, observations: Tensor) -> Tensor:
        """Observations [..., O] in standard units; none is further out than any network should answer for."""
        return ((observations - self.mean_seen) / self.scale_seen).clamp(-FURTHEST, FURTHEST)


class Critics(nn.ModuleList):
    """Value networks that are asked the same: [..., O] to [E, ..., 1]."""

    def __init__(self, input_size: int, width: int):
        super().__init__(mlp(input_size, 1, width) for _ in range(N_CRITICS))

    def forward(self, observations: Tensor) -> Tensor:
        return torch.stack([critic(observations) for critic in self])


class PathwiseActorCritic(ActorCritic):
    """A policy whose sigma depends on the state, and two value functions of which the lesser counts.

    What pays is certainty: left to itself, sigma goes to its minimum on a task that does not end, and the policy meets
    nothing new any more. With ``settings.target_std`` the entropy's weight rises while sigma is below it, and falls
    while it is above (as the temperature in arXiv 1812.05905).

    Args:
        normaliser: of the replay, whose statistics :meth:`follow_observations` takes over.
    """

    log_entropy_weight: Tensor

    def __init__(self, normaliser: Normaliser, settings: ActorCriticSettings):
        sizes = normaliser.observations.size, normaliser.actions.size
        # The paper's networks are drawn and then replaced: the measured agents' first weights rest on those draws.
        super().__init__(*sizes, settings)
        self.policy = StateGaussianPolicy(*sizes, settings)
        self.critic = Critics(sizes[0], settings.policy_width)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.register_buffer("log_entropy_weight", torch.tensor(max(settings.entropy_weight, 1e-8)).log())
        self._seen = normaliser.observations

    @torch.no_grad()
    def tune_entropy_weight(self, std: Tensor) -> None:
        """Move the entropy's weight by one step, given the policy's sigmas [..., A]."""
        if self.settings.target_std:
            # \log \eta <- \log \eta + c (\log \sigma^* - E \log \sigma)
            self.log_entropy_weight += ENTROPY_RATE * (math.log(self.settings.target_std) - std.log().mean())

    @torch.no_grad()
    def follow_observations(self) -> None:
        """Let policy and critics see observations in the replay's units of now."""
        self.policy.mean_seen.copy_(self._seen.mean)
        self.policy.scale_seen.copy_(self._seen.scale)

    def value(self, observations: Tensor, critic: nn.Module | None = None) -> Tensor:
        """V(s) of raw ``observations`` [..., O]: the lesser of what the networks say."""
        return self.values(observations, critic).amin(dim=0)

    def values(self, observations: Tensor, critic: nn.Module | None = None) -> Tensor:
        """V(s) by each network, [E, ...]."""
        normed = self.policy.standardise(observations)
        return self.value_mean + self.value_scale * (critic or self.critic)(normed)[..., 0]

    def _last_layers(self) -> list[nn.Linear]:
        networks = cast("list[nn.Sequential]", [*self.critic, *self.target_critic])
        return [cast(nn.Linear, network[-1]) for network in networks]


class PathwiseOptimiser(ActorCriticOptimiser):
    """One step of the policy along the gradient of its imagined return, and some of the value functions."""

    actor_critic: PathwiseActorCritic

    def update(self, observations: Tensor, actions: Tensor, rewards: Tensor, terminals: Tensor) -> dict[str, Tensor]:
        """Learn from one batch of trajectories that were imagined differentiably; returns what to log."""
        model, settings = self.actor_critic, self.actor_critic.settings
        values = model.value(observations, model.target_critic)  # [B, H]
        _, returns, weight = lambda_returns(
            rewards, terminals, values, settings.gamma, settings.gae_lambda, last_step_counts=True
        )
        weight = weight.detach()  # [B, H-1] how likely it is that the episode still goes on
        weight = weight / weight.sum()
        distribution = model.policy(observations[:, :-1].detach())
        entropy = distribution.entropy()  # [B, H-1]
        # L_\pi = -E[ w (R^\lambda / s + \eta H(\pi)) ], in units s of the value scale
        bonus = model.log_entropy_weight.exp() if settings.target_std else settings.entropy_weight
        actor = -((returns / model.value_scale + bonus * entropy) * weight).sum()
        # the world model's and the critics' weights are passed through, not learned
        parameters = list(model.policy.parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(actor, parameters), strict=True):
            parameter.grad = gradient
        norm = nn.utils.clip_grad_norm_(parameters, self.settings.gradient_clip)
        self.actor.step()
        targets = returns.detach()
        critic = self._fit_critic(observations[:, :-1].detach(), targets, weight)
        model.follow_value_statistics(targets)
        with torch.no_grad():
            standardised = standardise_actions(actions[:, :-1], distribution)  # [B, H-1, A]
        model.tune_entropy_weight(distribution.stddev.detach())
        model.follow_observations()  # last, for the graph of this update holds on to what they were
        return {
            "actor_loss": actor.detach(),
            "critic_loss": critic,
            "policy_entropy": entropy.detach().mean(),
            "policy_std": distribution.stddev.detach().mean(),
            "action_std": standardised.std(dim=(0, 1)).mean(),
            "action_mean": standardised.mean(dim=(0, 1)).mean(),
            "imagined_reward": rewards.detach().mean(),
            "imagined_terminals": terminals.detach().mean(),
            "value": targets.mean(),
            "actor_gradient": norm.detach(),
            "entropy_weight": model.log_entropy_weight.exp(),
        }

    def _fit_critic(self, observations: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
        """Steps of the value functions, each on other trajectories of the batch; returns the last loss."""
        model, n = self.actor_critic, self.settings.critic_updates
        loss = torch.zeros((), device=targets.device)
        for k in range(n):
            model.update_target()
            rows = slice(k, None, n)
            # L_V = E[ w (V_i(s) - R^\lambda)^2 / 2 ], in units of the value scale, for each network i
            error = (model.values(observations[rows]) - targets[rows]) / model.value_scale  # [E, B/n, H-1]
            loss = 0.5 * (error.square() * weight[rows]).sum() / weight[rows].sum()
            self.critic.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.critic.parameters(), self.settings.gradient_clip)
            self.critic.step()
        return loss.detach()


def make_actor_critic(preset: Preset, normaliser: Normaliser) -> ActorCritic:
    """The policy and the value function that a preset's policy gradient asks for."""
    if preset.actor_critic.policy_gradient == "pathwise":
        return PathwiseActorCritic(normaliser, preset.actor_critic)
    return ActorCritic(normaliser.observations.size, normaliser.actions.size, preset.actor_critic)


def make_optimiser(preset: Preset, actor_critic: ActorCritic) -> ActorCriticOptimiser:
    """The optimiser of a preset's policy gradient."""
    if isinstance(actor_critic, PathwiseActorCritic):
        return PathwiseOptimiser(actor_critic, preset.policy_update)
    return ActorCriticOptimiser(actor_critic, preset.policy_update)
