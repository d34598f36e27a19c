"""PolyGRAD as a world model: trajectory diffusion, trained on real sequences and guided by the policy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .denoiser import ResidualMLPDenoiser, TransformerDenoiser
from .noise_schedule import NoiseSchedule
from .replay import Normaliser, Sequences
from .score_guidance import GuidanceScaleTuner
from .settings import Preset
from .trajectory_diffusion import ImaginedTrajectories, Policy, TrajectoryDiffusion
from .variants.causal_denoiser import CausalMLPDenoiser
from .world_model import WorldModel

# Trajectories imagined at once on a CPU: with 4,096, each took 1.7 times as long, because nothing stayed in its caches.
CACHE_SIZED = 1024


def make_denoiser(preset: Preset, horizon: int, observation_size: int, action_size: int) -> nn.Module:
    """The network that a preset asks for."""
    sizes = (horizon, observation_size, action_size, preset.width, preset.depth)
    if preset.denoiser == "transformer":
        return TransformerDenoiser(*sizes)
    kind = CausalMLPDenoiser if preset.denoiser == "causal-mlp" else ResidualMLPDenoiser
    return kind(*sizes, step_unit=1 / preset.diffusion_steps if preset.smooth_steps else 1.0)


def make_diffusion(preset: Preset, horizon: int, observation_size: int, action_size: int) -> TrajectoryDiffusion:
    """An untrained denoiser with its noise schedule."""
    denoiser = make_denoiser(preset, horizon, observation_size, action_size)
    if preset.schedule == "linear":
        schedule = NoiseSchedule.linear(preset.diffusion_steps)
    else:
        schedule = NoiseSchedule.cosine(preset.diffusion_steps, preset.noise_tau)
    return TrajectoryDiffusion(denoiser, schedule, observation_size, preset.prediction, preset.precision)


def diffusion_loss(diffusion: TrajectoryDiffusion, batch: Sequences, generator: torch.Generator) -> Tensor:
    """The denoising loss of a batch, each sequence at a step of its own."""
    rows = (len(batch.trajectory),)
    step = torch.randint(diffusion.schedule.n_steps, rows, generator=generator, device=generator.device)
    noise = torch.randn(batch.trajectory.shape, generator=generator, device=generator.device)
    return diffusion.loss(batch.trajectory, batch.actions, step, noise)


class PolyGRAD(WorldModel[TrajectoryDiffusion]):
    """The paper's world model (arXiv 2312.08533, Algorithm 1).

    Attributes:
        guidance_tuner: follows the imagined actions' spread, for the gradient rule.
        advantage: the critic's, for advantage guidance; whoever has a critic sets it.
    """

    def __init__(self, preset: Preset, normaliser: Normaliser, generator: torch.Generator):
        self.window = preset.horizon
        diffusion = make_diffusion(preset, preset.horizon, normaliser.observations.size, normaliser.actions.size)
        super().__init__(diffusion, preset, normaliser, generator)
        if preset.compile == "inductor":
            for network in (self.network, self.averaged_network):
                network.denoiser.compile(dynamic=False)
        self.guidance_tuner = GuidanceScaleTuner(preset.guidance_scale, preset.guidance_tuning_rate, generator.device)
        self.advantage: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None

    def loss(self, batch: Sequences) -> Tensor:
        return diffusion_loss(self.network, batch, self.generator)

    def imagine(
        self, first_observations: Tensor, policy: Policy, horizon: int, generator: torch.Generator | None = None
    ) -> ImaginedTrajectories:
        """As :meth:`WorldModel.imagine`, the whole trajectory at once.

        A horizon beyond the one that the denoiser was trained on is imagined in blocks, each starting at the
        last time point of the one before; a shorter one is cut from a block.
        """
        if first_observations.device.type == "cpu" and len(first_observations) > CACHE_SIZED:
            parts = (self.imagine(some, policy, horizon, generator) for some in first_observations.split(CACHE_SIZED))
            return ImaginedTrajectories(*(torch.cat(part) for part in zip(*(p[:4] for p in parts), strict=True)))
        generator = generator or self.generator
        guidance = self.preset.make_guidance(self.guidance_tuner.scale, self.advantage)
        blocks: list[ImaginedTrajectories] = []
        start, points = first_observations, 0
        while points < horizon:
            block = self.averaged_network.imagine(
                start,
                policy,
                self.normaliser,
                guidance,
                self.window,
                self.preset.sampling_steps,
                generator,
                eta=self.preset.eta,
            )
            start = block.observations[:, -1]
            # the next block imagines the time point they share anew, with an action of its own
            points += self.window if points + self.window >= horizon else self.window - 1
            blocks.append(block)
        if len(blocks) == 1:
            return ImaginedTrajectories(*(part[:, :horizon] for part in blocks[0][:4]))
        whole = zip(*(block[:4] for block in blocks), strict=True)
        joined = (torch.cat([*(part[:, :-1] for part in parts[:-1]), parts[-1]], dim=1) for parts in whole)
        return ImaginedTrajectories(*(part[:, :horizon] for part in joined))

    def tune(self, action_std: Tensor) -> dict[str, Tensor]:
        if self.preset.guidance != "gradient":
            return {}
        self.guidance_tuner.update(action_std)
        return {"guidance_scale": self.guidance_tuner.scale}

    def tuned(self) -> dict[str, Tensor]:
        return {"guidance_log_scale": self.guidance_tuner.log_scale}
