"""What every world model here is: something that fits real sequences and imagines what a policy would do.

PolyGRAD and the baselines it is compared with share this interface, so the same imagination loop trains
an agent in any of them, and the same measurement tells how far each goes wrong.
"""

from __future__ import annotations

import abc
import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from .acceleration import captured, check_device
from .replay import Normaliser, SequenceReplay, Sequences
from .settings import Preset
from .trajectory_diffusion import ImaginedTrajectories, Policy

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
        check_device(preset.precision, preset.compile, generator.device)
        self.network: Network = network.to(generator.device)
        # It imagines without gradients, but its weights keep asking for them: see acceleration.autocast.
        self.averaged_network: Network = copy.deepcopy(self.network)
        on_gpu = generator.device.type == "cuda"  # there, its own count of steps must not be looked at either
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=preset.learning_rate, fused=True, capturable=on_gpu
        )
        self.preset, self.normaliser, self.generator = preset, normaliser, generator
        self._update = captured(self._eager_update, preset.compile, generator)

    @abc.abstractmethod
    def loss(self, batch: Sequences) -> Tensor:
        """What an update makes smaller, on a batch of sequences of ``window`` time points."""

    @abc.abstractmethod
    def imagine(
        self, first_observations: Tensor, policy: Policy, horizon: int, generator: torch.Generator | None = None
    ) -> ImaginedTrajectories:
        """What would happen if ``policy`` acted from ``first_observations`` [B, O], in the environment's units.

        Args:
            horizon: H, time points to imagine, the first (given) one included.
            generator: source of randomness instead of the model's own.
        """

    def fit(self, replay: SequenceReplay) -> Tensor:
        """One update on a batch from the replay; returns its loss."""
        return self._update(*replay.sample(self.preset.batch_size, self.generator))

    def _eager_update(self, *batch: Tensor) -> Tensor:
        loss = self.loss(Sequences(*batch))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.averaged_network.parameters()), list(self.network.parameters()), 1 - self.preset.ema_decay
            )
        return loss.detach()

    def tune(self, action_std: Tensor) -> dict[str, Tensor]:
        """Learn from how spread the standardised imagined actions were (1 is right); returns what to report."""
        return {}

    def tuned(self) -> dict[str, Tensor]:
        """The tensors that :meth:`tune` changes, by name: a checkpoint stores them and copies them back."""
        return {}
