"""The world models that PolyGRAD is compared with, one file each, all with its interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch

from ..replay import Normaliser
from ..settings import WORLD_MODELS, Preset
from ..variants.forced_polygrad import ForcedPolyGRAD
from ..world_model import PolyGRAD, WorldModel
from .autoregressive_diffusion import AutoregressiveDiffusion
from .mlp_ensemble import MLPEnsemble
from .recurrent import Recurrent
from .transformer import Transformer

_CLASSES: dict[str, type[WorldModel[Any]]] = dict(
    zip(WORLD_MODELS, (PolyGRAD, AutoregressiveDiffusion, MLPEnsemble, Transformer, Recurrent), strict=True)
)


def make_world_model(preset: Preset, normaliser: Normaliser, generator: torch.Generator) -> WorldModel[Any]:
    """The untrained world model that ``preset`` asks for."""
    make = cast(Callable[[Preset, Normaliser, torch.Generator], WorldModel[Any]], _class_of(preset))
    return make(preset, normaliser, generator)


def window_of(preset: Preset) -> int:
    """Time points in the sequences that this world model learns from."""
    return _class_of(preset).window_for(preset)


def _class_of(preset: Preset) -> type[WorldModel[Any]]:
    if preset.world_model.kind == "polygrad" and preset.denoiser.kind == "step-mlp":
        return ForcedPolyGRAD
    return _CLASSES[preset.world_model.kind]
