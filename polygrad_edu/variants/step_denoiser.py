r"""A denoiser with the same weights at every step: small, causal, and told a noise level for each time point.

A step is an action, its reward and ending, and the state it led to. In a Markov world a clean step is known from the
state before it and its action, so that is all the network looks at, beside the noisy step itself. It therefore cannot
read a state off the action taken there (self-delusion, arXiv 2110.10819), and it can imagine any number of steps. But
asked about all steps at once, it has only noise to look back on: it needs a delay. See
:mod:`polygrad_edu.variants.diffusion_forcing`, which trains it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..noise_schedule import NoiseSchedule
from .diffusion_forcing import level_features
from .member_linear import linear


class StepBlock(nn.Module):
    """x + a two-layer network of its normalised values."""

    def __init__(self, width: int, n_members: int = 1):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.enter = linear(n_members, width, width)
        self.leave = linear(n_members, width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.leave(F.silu(self.enter(self.norm(x))))  # [..., width]


class StepMLPDenoiser(nn.Module):
    r"""Denoises each step given the state before it, as noisy as that is, and the action.

    Args:
        observation_size, action_size: O and A.
        width, depth: of the residual stack.
        schedule: whose noise levels it is told.
        n_members: networks that share out the rows of a batch, see :mod:`polygrad_edu.variants.member_linear`.
    """

    features: Tensor
    lookback = 1  # rows before a step's own state that are looked at

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        width: int,
        depth: int,
        schedule: NoiseSchedule,
        n_members: int = 1,
    ):
        super().__init__()
        self.observation_size = observation_size
        self.register_buffer("features", level_features(schedule), persistent=False)
        step_size = observation_size + 2
        seen = 2 * step_size + observation_size + action_size + 2 * self.features.shape[1]
        self.enter = linear(n_members, seen, width)
        self.blocks = nn.Sequential(*(StepBlock(width, n_members) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.leave = linear(n_members, width, step_size)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)  # it begins as the guess that it is to correct

    def forward(self, trajectory: Tensor, actions: Tensor, step: Tensor, surprise: Tensor) -> Tensor:
        """Predict what the output stands for, see :class:`polygrad_edu.variants.diffusion_forcing.ForcedDiffusion`.

        Args:
            trajectory: [B, P, O+2] noisy, normalised.
            actions: [B, P, A] normalised.
            step: [B, P], or [1, P] when all trajectories stand at the same steps.
            surprise: [B, P, O+2] the noisy trajectory, standardised given the time points before.

        Returns:
            [B, P, O+2]; 0 for the first state and the last reward and ending, of which it knows nothing.
        """
        levels = self.features[step + 1].expand(len(trajectory), -1, -1)  # [B, P, 8]
        before = trajectory[:, :-1, : self.observation_size]  # [B, P-1, O]
        seen = [
            self._by_step(trajectory),
            self._by_step(surprise),
            before,
            actions[:, :-1],
            levels[:, 1:],
            levels[:, :-1],
        ]
        x = self.norm(self.blocks(self.enter(torch.cat(seen, dim=-1))))  # [B, P-1, width]
        states, outcomes = self.leave(F.silu(x)).split([self.observation_size, 2], dim=-1)
        return torch.cat([F.pad(states, (0, 0, 1, 0)), F.pad(outcomes, (0, 0, 0, 1))], dim=-1)  # [B, P, O+2]

    def _by_step(self, trajectory: Tensor) -> Tensor:
        """Each step's state, reward and ending side by side: from [B, P, O+2] to [B, P-1, O+2]."""
        return torch.cat(
            [trajectory[:, 1:, : self.observation_size], trajectory[:, :-1, self.observation_size :]], dim=-1
        )
