"""Training data of assignment 2: windows of the point mass, made in seconds and always in the same units."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..noise_schedule import NoiseSchedule
from ..replay import Normaliser, SequenceReplay
from ..tasks.point_mass import PointMass

HORIZON = 8  # H
N_STEPS = 32  # T
OBSERVATION_SIZE = 4  # O
ACTION_SIZE = 2  # A
MAX_AGE = 60  # steps of an episode
ALPHAS = NoiseSchedule.cosine(N_STEPS).alphas_cumprod  # [T]


class Windows(NamedTuple):
    """Normalised windows of the point mass, pushed by random forces."""

    trajectory: Tensor  # [B, H, O+2]
    actions: Tensor  # [B, H, A]
    real: Tensor  # [B, H] false after the point where an episode ended


def _record(n_steps: int, seed: int, normaliser: Normaliser) -> SequenceReplay:
    """Record ``n_steps`` under random forces, each held for a few steps so that some masses leave the arena."""
    env = PointMass()
    random = np.random.default_rng(seed)
    replay = SequenceReplay(n_steps, HORIZON, normaliser)
    observation, _ = env.reset(seed=seed)
    action = random.uniform(-1, 1, ACTION_SIZE)
    age = 0
    for _ in range(n_steps):
        if random.random() < 0.3:
            action = random.uniform(-1, 1, ACTION_SIZE)
        following, reward, terminal, _, _ = env.step(action)
        age += 1
        replay.add(observation, action, reward, terminal, age == MAX_AGE)
        if terminal or age == MAX_AGE:
            following, _ = env.reset()
            age = 0
        observation = following
    return replay


@functools.cache
def _units() -> Normaliser:
    """Normaliser of all windows, fitted once to a recording that nobody trains on."""
    replay = _record(4_000, 99, Normaliser(OBSERVATION_SIZE, ACTION_SIZE))
    return replay.refresh_normaliser()


def point_mass_windows(count: int, seed: int) -> Windows:
    """Draw ``count`` windows from a recording made for this seed."""
    replay = _record(max(1_500, 2 * count), seed, _units())
    rows = replay.draw(count, torch.Generator().manual_seed(seed))
    windows = replay.windows(rows)
    real = rows[:, None] + torch.arange(HORIZON) <= replay.last_of_episode[rows][:, None]
    return Windows(windows.trajectory, windows.actions, real)


@torch.no_grad()
def left_unexplained(denoiser: nn.Module, data: Windows, step: int, seed: int) -> float:
    """Share of the later observations' variance that a denoiser leaves unexplained at one diffusion step.

    Args:
        denoiser: called with (noisy trajectory, scaled actions, step, first observation).
        data: windows it has not been trained on.
        step: of the ``N_STEPS`` of ``ALPHAS``.
        seed: of the noise.
    """
    noise = torch.randn(data.trajectory.shape, generator=torch.Generator().manual_seed(seed))
    noisy = ALPHAS[step].sqrt() * data.trajectory + (1 - ALPHAS[step]).sqrt() * noise
    first = data.trajectory[:, 0, :OBSERVATION_SIZE]
    seen = denoiser(noisy, ALPHAS[step].sqrt() * data.actions, torch.tensor([step]), first)
    later = data.real[:, 1:, None].expand(-1, -1, OBSERVATION_SIZE)
    there = data.trajectory[:, 1:, :OBSERVATION_SIZE][later]
    error = seen[:, 1:, :OBSERVATION_SIZE][later] - there
    return (error.square().mean() / there.var()).item()
