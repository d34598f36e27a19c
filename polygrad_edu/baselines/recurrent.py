r"""A recurrent state-space model in the manner of Dreamer-v3 (arXiv 2301.04104), on vectors.

A GRU carries a deterministic memory h; beside it stands a discrete latent z of several categorical
variables. Training infers z from the observation (the posterior) and teaches a prior to foresee it from h
alone; imagination lives on the prior.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..replay import Normaliser, Sequences
from ..settings import Preset
from .stepwise import Predict, StepwiseWorldModel, alive_and_ending, masked_mean

N_VARIABLES, N_CLASSES, UNIFORM = 16, 16, 0.01
FREE_NATS, PRIOR_WEIGHT, POSTERIOR_WEIGHT = 1.0, 1.0, 0.1


def symlog(x: Tensor) -> Tensor:
    r"""$\mathrm{sign}(x) \ln(1 + |x|)$: logarithmic for large values of either sign, the identity near 0."""
    return x.sign() * x.abs().log1p()


def symexp(x: Tensor) -> Tensor:
    """The inverse of :func:`symlog`."""
    return x.sign() * x.abs().expm1()


def _network(in_size: int, width: int, out_size: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_size, width), nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, out_size))


class RecurrentStateSpace(nn.Module):
    """The networks: encoder to posterior, memory, prior, and heads for observation, reward and ending."""

    def __init__(self, observation_size: int, action_size: int, width: int):
        super().__init__()
        self.latent_size = N_VARIABLES * N_CLASSES
        self.memory = nn.GRUCell(width, width)
        self.enter = nn.Sequential(nn.Linear(self.latent_size + action_size, width), nn.LayerNorm(width), nn.SiLU())
        self.posterior = _network(width + observation_size, width, self.latent_size)
        self.prior = _network(width, width, self.latent_size)
        self.observe = _network(width + self.latent_size, width, observation_size)
        self.outcome = _network(width + self.latent_size + action_size, width, 2)  # symlog reward, log-odds of an end

    def log_probs(self, logits: Tensor) -> Tensor:
        """[B, V, C] log-probabilities, one part in a hundred uniform, so that no KL is ever infinite."""
        probs = logits.unflatten(-1, (N_VARIABLES, N_CLASSES)).softmax(dim=-1)
        return ((1 - UNIFORM) * probs + UNIFORM / N_CLASSES).log()

    def draw(self, log_probs: Tensor, generator: torch.Generator) -> Tensor:
        """A one-hot sample [B, V * C] that gradients pass straight through."""
        probs = log_probs.exp()
        index = torch.multinomial(probs.flatten(0, 1), 1, generator=generator).view(probs.shape[:-1])  # [B, V]
        sample = F.one_hot(index, N_CLASSES).to(probs)
        return (sample + probs - probs.detach()).flatten(1)

    def advance(self, memory: Tensor, latent: Tensor, action: Tensor) -> Tensor:
        """h_{t+1} from h_t, z_t and a_t."""
        return self.memory(self.enter(torch.cat([latent, action], dim=-1)), memory)


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) of independent categorical variables, from log-probabilities [B, V, C] to [B], in nats."""
    return (p.exp() * (p - q)).sum(dim=(-2, -1))


class Recurrent(StepwiseWorldModel[RecurrentStateSpace]):
    """The recurrent state-space model, one step at a time."""

    window = 16

    def __init__(self, preset: Preset, normaliser: Normaliser, generator: torch.Generator):
        sizes = normaliser.observations.size, normaliser.actions.size
        super().__init__(RecurrentStateSpace(*sizes, preset.denoiser.width), preset, normaliser, generator)

    def loss(self, batch: Sequences) -> Tensor:
        net = self.network
        observations, actions = symlog(batch.trajectory[..., :-2]), batch.actions  # [B, H, O], [B, H, A]
        alive, ending = alive_and_ending(batch, self.normaliser)  # [B, H]
        memory = observations.new_zeros(len(observations), net.memory.hidden_size)  # [B, h]
        states, divergences = [], []
        for t in range(self.window):
            posterior = net.log_probs(net.posterior(torch.cat([memory, observations[:, t]], dim=-1)))  # [B, V, C]
            prior = net.log_probs(net.prior(memory))  # [B, V, C]
            # KL balancing: the prior is drawn to the posterior more than the posterior to the prior, each by a KL of
            # at least c free nats: w_p \max(c, KL(sg(q) || p)) + w_q \max(c, KL(q || sg(p)))
            divergences.append(
                PRIOR_WEIGHT * kl(posterior.detach(), prior).clamp(min=FREE_NATS)
                + POSTERIOR_WEIGHT * kl(posterior, prior.detach()).clamp(min=FREE_NATS)
            )
            latent = net.draw(posterior, self.generator)  # [B, z]
            states.append(torch.cat([memory, latent], dim=-1))
            memory = net.advance(memory, latent, actions[:, t])
        state = torch.stack(states, dim=1)  # [B, H, h+z]
        outcome = net.outcome(torch.cat([state, actions], dim=-1))  # [B, H, 2]
        observed = masked_mean((net.observe(state) - observations).square(), alive) * observations.shape[-1]
        rewarded = masked_mean((outcome[..., :1] - symlog(batch.trajectory[..., -2:-1])).square(), alive)
        ends = F.binary_cross_entropy_with_logits(outcome[..., 1], ending, reduction="none")
        # the first latent has no past to be foreseen from
        foreseen = masked_mean(torch.stack(divergences, dim=1)[:, 1:, None], alive[:, 1:])
        return observed + rewarded + masked_mean(ends[..., None], alive) + foreseen

    def predictor(self, generator: torch.Generator) -> Predict:
        net = self.averaged_network
        memory: Tensor | None = None
        latent: Tensor | None = None

        def predict(observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            nonlocal memory, latent
            if memory is None or latent is None:  # the first observation is real, so its latent can be inferred
                memory = observation.new_zeros(len(observation), net.memory.hidden_size)
                inputs = torch.cat([memory, symlog(observation)], dim=-1)
                latent = net.draw(net.log_probs(net.posterior(inputs)), generator)
            outcome = net.outcome(torch.cat([memory, latent, action], dim=-1))
            memory = net.advance(memory, latent, action)
            latent = net.draw(net.log_probs(net.prior(memory)), generator)
            following = symexp(net.observe(torch.cat([memory, latent], dim=-1)))
            return following, symexp(outcome[:, 0]), outcome[:, 1].sigmoid()

        return predict
