r"""Exploding imagination: imagined states far outside of anything that was ever seen, and what is done about them.

A world model that is asked where it knows nothing may answer with states that grow from step to step. Such a
trajectory can be finite and still ruin the policy that learns from it. The rule here: let $m_i$ be how far the
replay's states have been from their mean in component i, in standard deviations and at least 1. A trajectory has
exploded if any of its states is further than ``factor`` times $m_i$ from that mean in any component.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .replay import Standardiser
from .trajectory_diffusion import ImaginedTrajectories


def reach(observations: Tensor, seen: Standardiser, factor: float) -> Tensor:
    r"""How far each trajectory goes, [B]; beyond 1 it has exploded, and nan says that a state was not finite.

    Args:
        observations: [B, H, O] imagined, in the environment's units.
        seen: the statistics of the replay's observations.
        factor: 0 stands for no limit.
    """
    # r = \max_{h,i} |s_{h,i} - \mu_i| / (k \, \sigma_i m_i)
    limit = (factor or math.inf) * seen.scale * seen.extent  # [O]
    return ((observations - seen.mean).abs() / limit).amax(dim=(1, 2))  # [B]


def without_exploded(imagined: ImaginedTrajectories, reach: Tensor) -> tuple[ImaginedTrajectories, Tensor]:
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
    return ImaginedTrajectories(*(part[rows] for part in imagined[:4])), len(reach) - n_kept
