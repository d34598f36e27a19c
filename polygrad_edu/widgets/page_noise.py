"""Noise that Python and a page draw alike: standard normal numbers from a hash of seed, stream and place.

A page cannot run torch's generator. With this noise, a widget's frame computed here and the one computed in the page
by ``imagination.js`` are the same frame, up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..guided_sampler import GuidedSampler, SamplerNoise, SamplerState
from ..score_guidance import Policy
from ..trajectory_diffusion import with_first
from ..variants.staggered_sampler import StaggeredVisit

_BITS = np.uint64(0xFFFFFFFF)  # the hash has 32 of them


def standard_normal(seed: int, stream: int, *shape: int) -> Tensor:
    """Standard normal numbers of any shape; each depends on ``seed``, ``stream`` and its place alone."""
    # not from 0, which is its own hash
    start = _mix(_mix(np.array([seed + 0x9E3779B9], dtype=np.uint64)) + np.uint64(stream))
    places = np.arange(2 * math.prod(shape), dtype=np.uint64)
    u, v = ((_mix(start + places).astype(np.float64) + 0.5) / 2**32).reshape(-1, 2).T
    # \sqrt{-2 \ln u} \cos(2 \pi v), the Box-Muller transform
    return torch.from_numpy(np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)).float().reshape(shape)


def _mix(numbers: np.ndarray) -> np.ndarray:
    """A hash of 32 bits in which each bit of the answer depends on every bit of the number."""
    x = numbers & _BITS
    x = ((x ^ (x >> np.uint64(16))) * np.uint64(0x7FEB352D)) & _BITS
    x = ((x ^ (x >> np.uint64(15))) * np.uint64(0x846CA68B)) & _BITS
    return x ^ (x >> np.uint64(16))


@torch.no_grad()
def chain_with_page_noise(
    sampler: GuidedSampler, first_observations: Tensor, policy: Policy, horizon: int, seed: int
) -> Iterator[SamplerState]:
    """Every state of :meth:`..guided_sampler.GuidedSampler.chain`, pure noise first, with the noise of a page.

    Args:
        first_observations: [B, O] raw.
        seed: of all draws: streams 0 and 1 are the start's, 2n and 2n + 1 those of the n-th visit, which draws for the
            time points that it is about.
    """
    normed_first = sampler.normaliser.observations.normalise(first_observations)  # [B, O]
    sizes = (normed_first.shape[1] + 2, sampler.normaliser.actions.size)

    def drawn(draw: int, n_points: int) -> SamplerNoise:
        shape = (len(normed_first), n_points)
        return SamplerNoise(*(standard_normal(seed, 2 * draw + i, *shape, size) for i, size in enumerate(sizes)))

    start = drawn(0, horizon)
    state = SamplerState(with_first(start.trajectory, normed_first), start.actions)
    yield state
    for draw, visit in enumerate(sampler.walk, start=1):
        rows = visit.rows if isinstance(visit, StaggeredVisit) else slice(0, horizon)
        noise = drawn(draw, rows.stop - rows.start)
        if sampler.guidance.rule == "fixed-noise":
            noise = noise._replace(actions=start.actions[:, rows])
        state = sampler.step(visit, state, normed_first, policy, noise)
        yield state
