r"""Imagined trajectories: joined, cut, and with those left out that exploded.

A world model that is asked where it knows nothing may answer with states that grow from step to step. Such a
trajectory can be finite and still ruin the policy that learns from it. The rule here: let $m_i$ be how far the
replay's states have been from their mean in component i, in standard deviations and at least 1. A trajectory has
exploded if any of its states is further than ``factor`` times $m_i$ from that mean in any component.

Built in lesson 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .replay import Standardiser


class ImaginedTrajectories(NamedTuple):
    """Trajectories imagined under a policy, in the environment's units."""

    observations: Tensor  # [B, H, O]
    actions: Tensor  # [B, H, A]
    rewards: Tensor  # [B, H]
    terminals: Tensor  # [B, H] 0 or 1

    def map(self, change: Callable[[Tensor], Tensor]) -> ImaginedTrajectories:
        """The same change made to each part."""
        return ImaginedTrajectories(*(change(part) for part in self))

    def rows(self, chosen: Tensor) -> ImaginedTrajectories:
        """Only the trajectories ``chosen``, in that order."""
        return self.map(lambda part: part[chosen])

    def up_to(self, horizon: int) -> ImaginedTrajectories:
        """Only the first ``horizon`` time points."""
        return self.map(lambda part: part[:, :horizon])

    @staticmethod
    def batch(parts: Sequence[ImaginedTrajectories]) -> ImaginedTrajectories:
        """Several batches as one."""
        return ImaginedTrajectories(*(torch.cat(part) for part in zip(*parts, strict=True)))

    @staticmethod
    def chain(blocks: Sequence[ImaginedTrajectories]) -> ImaginedTrajectories:
        """Blocks in a row, of which each begins at the last time point of the one before.

        A shared time point is the later block's: there it has an action that the next states follow from.
        """
        whole = zip(*blocks, strict=True)
        return ImaginedTrajectories(
            *(torch.cat([*(part[:, :-1] for part in parts[:-1]), parts[-1]], dim=1) for parts in whole)
        )

    def reach(self, seen: Standardiser, factor: float) -> Tensor:
        r"""Reach of each trajectory, [B]; beyond 1 it has exploded, and nan says that a state was not finite.

        Args:
            seen: the statistics of the replay's observations.
            factor: 0 stands for no limit.
        """
        # r = \max_{h,i} |s_{h,i} - \mu_i| / (k \, \sigma_i m_i)
        limit = (factor or math.inf) * seen.scale * seen.extent  # [O]
        return ((self.observations - seen.mean).abs() / limit).amax(dim=(1, 2))  # [B]

    def without_exploded(self, reach: Tensor) -> tuple[ImaginedTrajectories, Tensor]:
        """The trajectories that did not explode, and how many did; if none did, they come back bit for bit.

        A batch keeps its size, so that a GPU can replay the update from a recording: the places of the exploded are
        filled with the first of the others. Where all exploded nothing can stand in for them, and all come back.
        """
        exploded = ~(reach <= 1)  # [B]; nan counts, too
        n_kept = (~exploded).sum()
        others_first = exploded.to(torch.uint8).argsort(stable=True)  # [B]
        places = torch.arange(len(reach), device=reach.device)
        rows = others_first[places % n_kept.clamp(min=1)]
        rows = torch.where(n_kept > 0, rows, places)  # [B]
        return self.rows(rows), len(reach) - n_kept
