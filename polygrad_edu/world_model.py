"""World models: the interface that all of them share, and PolyGRAD as one.

PolyGRAD and the baselines that it is compared with can be fitted to real sequences and asked to imagine; so the same
imagination loop trains an agent in any of them, and the same measurement tells how far each goes wrong.

Built in lesson 8.
"""

from __future__ import annotations

import abc
import copy
from dataclasses import replace
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .acceleration import captured, check_device, check_torch_defaults, in_pieces
from .denoiser import ResidualMLPDenoiser, TransformerDenoiser
from .files.input_error import InputError
from .guided_sampler import Advantage, GuidedSampler
from .imagined_trajectories import ImaginedTrajectories
from .noise_schedule import NoiseSchedule, Walk
from .replay import Normaliser, SequenceReplay, Sequences
from .score_guidance import GuidanceScaleTuner, Policy
from .settings import GuidanceSettings, Preset
from .trajectory_diffusion import TrajectoryDiffusion, diffusion_loss
from .variants.causal_denoiser import CausalMLPDenoiser

Network = TypeVar("Network", bound=nn.Module)


class WorldModel(abc.ABC, Generic[Network]):
    """A network, its moving average, its optimiser, and how it is fitted.

    A model says what it learns in :meth:`loss` and what it does with it in :meth:`imagine`, which should use
    ``averaged_network``: on a laptop's few updates the average is clearly the better model.

    Args:
        network: what is trained.
        normaliser: of the replay that the model is fitted to; it may change as data comes in.
        generator: source of all randomness.

    Attributes:
        window: time points in the sequences that :meth:`loss` asks for.
    """

    window: int

    def __init__(self, network: Network, preset: Preset, normaliser: Normaliser, generator: torch.Generator):
        check_torch_defaults()
        check_device(preset.acceleration, generator.device)
        self.network: Network = network.to(generator.device)
        # It imagines without gradients, but its weights keep asking for them: see acceleration.autocast.
        self.averaged_network: Network = copy.deepcopy(self.network)
        on_gpu = generator.device.type == "cuda"  # there, its own count of steps must not be looked at either
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=preset.world_model.learning_rate, fused=True, capturable=on_gpu
        )
        self._average = get_ema_multi_avg_fn(preset.world_model.ema_decay)
        self.preset = preset
        self.normaliser = normaliser
        self.generator = generator
        self._update = captured(self._eager_update, preset.acceleration.compile, generator)

    @classmethod
    def window_for(cls, preset: Preset) -> int:
        """The :attr:`window` of a model that is made from ``preset``, known before there is one."""
        return cls.window

    @abc.abstractmethod
    def loss(self, batch: Sequences) -> Tensor:
        """Training loss on a batch of sequences of ``window`` time points."""

    @abc.abstractmethod
    def imagine(
        self, first_observations: Tensor, policy: Policy, horizon: int, generator: torch.Generator | None = None
    ) -> ImaginedTrajectories:
        """Imagine trajectories under ``policy`` from ``first_observations`` [B, O], all in the environment's units.

        Args:
            horizon: H, time points to imagine, the first (given) one included.
            generator: source of randomness instead of the model's own.
        """

    def with_advantage(self, advantage: Advantage) -> WorldModel[Network]:
        """This model, with imagined states guided to more of the critic's ``advantage`` where it can guide them."""
        return self

    def imagine_differentiably(
        self, first_observations: Tensor, policy: Policy, horizon: int, generator: torch.Generator | None = None
    ) -> ImaginedTrajectories:
        """As :meth:`imagine`, with a gradient to the policy's parameters; terminals are probabilities.

        Raises:
            InputError: a model that does not know how.
        """
        raise InputError(f"{self.preset.world_model.kind} imagines without gradients; choose polygrad")

    def fit(self, replay: SequenceReplay) -> Tensor:
        """One update on a batch from the replay; returns its loss."""
        return self._update(*replay.sample(self.preset.world_model.batch_size, self.generator))

    def _eager_update(self, *batch: Tensor) -> Tensor:
        loss = self.loss(Sequences(*batch))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self._average(list(self.averaged_network.parameters()), list(self.network.parameters()), 0)
        return loss.detach()

    def reconfigure(self, preset: Preset) -> None:
        """Imagine by other settings from now on (``settings.IMAGINE_ONLY``); what was learned stays."""
        self.preset = preset

    def adapt_guidance(self, action_std: Tensor) -> dict[str, Tensor]:
        """Learn from how spread the standardised imagined actions were (1 is right); returns what to report."""
        return {}

    def extra_state(self) -> dict[str, Tensor]:
        """Tensors beside the networks that change while training, by name, for a checkpoint."""
        return {}

    def load_extra_state(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what :meth:`extra_state` gave."""


class PolyGRAD(WorldModel[TrajectoryDiffusion]):
    """The paper's world model: trajectory diffusion, guided by the policy (arXiv 2312.08533, Algorithm 1).

    Attributes:
        guidance_tuner: follows the imagined actions' spread, for the gradient rule.
        sampler: imagines with what was learned, by the settings of now.
    """

    points_beyond = 0  # time points that must be imagined beyond a horizon, for what comes with the state after

    def __init__(self, preset: Preset, normaliser: Normaliser, generator: torch.Generator):
        self.window = self.window_for(preset)
        sizes = normaliser.observations.size, normaliser.actions.size
        super().__init__(self.make_diffusion(preset, *sizes), preset, normaliser, generator)
        if preset.acceleration.compile == "inductor":
            for network in (self.network, self.averaged_network):
                network.denoiser.compile(dynamic=False)
        guidance = preset.guidance
        self.guidance_tuner = GuidanceScaleTuner(guidance.scale, guidance.tuning_rate, generator.device)
        self.reconfigure(preset)

    @classmethod
    def window_for(cls, preset: Preset) -> int:
        return preset.world_model.horizon

    @classmethod
    def make_diffusion(cls, preset: Preset, observation_size: int, action_size: int) -> TrajectoryDiffusion:
        """The untrained denoiser, with its noise schedule, that a preset asks for."""
        return make_diffusion(preset, cls.window_for(preset), observation_size, action_size)

    def make_sampler(self, walk: Walk, guidance: GuidanceSettings) -> GuidedSampler:
        """The sampler that makes the visits of this ``walk``, with this ``guidance``."""
        return GuidedSampler(self.averaged_network, walk, guidance, self.normaliser)

    @property
    def points_at_once(self) -> int:
        """Time points that the sampler imagines at once."""
        return self.preset.world_model.horizon + self.points_beyond

    def loss(self, batch: Sequences) -> Tensor:
        return diffusion_loss(self.network, batch, self.generator)

    def reconfigure(self, preset: Preset) -> None:
        self.preset = preset
        self.averaged_network.precision = preset.acceleration.precision
        walk = self.averaged_network.schedule.walk(preset.sampler.sampling_steps, preset.sampler.eta)
        self.sampler = self.make_sampler(walk, replace(preset.guidance, scale=self.guidance_tuner.scale))

    def with_advantage(self, advantage: Advantage) -> PolyGRAD:
        guided = copy.copy(self)
        guided.sampler = self.sampler.with_advantage(advantage)
        return guided

    def imagine(
        self, first_observations: Tensor, policy: Policy, horizon: int, generator: torch.Generator | None = None
    ) -> ImaginedTrajectories:
        """As :meth:`WorldModel.imagine`, the whole trajectory at once.

        A horizon beyond the one that the denoiser was trained on is imagined in blocks, each going on from the
        last time point of the one before; a shorter one is cut from a block.
        """
        pieces = [
            self._imagine_blocks(piece, policy, horizon, generator or self.generator)
            for piece in in_pieces(first_observations)
        ]
        return pieces[0] if len(pieces) == 1 else ImaginedTrajectories.batch(pieces)

    def _imagine_blocks(
        self, first_observations: Tensor, policy: Policy, horizon: int, generator: torch.Generator
    ) -> ImaginedTrajectories:
        needed = horizon + self.points_beyond
        points = self.points_at_once
        blocks = [self.sampler.sample(first_observations, policy, points, generator)]
        while points < needed:
            blocks.append(self.sampler.go_on(blocks[-1], policy, generator))
            points += blocks[-1].observations.shape[1] - 1  # they share a time point
        return ImaginedTrajectories.chain(blocks).up_to(horizon)

    def imagine_differentiably(
        self, first_observations: Tensor, policy: Policy, horizon: int, generator: torch.Generator | None = None
    ) -> ImaginedTrajectories:
        """As :meth:`imagine`, with a gradient to the policy; terminals are probabilities.

        Raises:
            ValueError: a horizon beyond what is imagined at once.
        """
        points = self.points_at_once
        if horizon + self.points_beyond > points:
            raise ValueError(f"{self.preset.world_model.horizon} time points are imagined at once, not {horizon}")
        sampled = self.sampler.sample_differentiably(first_observations, policy, points, generator or self.generator)
        return sampled.up_to(horizon)

    def adapt_guidance(self, action_std: Tensor) -> dict[str, Tensor]:
        if self.preset.guidance.rule != "gradient":
            return {}
        self.guidance_tuner.update(action_std)
        return {"guidance_scale": self.guidance_tuner.scale}

    def extra_state(self) -> dict[str, Tensor]:
        return {"guidance_log_scale": self.guidance_tuner.log_scale}

    def load_extra_state(self, tensors: dict[str, Tensor]) -> None:
        self.guidance_tuner.set(tensors["guidance_log_scale"])


def make_schedule(preset: Preset) -> NoiseSchedule:
    """The noise schedule that a preset asks for."""
    settings = preset.diffusion
    if settings.schedule == "linear":
        return NoiseSchedule.linear(settings.diffusion_steps)
    return NoiseSchedule.cosine(settings.diffusion_steps, settings.noise_tau)


def make_diffusion(preset: Preset, horizon: int, observation_size: int, action_size: int) -> TrajectoryDiffusion:
    """An untrained denoiser of whole trajectories, with its noise schedule."""
    denoiser = make_denoiser(preset, horizon, observation_size, action_size)
    prediction, precision = preset.diffusion.prediction, preset.acceleration.precision
    return TrajectoryDiffusion(denoiser, make_schedule(preset), observation_size, prediction, precision)


def make_denoiser(preset: Preset, horizon: int, observation_size: int, action_size: int) -> nn.Module:
    """The network that a preset asks for.

    Raises:
        ValueError: one that does not look at a whole trajectory.
    """
    settings = preset.denoiser
    sizes = (horizon, observation_size, action_size, settings.width, settings.depth)
    if settings.kind == "transformer":
        return TransformerDenoiser(*sizes)
    networks = {"mlp": ResidualMLPDenoiser, "causal-mlp": CausalMLPDenoiser}
    if settings.kind not in networks:
        raise ValueError(f"the denoiser {settings.kind} sees single steps; baselines.make_world_model makes its model")
    step_unit = 1 / preset.diffusion.diffusion_steps if settings.smooth_steps else 1.0
    return networks[settings.kind](*sizes, step_unit=step_unit)
