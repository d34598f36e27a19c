"""PolyGRAD with a noise level for each step: the world model that the denoiser ``step-mlp`` asks for.

Three things differ from the paper's. The denoiser is trained by diffusion forcing, on windows as short as it looks
back; the sampler lets each step wait for the one before it; and one more time point is imagined than the horizon has,
because a step's reward comes with the state after it.
"""

from __future__ import annotations

from typing import cast

from ..guided_sampler import GuidedSampler
from ..noise_schedule import Walk
from ..settings import GuidanceSettings, Preset
from ..world_model import PolyGRAD, make_schedule
from .diffusion_forcing import ForcedDiffusion
from .ending_network import EndingMLP
from .staggered_sampler import StaggeredSampler
from .step_denoiser import StepMLPDenoiser


class ForcedPolyGRAD(PolyGRAD):
    """PolyGRAD whose steps have noise levels of their own (arXiv 2407.01392), one ``delay`` behind the other."""

    points_beyond = 1

    @classmethod
    def window_for(cls, preset: Preset) -> int:
        return StepMLPDenoiser.lookback + 1

    @classmethod
    def make_diffusion(cls, preset: Preset, observation_size: int, action_size: int) -> ForcedDiffusion:
        settings, schedule = preset.denoiser, make_schedule(preset)
        sizes = observation_size, action_size, settings.width, settings.depth
        denoiser = StepMLPDenoiser(*sizes, schedule, settings.members)
        ending = EndingMLP(observation_size) if settings.endings == "read" else None
        prediction, precision = preset.diffusion.prediction, preset.acceleration.precision
        return ForcedDiffusion(denoiser, schedule, observation_size, prediction, precision, ending)

    def make_sampler(self, walk: Walk, guidance: GuidanceSettings) -> GuidedSampler:
        diffusion, delay = cast(ForcedDiffusion, self.averaged_network), self.preset.sampler.delay
        return StaggeredSampler(diffusion, walk, guidance, self.normaliser, self.points_at_once, delay)
