"""Denoisers: networks that look at a noisy trajectory and say what the clean one was.

Both the whole trajectory and all actions go in at once; that is what lets PolyGRAD predict many time
points in one call, where a stepwise model would feed its own errors back (arXiv 2312.08533, section 4).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FourierStepFeatures(nn.Module):
    r"""Fixed random Fourier features of the step: $[t, \sin 2\pi w t, \cos 2\pi w t]$ with $w \sim N(0, 1)$.

    Args:
        unit: t is the step times this. With the official code's unit of 1 the features of neighbouring steps
            are unrelated, so each step is learned by itself; with 1 / T they change smoothly over the chain.
    """

    def __init__(self, n_frequencies: int = 8, unit: float = 1.0):
        super().__init__()
        self.register_buffer("frequencies", torch.randn(n_frequencies))
        self.unit = unit

    @property
    def size(self) -> int:
        return 1 + 2 * len(self.frequencies)

    def forward(self, step: Tensor) -> Tensor:
        t = self.unit * step.to(self.frequencies.dtype)[:, None]  # [B, 1]
        # The products stay in this order: phases reach thousands of radians, where rounding shows.
        angle = t * self.frequencies * 2 * math.pi  # [B, F]
        return torch.cat([t, angle.sin(), angle.cos()], dim=-1)  # [B, 1 + 2F]


class ResidualBlock(nn.Module):
    """x + linear(relu(norm(x))): the width stays, the gradient has a short way back."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.linear(F.relu(self.norm(x)))  # [B, width]


class ResidualMLPDenoiser(nn.Module):
    r"""Predicts $\hat x_0$ of a flattened trajectory with a residual MLP (the paper's default).

    Args:
        horizon: H, time points in a trajectory, the first (real) one included.
        observation_size, action_size: O and A.
        width, depth: of the residual stack; the paper uses 1024 and 6.
        embedding_size: least width of the input projection; widened where the input is larger.
        step_unit: see :class:`FourierStepFeatures`.
    """

    def __init__(
        self,
        horizon: int,
        observation_size: int,
        action_size: int,
        width: int = 1024,
        depth: int = 6,
        embedding_size: int = 128,
        step_unit: float = 1.0,
    ):
        super().__init__()
        output_size = horizon * (observation_size + 2)
        input_size = output_size + horizon * action_size
        embedding_size = max(input_size, embedding_size)
        self.project = nn.Linear(input_size, embedding_size)
        features = FourierStepFeatures(unit=step_unit)
        self.embed_step = nn.Sequential(
            features,
            nn.Linear(features.size, embedding_size),
            nn.SiLU(),
            nn.Linear(embedding_size, embedding_size),
        )
        self.enter = nn.Linear(embedding_size, width)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, output_size)

    def forward(self, trajectory: Tensor, actions: Tensor, step: Tensor) -> Tensor:
        """Predict the clean trajectory.

        Args:
            trajectory: [B, H, O+2] noisy, normalised.
            actions: [B, H, A] normalised and scaled to the step's signal level.
            step: [B], or [1] when all rows stand at the same step (as in sampling).
        """
        x = torch.cat([trajectory, actions], dim=-1).flatten(1)  # [B, H*(O+2+A)]
        x = self.project(x) + self.embed_step(step)  # [B, E]
        x = self.norm(self.blocks(self.enter(x)))  # [B, width]
        return self.leave(F.relu(x)).view_as(trajectory)  # [B, H, O+2]
