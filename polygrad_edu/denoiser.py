"""Denoisers: networks that look at a noisy trajectory and say what the clean one was.

Both the whole trajectory and all actions go in at once; that is what lets PolyGRAD predict many time
points in one call, where a stepwise model would feed its own errors back (arXiv 2312.08533, section 4).

Built in lesson 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .files.input_error import InputError

EMBEDDING_SIZE = 128  # minimum width of the input projection, as in the official code


class FourierStepFeatures(nn.Module):
    r"""Fixed random Fourier features of the step: $[t, \sin 2\pi w t, \cos 2\pi w t]$ with $w \sim N(0, 1)$.

    Args:
        unit: t is the step times this. With the official code's unit of 1 the features of neighbouring steps
            are unrelated, so each step is learned by itself; with 1 / T they change smoothly over the chain.
    """

    frequencies: Tensor

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
        step_unit: see :class:`FourierStepFeatures`.
    """

    def __init__(
        self,
        horizon: int,
        observation_size: int,
        action_size: int,
        width: int = 1024,
        depth: int = 6,
        step_unit: float = 1.0,
    ):
        super().__init__()
        output_size = horizon * (observation_size + 2)
        input_size = output_size + horizon * action_size
        embedding_size = max(input_size, EMBEDDING_SIZE)
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


class CausalBlock(nn.Module):
    """Attention to the past and the present, then a two-layer network, each added to what came in."""

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        if width % n_heads:
            raise InputError(f"width {width} must be a multiple of the {n_heads} attention heads")
        self.n_heads = n_heads
        self.attention_norm = nn.LayerNorm(width)
        self.to_query_key_value = nn.Linear(width, 3 * width)
        self.from_heads = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        heads = self.to_query_key_value(self.attention_norm(x)).unflatten(-1, (3, self.n_heads, -1))  # [B, H, 3, n, w]
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # [B, n, H, w] each
        # \mathrm{softmax}(Q K^\top / \sqrt{w} + \text{causal mask}) V
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.from_heads(attended.transpose(1, 2).flatten(2))  # [B, H, width]
        return x + self.feed_forward(x)


class CausalTransformer(nn.Module):
    """Tokens in, tokens out; each sees itself and those before it (the GPT-2 arrangement, as in the official code)."""

    def __init__(self, longest: int, width: int, depth: int, n_heads: int):
        super().__init__()
        self.positions = nn.Parameter(torch.empty(longest, width))
        self.blocks = nn.Sequential(*(CausalBlock(width, n_heads) for _ in range(depth)))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.blocks(tokens + self.positions[: tokens.shape[1]])  # [B, H, width]

    def initialise(self, whole: nn.Module) -> None:
        """Draw the weights of ``whole``, a network around this one, as GPT-2 does: small, the residual ways smaller."""
        for module in whole.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.positions, std=0.02)
        for block in cast(Iterable[CausalBlock], self.blocks):
            for last in (block.from_heads, cast(nn.Linear, block.feed_forward[-1])):
                nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * len(self.blocks)))


class SinusoidalStepFeatures(nn.Module):
    r"""Sines and cosines of the step at geometric frequencies from 1 to 1/10,000 (arXiv 1706.03762)."""

    frequencies: Tensor

    def __init__(self, size: int):
        super().__init__()
        half = size // 2
        exponent = torch.arange(half) / max(half - 1, 1)  # [size / 2]
        self.register_buffer("frequencies", 10_000.0**-exponent, persistent=False)

    def forward(self, step: Tensor) -> Tensor:
        angle = step[:, None] * self.frequencies  # [B, size / 2]
        return torch.cat([angle.sin(), angle.cos()], dim=-1)  # [B, size]


class TransformerDenoiser(nn.Module):
    r"""Predicts $\hat x_0$ with one token per time point and causal attention, as in the official code.

    A causal network cannot revise a time point by what comes later, but it costs less per time point as the
    horizon grows, and it can imagine any horizon up to the one it was made for.

    Args:
        horizon: longest H.
        observation_size, action_size: O and A.
        width, depth, n_heads: of the transformer; the official code uses 312, 6 and 4.
    """

    def __init__(
        self,
        horizon: int,
        observation_size: int,
        action_size: int,
        width: int = 312,
        depth: int = 6,
        n_heads: int = 4,
    ):
        super().__init__()
        self.enter = nn.Linear(observation_size + 2 + action_size, width)
        self.embed_step = nn.Sequential(
            SinusoidalStepFeatures(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.transformer = CausalTransformer(horizon, width, depth, n_heads)
        self.leave = nn.Linear(width, observation_size + 2)
        self.transformer.initialise(self)

    def forward(self, trajectory: Tensor, actions: Tensor, step: Tensor) -> Tensor:
        """As :meth:`ResidualMLPDenoiser.forward`."""
        tokens = self.enter(torch.cat([trajectory, actions], dim=-1))  # [B, H, width]
        return self.leave(self.transformer(tokens + self.embed_step(step)[:, None]))  # [B, H, O+2]
