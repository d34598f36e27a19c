"""A transformer that predicts the next step from up to 15 steps of context (a baseline of arXiv 2312.08533)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..denoiser import CausalTransformer
from ..replay import Normaliser, Sequences
from ..settings import Preset
from .stepwise import Predict, StepwiseWorldModel, alive_and_ending, masked_mean

CONTEXT = 15


class NextStepTransformer(nn.Module):
    """From tokens (s, a) to the next state, the reward and the log-odds of an ending at each of them."""

    def __init__(self, observation_size: int, action_size: int, width: int, depth: int, n_heads: int = 4):
        super().__init__()
        self.enter = nn.Linear(observation_size + action_size, width)
        self.transformer = CausalTransformer(CONTEXT, width, depth, n_heads)
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, observation_size + 2)
        self.transformer.initialise(self)

    def forward(self, observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, K, O] and [B, K, A] of K <= 15 steps to [B, K, O], [B, K] and [B, K]."""
        tokens = self.enter(torch.cat([observations, actions], dim=-1))  # [B, K, width]
        out = self.leave(self.norm(self.transformer(tokens)))  # [B, K, O+2]
        return observations + out[..., :-2], out[..., -2], out[..., -1]


class Transformer(StepwiseWorldModel[NextStepTransformer]):
    """Predicts one step at a time, without noise, from the steps imagined so far."""

    window = CONTEXT + 1

    def __init__(self, preset: Preset, normaliser: Normaliser, generator: torch.Generator):
        sizes = normaliser.observations.size, normaliser.actions.size
        super().__init__(
            NextStepTransformer(*sizes, preset.denoiser.width, preset.denoiser.depth), preset, normaliser, generator
        )

    def loss(self, batch: Sequences) -> Tensor:
        observations, rewards = batch.trajectory[..., :-2], batch.trajectory[:, :-1, -2]
        alive, ending = (part[:, :-1] for part in alive_and_ending(batch, self.normaliser))  # [B, K]
        following, reward, log_odds = self.network(observations[:, :-1], batch.actions[:, :-1])
        # where a step ends the episode, the state after it was not recorded
        state_loss = masked_mean((following - observations[:, 1:]).square(), alive * (1 - ending))
        reward_loss = masked_mean((reward - rewards).square()[..., None], alive)
        ends = F.binary_cross_entropy_with_logits(log_odds, ending, reduction="none")
        return state_loss + reward_loss + masked_mean(ends[..., None], alive)

    def predictor(self, generator: torch.Generator) -> Predict:
        past: list[tuple[Tensor, Tensor]] = []

        def predict(observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            past.append((observation, action))
            context = (torch.stack(part, dim=1) for part in zip(*past[-CONTEXT:], strict=True))
            following, reward, log_odds = self.averaged_network(*context)
            return following[:, -1], reward[:, -1], log_odds[:, -1].sigmoid()

        return predict
