"""The world models that PolyGRAD is compared with, one file each, all with its interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..polygrad import PolyGRAD
from ..replay import Normaliser
from ..settings import WORLD_MODELS, Preset
from ..world_model import WorldModel
from .autoregressive_diffusion import AutoregressiveDiffusion
from .mlp_ensemble import MLPEnsemble
from .recurrent import Recurrent
from .transformer import Transformer

_CLASSES: dict[str, Callable[[Preset, Normaliser, torch.Generator], WorldModel[Any]]] = dict(
    zip(WORLD_MODELS, (PolyGRAD, AutoregressiveDiffusion, MLPEnsemble, Transformer, Recurrent), strict=True)
)


def make_world_model(preset: Preset, normaliser: Normaliser, generator: torch.Generator) -> WorldModel[Any]:
    """The untrained world model that ``preset.world_model`` names."""
    return _CLASSES[preset.world_model](preset, normaliser, generator)
