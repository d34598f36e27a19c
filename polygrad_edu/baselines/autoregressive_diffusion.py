"""Autoregressive diffusion: PolyGRAD's denoiser with a horizon of 2, one environment step at a time.

The action is sampled from the policy at the state just imagined, so it is exactly on-policy and needs no
guidance. Every step is a whole reverse process, so H time points cost H times as many denoiser calls.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..replay import Normaliser, Sequences
from ..settings import Preset
from ..trajectory_diffusion import TrajectoryDiffusion, diffusion_loss, with_first
from ..world_model import make_diffusion
from .stepwise import Predict, StepwiseWorldModel


class AutoregressiveDiffusion(StepwiseWorldModel[TrajectoryDiffusion]):
    """Denoises the pair of this time point and the next (a baseline of arXiv 2312.08533, section 5)."""

    window = 2

    def __init__(self, preset: Preset, normaliser: Normaliser, generator: torch.Generator):
        diffusion = make_diffusion(preset, self.window, normaliser.observations.size, normaliser.actions.size)
        super().__init__(diffusion, preset, normaliser, generator)
        self.reconfigure(preset)

    def reconfigure(self, preset: Preset) -> None:
        self.preset = preset
        self.walk = self.averaged_network.schedule.walk(preset.sampler.sampling_steps, preset.sampler.eta)

    def loss(self, batch: Sequences) -> Tensor:
        # The second action says nothing about the pair, and when imagining it is not known yet.
        return diffusion_loss(self.network, batch._replace(actions=_without_second(batch.actions)), self.generator)

    def predictor(self, generator: torch.Generator) -> Predict:
        def predict(observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            pair = self._denoise(observation, action, generator)  # [B, 2, O+2]
            ending = self.normaliser.terminals.denormalise(pair[:, 0, -1:])[:, 0]
            return pair[:, 1, :-2], pair[:, 0, -2], ending

        return predict

    def _denoise(self, first: Tensor, action: Tensor, generator: torch.Generator) -> Tensor:
        """The reverse process of one pair, unguided, from normalised ``first`` [B, O] and ``action`` [B, A]."""
        actions = _without_second(action[:, None].expand(-1, 2, -1))  # [B, 2, A]

        def draw() -> Tensor:
            return torch.randn(len(first), 2, first.shape[1] + 2, generator=generator, device=first.device)

        pair = with_first(draw(), first)
        for visit in self.walk:
            pair = self.averaged_network.reverse_step(visit, pair, actions, first, draw())
        return pair


def _without_second(actions: Tensor) -> Tensor:
    """[B, 2, A] with the second time point's action at the mean of all actions."""
    return torch.cat([actions[:, :1], torch.zeros_like(actions[:, 1:])], dim=1)
