"""Windows of the point mass for assignment 2: as many as are asked for, in seconds, and always in the same units."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..noise_schedule import NoiseSchedule
from ..replay import Normaliser, SequenceReplay
from ..tasks.point_mass import PointMass

HORIZON, N_STEPS = 8, 32  # H and T of the assignment
OBSERVATION_SIZE, ACTION_SIZE = 4, 2
ALPHAS = NoiseSchedule.cosine(N_STEPS).alphas_cumprod  # [T]


class Windows(NamedTuple):
    """Normalised windows of the point mass under random forces."""

    trajectory: Tensor  # [B, H, O+2]
    actions: Tensor  # [B, H, A]
    real: Tensor  # [B, H] false behind the point where an episode ended


def _record(n_steps: int, seed: int, normaliser: Normaliser) -> SequenceReplay:
    """Random forces, each held for a few steps, so that some masses leave the arena."""
    env, random = PointMass(), np.random.default_rng(seed)
    replay, (observation, _) = SequenceReplay(n_steps, HORIZON, normaliser), env.reset(seed=seed)
    action, age = random.uniform(-1, 1, ACTION_SIZE), 0
    for _ in range(n_steps):
        if random.random() < 0.3:
            action = random.uniform(-1, 1, ACTION_SIZE)
        following, reward, terminal, _, _ = env.step(action)
        age += 1
        replay.add(observation, action, reward, terminal, age == 60)
        if terminal or age == 60:
            (following, _), age = env.reset(), 0
        observation = following
    return replay


@functools.cache
def _units() -> Normaliser:
    """Fitted once, to a recording that nobody trains on."""
    replay = _record(4_000, 99, Normaliser(OBSERVATION_SIZE, ACTION_SIZE))
    return replay.refresh_normaliser()


def point_mass_windows(count: int, seed: int) -> Windows:
    """``count`` windows, drawn from a recording of its own for each seed."""
    replay = _record(max(1_500, 2 * count), seed, _units())
    rows = replay.draw(count, torch.Generator().manual_seed(seed))
    windows = replay.windows(rows)
    real = rows[:, None] + torch.arange(HORIZON) <= replay.last_of_episode[rows][:, None]
    return Windows(windows.trajectory, windows.actions, real)


@torch.no_grad()
def left_unexplained(denoiser: nn.Module, data: Windows, step: int, seed: int) -> float:
    """Share of the later observations' variance that a denoiser leaves unexplained at one diffusion step."""
    noise = torch.randn(data.trajectory.shape, generator=torch.Generator().manual_seed(seed))
    noisy = ALPHAS[step].sqrt() * data.trajectory + (1 - ALPHAS[step]).sqrt() * noise
    first = data.trajectory[:, 0, :OBSERVATION_SIZE]
    seen = denoiser(noisy, ALPHAS[step].sqrt() * data.actions, torch.tensor([step]), first)
    later = data.real[:, 1:, None].expand(-1, -1, OBSERVATION_SIZE)
    there = data.trajectory[:, 1:, :OBSERVATION_SIZE][later]
    error = seen[:, 1:, :OBSERVATION_SIZE][later] - there
    return (error.square().mean() / there.var()).item()
