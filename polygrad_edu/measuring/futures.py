"""Futures compared: each world model's distribution of futures beside the true one, in a world with something hidden.

Every model learns from the same episodes for the same time. Then each imagines many futures from each of some first
observations, and the world itself is run as often from there, with the hidden part drawn from its true distribution.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..files.progress import OnProgress, tell_nobody
from ..interop.datasets import OfflineData
from ..presets import preset_for
from ..settings import Preset, closest_name
from ..tasks.hidden_worlds import (
    EPISODE_STEPS,
    Fork,
    GustyPointMass,
    HiddenVelocityPendulum,
    HiddenWorld,
    WindyPointMass,
)
from ..world_model import WorldModel
from .distribution_error import crps, energy_distance, spread
from .error_report import write_report
from .future_report import FutureErrors, FutureReport, Measured
from .hidden_futures import (
    Futures,
    env_id_of,
    hidden_variance,
    indifferent_policy,
    real_futures,
    record_episodes,
    sides,
    steps_before_drift,
)
from .trained_models import Effort, fit_for, untrained

WORLDS: dict[str, type[HiddenWorld]] = {
    "windy-point-mass": WindyPointMass,
    "fork": Fork,
    "gusty-point-mass": GustyPointMass,
    "hidden-velocity-pendulum": HiddenVelocityPendulum,
}
STEPS_AHEAD = (1, 2, 5, 10, 15)

# Of each world model: the settings that differ from the small presets'. A window is as long as an episode, so that each
# trajectory that PolyGRAD learns from begins where nothing hidden has shown itself yet. The prediction is for each
# denoiser the one with the better scores in the windy world: x0 for the MLP, the presets' velocity for the others.
_COMMON = {"horizon": EPISODE_STEPS, "learning_rate": 2e-3, "ema_decay": 0.9995}
_DIFFUSION = {**_COMMON, "sampling_steps": 64}
_OTHERS = {**_COMMON, "learning_rate": 1e-3}
MODELS: dict[str, dict[str, Any]] = {
    "polygrad": {**_DIFFUSION, "prediction": "x0"},
    "polygrad-causal": {**_DIFFUSION, "denoiser": "causal-mlp", "width": 384},
    "polygrad-delayed": {
        **_DIFFUSION,
        "denoiser": "step-mlp",
        "prediction": "change",
        "width": 256,
        "sampling_steps": 16,
        "delay": 16,
    },
    "autoregressive-diffusion": {**_DIFFUSION, "world_model": "autoregressive-diffusion"},
    "mlp-ensemble": {**_OTHERS, "world_model": "mlp-ensemble"},
    "transformer": {**_OTHERS, "world_model": "transformer", "width": 96, "batch_size": 64},
    "recurrent": {**_OTHERS, "world_model": "recurrent", "batch_size": 64},
}


@dataclass(frozen=True)
class FutureSettings:
    """Settings of a comparison of futures.

    Attributes:
        world: one of ``WORLDS``.
        out: directory for the table and the figure.
        models: their names, of ``MODELS``; none: all.
        minutes: of training for each, of the processor's time, so that a busy machine is no disadvantage.
        updates: of each model, in place of the minutes.
        ahead: the furthest step ahead that is measured.
        episodes: to learn from, 16 steps each.
        starts: first observations.
        futures: from each of them, imagined and real.
        overrides: settings of every model, by name.
        vary: values of a setting of imagining, for each of which the trained PolyGRAD models are measured.
    """

    world: str
    out: Path
    models: Sequence[str] = ()
    minutes: float = 1.5
    updates: int | None = None
    ahead: int = 10
    episodes: int = 20_000
    starts: int = 20
    futures: int = 200
    seed: int = 0
    device: str = "cpu"
    overrides: Mapping[str, str] = field(default_factory=dict)
    vary: Mapping[str, Sequence[str]] = field(default_factory=dict)


def measure_futures(settings: FutureSettings, on_progress: OnProgress = tell_nobody) -> FutureReport:
    """Train world models in a hidden world, and measure the futures that each imagines.

    Writes futures.json, futures.md and futures.png to ``settings.out``.

    Raises:
        InputError: no such world, world model or setting.
        NotFiniteError: the loss of a world model went wrong.
    """
    world, presets = taking_part(settings)
    variations = [
        dict(zip(settings.vary, values, strict=True)) for values in itertools.product(*settings.vary.values())
    ]
    for preset in presets.values():
        if preset.world_model.kind == "polygrad":
            for changes in variations:
                preset.with_overrides(changes)  # judged before anything is trained
    settings.out.mkdir(parents=True, exist_ok=True)
    data = record_episodes(world, settings.episodes, settings.seed)
    real = real_futures(world, settings.starts, settings.futures, settings.ahead, settings.seed)
    again = real_futures(world, settings.starts, settings.futures, settings.ahead, settings.seed, drawn_again=True)
    results = [Measured("truth", None, 0, 0.0, measure(world, again, real))]
    for name, preset in presets.items():
        model, updates, seconds = train_for(name, preset, data, settings, on_progress)
        varied = variations if preset.world_model.kind == "polygrad" else [{}]
        for changes in varied:
            changed = preset.with_overrides(changes)
            model.reconfigure(changed)
            imagined = imagined_futures(model, world, real, settings.ahead, settings.seed)
            label = " ".join([name, *(f"{setting}={value}" for setting, value in changes.items())])
            results.append(Measured(label, changed, updates, seconds, measure(world, imagined, real)))
            on_progress(f"measure {label}", 1, 1)
    report = FutureReport(settings.world, settings.seed, settings.starts, settings.futures, results)
    write_report(report, settings.out, "futures")
    return report


def taking_part(settings: FutureSettings) -> tuple[type[HiddenWorld], dict[str, Preset]]:
    """The hidden world, and the preset of each world model that takes part.

    Raises:
        InputError: no such world, world model or setting.
    """
    world = WORLDS[closest_name(settings.world, WORLDS, "hidden world")]
    names = [closest_name(name, MODELS, "world model") for name in settings.models] or list(MODELS)
    return world, {name: make_preset(name, world, settings.overrides) for name in names}


def make_preset(name: str, world: type[HiddenWorld], overrides: Mapping[str, Any]) -> Preset:
    """The settings with which a world model takes part.

    Raises:
        InputError: no such setting, or a value that it cannot have.
    """
    return preset_for(env_id_of(world)).with_overrides(MODELS[name]).with_overrides(overrides)


def imagined_futures(model: WorldModel[Any], world: type[HiddenWorld], real: Futures, ahead: int, seed: int) -> Futures:
    """As many futures as the real ones, imagined from the same first observations."""
    generator = torch.Generator(model.generator.device).manual_seed(seed)
    first = real.first_observations().to(generator.device)
    policy = indifferent_policy(real.actions.shape[-1])
    return real.like(model.imagine(first, policy, ahead + 1, generator))


def train_for(
    name: str, preset: Preset, data: OfflineData, settings: FutureSettings, on_progress: OnProgress
) -> tuple[WorldModel[Any], int, float]:
    """Train a world model for its minutes, or its updates; returns it with the updates and the processor's seconds.

    Raises:
        NotFiniteError: the loss became infinite or not a number.
    """
    model, replay = untrained(preset, data, settings.seed, settings.device)
    updates, seconds = fit_for(name, model, replay, Effort(settings.updates, settings.minutes), on_progress)
    return model, updates, seconds


def measure(world: type[HiddenWorld], futures: Futures, real: Futures) -> FutureErrors:
    """Distances of a distribution of futures from the real one, by the number of steps ahead."""
    ahead = real.positions.shape[2] - 1
    steps = [h for h in STEPS_AHEAD if h < ahead] + [ahead]
    before = steps_before_drift(world, real)
    pairs = list(zip(futures.positions, real.positions, strict=True))  # of [M, H, 2], one for each start
    paths = [(own[:, 1:].reshape(len(own), -1), true[:, 1:].reshape(len(true), -1)) for own, true in pairs]
    return FutureErrors(
        steps_ahead=steps,
        spread=[_spread_ratio(_drifted(world, futures), _drifted(world, real), before, h) for h in steps],
        crps=[
            float(np.mean([crps(own[:, h, i], true[:, h, i]) for own, true in pairs for i in (0, 1)])) for h in steps
        ],
        energy_distance=[
            float(np.mean([energy_distance(own[:, h], true[:, h]) for own, true in pairs])) for h in steps
        ],
        path_energy_distance=float(np.mean([energy_distance(own, true) for own, true in paths])),
        share_within=hidden_variance(world, futures).share_within,
        branches=sides(world, futures),
    )


def _drifted(world: type[HiddenWorld], futures: Futures) -> np.ndarray:
    r"""The way [S, M, H-1, D] that the drift has moved the mass by each step: its position less what is known."""
    # \sum_{k < h} d_k \Delta t
    drift = world.implied_drift(futures.positions, futures.actions)[..., world.drift_axes]
    return drift.cumsum(axis=2) * world.dt


def _spread_ratio(drifted: np.ndarray, truly: np.ndarray, before: list[int], h: int) -> float:
    """Spread of the drift's way ``h`` steps ahead over the true one; NaN where it has nowhere begun."""
    begun = [start for start, first in enumerate(before) if first < h]
    if not begun:
        return float("nan")
    return spread(drifted[begun, :, h - 1]) / spread(truly[begun, :, h - 1])
