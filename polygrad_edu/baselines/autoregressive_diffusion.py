"""Autoregressive diffusion: PolyGRAD's denoiser with a horizon of 2, one environment step at a time.

The action is sampled from the policy at the state just imagined, so it is exactly on-policy and needs no
guidance. Every step is a whole reverse process, so H time points cost H times as many denoiser calls.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..polygrad import diffusion_loss, make_diffusion
from ..replay import Normaliser, Sequences
from ..settings import Preset
from ..trajectory_diffusion import TrajectoryDiffusion
from .stepwise import Predict, StepwiseWorldModel


class AutoregressiveDiffusion(StepwiseWorldModel[TrajectoryDiffusion]):
    """Denoises the pair of this time point and the next (a baseline of arXiv 2312.08533, section 5)."""

    window = 2

    def __init__(self, preset: Preset, normaliser: Normaliser, generator: torch.Generator):
        diffusion = make_diffusion(preset, self.window, normaliser.observations.size, normaliser.actions.size)
        super().__init__(diffusion, preset, normaliser, generator)
        self.schedule = diffusion.schedule.respaced(preset.sampling_steps, preset.eta)

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
        diffusion, schedule = self.averaged_network, self.schedule
        actions = _without_second(action[:, None].expand(-1, 2, -1))  # [B, 2, A]

        def draw() -> Tensor:
            return torch.randn(len(first), 2, first.shape[1] + 2, generator=generator, device=first.device)

        pair = draw()
        pair[:, 0, :-2] = first
        for index in reversed(range(schedule.n_steps)):
            step, signal = schedule.trained_steps[index : index + 1], schedule.alphas_cumprod[index].sqrt()
            reconstruction = diffusion.reconstruct(pair, signal * actions, step, first)
            # x_{t-1} = \tilde\mu_t + \tilde\beta_t^{1/2} \epsilon; the last step's variance is 0
            pair = schedule.posterior_mean(reconstruction, pair, index)
            pair = pair + schedule.posterior_variance[index].sqrt() * draw()
            pair[:, 0, :-2] = first
        return pair


def _without_second(actions: Tensor) -> Tensor:
    """[B, 2, A] with the second time point's action at the mean of all actions."""
    return torch.cat([actions[:, :1], torch.zeros_like(actions[:, 1:])], dim=1)
