r"""A denoiser that cannot read a state off the action taken there.

In recorded data every action answers the state it was taken in, so a denoiser that sees the whole action
sequence learns to infer $s_t$ from $a_t$ as well as from the actions before it. Under guidance that runs
backwards: the guided action answers the state imagined so far, and the denoiser then moves the state to
agree with the action. Both come to rest on something that no simulator would do. Here the state at time t
is computed from earlier actions alone. See book/measured/world_model_error.md for what that is worth.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..denoiser import EMBEDDING_SIZE, FourierStepFeatures
from ..files.input_error import InputError


class MaskedLinear(nn.Linear):
    """A linear layer in which output i sees input j only where ``mask[i, j]`` (as in MADE, arXiv 1502.03509)."""

    mask: Tensor

    def __init__(self, mask: Tensor):
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.float(), persistent=False)
        with torch.no_grad():  # an output with few inputs gets larger weights for them
            self.weight.mul_((mask.shape[1] / mask.sum(dim=1, keepdim=True).clamp(min=1)).sqrt())

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight * self.mask, self.bias)


class GroupedNorm(nn.Module):
    """Layer normalisation within each group, so that no group learns about another."""

    def __init__(self, n_groups: int, group_size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_groups, group_size))
        self.bias = nn.Parameter(torch.zeros(n_groups, group_size))

    def forward(self, x: Tensor) -> Tensor:
        groups = x.unflatten(-1, self.weight.shape)  # [B, G, width / G]
        return (F.layer_norm(groups, groups.shape[-1:]) * self.weight + self.bias).flatten(1)  # [B, width]


class CausalMLPDenoiser(nn.Module):
    r"""The residual MLP with its hidden units in H + 1 groups, of which each sees the groups before it.

    Group t is told the noisy trajectory up to time t and the actions before t, and gives the state at t; the
    reward and the ending of step t depend on $a_t$ too and are read from group t + 1.

    Args:
        horizon: H, time points in a trajectory, the first (real) one included.
        observation_size, action_size: O and A.
        width: of the residual stack, rounded down to a multiple of H + 1.
        depth: residual blocks.
        step_unit: see :class:`polygrad_edu.denoiser.FourierStepFeatures`.
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
        n_groups = horizon + 1
        if width < n_groups:
            raise InputError(f"width {width} must be at least the horizon's {horizon} time points plus one")
        group_size = width // n_groups
        group = torch.arange(n_groups).repeat_interleave(group_size)[:, None]  # [W, 1]
        of_trajectory = torch.arange(horizon).repeat_interleave(observation_size + 2)
        of_actions = torch.arange(horizon).repeat_interleave(action_size)
        read_from = torch.arange(horizon)[:, None].repeat(1, observation_size + 2)  # [H, O+2]
        read_from[:, observation_size:] += 1
        self.enter = MaskedLinear(torch.cat([group >= of_trajectory, group > of_actions], dim=1))
        features = FourierStepFeatures(unit=step_unit)
        self.embed_step = nn.Sequential(
            features, nn.Linear(features.size, EMBEDDING_SIZE), nn.SiLU(), nn.Linear(EMBEDDING_SIZE, len(group))
        )
        self.norms = nn.ModuleList(GroupedNorm(n_groups, group_size) for _ in range(depth + 1))
        self.linears = nn.ModuleList(MaskedLinear(group >= group.T) for _ in range(depth))
        self.leave = MaskedLinear(read_from.flatten()[:, None] >= group.T)

    def forward(self, trajectory: Tensor, actions: Tensor, step: Tensor) -> Tensor:
        """As :meth:`polygrad_edu.denoiser.ResidualMLPDenoiser.forward`."""
        inputs = torch.cat([trajectory.flatten(1), actions.flatten(1)], dim=-1)  # [B, H*(O+2+A)]
        x = self.enter(inputs) + self.embed_step(step)  # [B, W]
        for norm, linear in zip(self.norms, self.linears, strict=False):
            x = x + linear(F.relu(norm(x)))
        return self.leave(F.relu(self.norms[-1](x))).view_as(trajectory)  # [B, H, O+2]
