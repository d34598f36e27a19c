"""An ensemble of probabilistic networks: the world model of PETS (arXiv 1805.12114) and MBPO (arXiv 1906.08253).

Seven networks predict a Gaussian over the change of the state and the reward. Each learns from its own
bootstrap sample, and only the five that do best on data kept from all of them are used.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..replay import Normaliser, Sequences
from ..settings import Preset
from .stepwise import Predict, StepwiseWorldModel, alive_and_ending

N_NETWORKS, N_ELITES, HELD_OUT = 7, 5, 0.1
# P(Poisson(1) <= 0, 1, 2, ...): how often a transition is in a bootstrap sample of many
_POISSON_CDF = torch.tensor([sum(math.exp(-1) / math.factorial(i) for i in range(k + 1)) for k in range(8)])


class EnsembleLinear(nn.Module):
    """One linear layer for each network, [E, B, in] to [E, B, out]."""

    def __init__(self, n_networks: int, in_size: int, out_size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_networks, in_size, out_size))
        self.bias = nn.Parameter(torch.zeros(n_networks, 1, out_size))
        nn.init.trunc_normal_(self.weight, std=1 / (2 * math.sqrt(in_size)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)  # [E, B, out]


class GaussianEnsemble(nn.Module):
    """From (s, a) to a Gaussian over (change of s, r) and the log-odds of an ending, for each network."""

    held_out_error: Tensor

    def __init__(self, observation_size: int, action_size: int, width: int, depth: int):
        super().__init__()
        self.target_size = observation_size + 1
        sizes = [observation_size + action_size] + [width] * depth
        layers: list[nn.Module] = []
        for in_size, out_size in itertools.pairwise(sizes):
            layers += [EnsembleLinear(N_NETWORKS, in_size, out_size), nn.SiLU()]
        self.layers = nn.Sequential(*layers, EnsembleLinear(N_NETWORKS, sizes[-1], 2 * self.target_size + 1))
        self.most_log_variance = nn.Parameter(torch.full((self.target_size,), 0.5))
        self.least_log_variance = nn.Parameter(torch.full((self.target_size,), -10.0))
        self.register_buffer("held_out_error", torch.zeros(N_NETWORKS))

    def forward(self, observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and log-variance [E, B, O+1] and log-odds [E, B], from normalised [B, O] and [B, A]."""
        inputs = torch.cat([observation, action], dim=-1).expand(N_NETWORKS, -1, -1)  # [E, B, O+A]
        mean, log_variance, log_odds = self.layers(inputs).split([self.target_size, self.target_size, 1], dim=-1)
        # bounds that can be learned keep the variance sane where there is no data (arXiv 1805.12114, appendix A)
        log_variance = self.most_log_variance - F.softplus(self.most_log_variance - log_variance)
        log_variance = self.least_log_variance + F.softplus(log_variance - self.least_log_variance)
        return mean, log_variance, log_odds[..., 0]


def bootstrap_counts(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Times that each network's bootstrap sample holds a transition [E, B], and which all of them hold out [B].

    Drawing with replacement from many makes these counts Poisson(1) variables. They follow from the row's
    number by a hash, so a transition counts the same whenever it is drawn, and data can keep coming in.
    """
    key = rows.double() * 12.9898 + 78.233 * torch.arange(N_NETWORKS + 1, device=rows.device)[:, None]  # [E+1, B]
    uniform = (torch.sin(key) * 43758.5453).frac().abs()
    counts = torch.searchsorted(_POISSON_CDF.to(uniform), uniform[:-1])
    held_out = uniform[-1] < HELD_OUT
    return counts * ~held_out, held_out


class MLPEnsemble(StepwiseWorldModel[GaussianEnsemble]):
    """Seven probabilistic networks of which five are used, one step at a time."""

    window = 2

    def __init__(self, preset: Preset, normaliser: Normaliser, generator: torch.Generator):
        sizes = normaliser.observations.size, normaliser.actions.size
        super().__init__(
            GaussianEnsemble(*sizes, preset.denoiser.width, preset.denoiser.depth), preset, normaliser, generator
        )

    def loss(self, batch: Sequences) -> Tensor:
        counts, held_out = bootstrap_counts(batch.first_indices)  # [E, B], [B]
        _, ending = alive_and_ending(batch, self.normaliser)
        ending = ending[:, 0]
        observation, following = batch.trajectory[:, 0, :-2], batch.trajectory[:, 1, :-2]
        target = torch.cat([following - observation, batch.trajectory[:, 0, -2:-1]], dim=-1)  # [B, O+1]
        mean, log_variance, log_odds = self.network(observation, batch.actions[:, 0])
        # where a step ends the episode, what came after was not recorded: only its reward counts
        known = torch.ones_like(target)
        known[:, :-1] -= ending[:, None]
        # -\log N(y; \mu, \sigma^2) = (y - \mu)^2 / (2 \sigma^2) + \log \sigma + const
        squared = (mean - target).square() * known  # [E, B, O+1]
        likelihood = (squared * (-log_variance).exp() + log_variance * known).mean(dim=-1)  # [E, B]
        ends = F.binary_cross_entropy_with_logits(log_odds, ending.expand_as(log_odds), reduction="none")
        bounds = 0.01 * (self.network.most_log_variance - self.network.least_log_variance).sum()
        with torch.no_grad():
            held_out_error = (squared.mean(dim=-1) * held_out).sum(dim=-1) / held_out.sum().clamp(min=1)
            self.network.held_out_error.lerp_(held_out_error, 0.05)
        return ((likelihood + ends) * counts).mean(dim=-1).sum() + bounds

    def predictor(self, generator: torch.Generator) -> Predict:
        elites = self.network.held_out_error.topk(N_ELITES, largest=False).indices  # [5]

        def predict(observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            mean, log_variance, log_odds = self.averaged_network(observation, action)
            rows = torch.arange(len(observation), device=observation.device)
            # another elite for each trajectory and step
            chosen = elites[torch.randint(N_ELITES, rows.shape, generator=generator, device=rows.device)]
            noise = torch.randn(mean.shape[1:], generator=generator, device=rows.device)
            change = mean[chosen, rows] + (0.5 * log_variance[chosen, rows]).exp() * noise  # [B, O+1]
            return observation + change[:, :-1], change[:, -1], log_odds[chosen, rows].sigmoid()

        return predict
