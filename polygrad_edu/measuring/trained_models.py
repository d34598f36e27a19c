"""World models trained on a dataset, and kept.

A trained model is stored beside the results, so an interrupted comparison goes on where it was, and asking
another question (more steps ahead, fewer sampling steps) trains nothing anew.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..baselines import make_world_model, window_of
from ..files.input_error import InputError
from ..files.progress import OnProgress, tell_nobody
from ..files.safe_files import DAMAGE, LfsPointerError, one_line, read_json, read_tensors, write_json, write_tensors
from ..imagination_loop import NotFiniteError, seeded_weights
from ..interop.datasets import OfflineData, to_replay
from ..presets import preset_for
from ..replay import SequenceReplay
from ..settings import LEARNED_WITH, Preset, closest_name
from ..world_model import WorldModel

# Of each world model: the settings that differ from the task's preset, and the number of updates. For Hopper they take
# 7 to 16 minutes each on one core.
_SLOWER = {"learning_rate": 1e-3, "ema_decay": 0.999}  # than in a run, for there is more time to learn
COMPARED: dict[str, tuple[dict[str, Any], int]] = {
    "polygrad": ({"horizon": 11, **_SLOWER}, 25_000),
    "polygrad-causal": ({"horizon": 11, "denoiser": "causal-mlp", "width": 768, **_SLOWER}, 12_000),
    "polygrad-delayed": (
        {
            "horizon": 11,
            "denoiser": "step-mlp",
            "prediction": "change",
            "width": 256,
            "depth": 3,
            "batch_size": 512,
            "sampling_steps": 4,
            "delay": 4,
            **_SLOWER,
            "learning_rate": 2e-3,
        },
        25_000,
    ),
    "polygrad-transformer": (
        {"horizon": 11, "denoiser": "transformer", "width": 128, "batch_size": 64, **_SLOWER},
        10_000,
    ),
    "autoregressive-diffusion": ({"world_model": "autoregressive-diffusion", **_SLOWER}, 25_000),
    "mlp-ensemble": ({"world_model": "mlp-ensemble", "width": 200, "depth": 4, **_SLOWER}, 12_000),
    "transformer": ({"world_model": "transformer", "width": 128, "batch_size": 64, **_SLOWER}, 8_000),
    "recurrent": ({"world_model": "recurrent", "width": 256, "batch_size": 32, **_SLOWER}, 6_000),
}

LOOK_EVERY = 50  # updates between looks at the loss, which wait for the device


class Effort(NamedTuple):
    """The training that a world model gets: a number of updates or, if there is none, minutes.

    Attributes:
        minutes: of the processor's time, so that a busy machine is no disadvantage.
    """

    updates: int | None = None
    minutes: float | None = None

    @property
    def whole(self) -> float:
        """Its size, in updates or in seconds."""
        return self.updates if self.updates is not None else 60 * (self.minutes or 0)

    def done(self, updates: int, seconds: float) -> float:
        """The part of :attr:`whole` that ``updates`` in ``seconds`` of the processor's time are."""
        return updates if self.updates is not None else seconds


class Candidate(NamedTuple):
    """A world model that takes part in a comparison, before it is trained."""

    name: str
    preset: Preset
    effort: Effort


class Trained(NamedTuple):
    """A world model with the training that it had: updates, and seconds of the processor's time."""

    name: str
    world_model: WorldModel[Any]
    updates: int
    seconds: float


def make_candidate(name: str, env_id: str, action_scale: float, overrides: Mapping[str, str]) -> Candidate:
    """The settings and the number of updates with which a world model takes part in a comparison.

    Args:
        name: one of ``COMPARED``.
        action_scale: part of the task's range that the data's actions of -1 to 1 span.

    Raises:
        InputError: there is no such world model, or no such setting.
    """
    changes, updates = COMPARED[closest_name(name, COMPARED, "world model")]
    preset = preset_for(env_id).with_overrides(changes, action_scale=action_scale)
    return Candidate(name, preset.with_overrides(overrides), Effort(updates))


def train(
    candidate: Candidate,
    data: OfflineData,
    out: Path,
    seed: int,
    device: str,
    on_progress: OnProgress = tell_nobody,
) -> Trained:
    """Train a world model on ``data``, or read it from ``out`` if it was trained before.

    Raises:
        InputError: the stored model is damaged.
        NotFiniteError: the loss became infinite or not a number.
    """
    name, preset, effort = candidate
    world_model, replay = untrained(preset, data, seed, device)
    settings = preset.to_json()
    identity = {
        "schedule": "half cosine",
        "settings": {key: settings[key] for key in LEARNED_WITH},
        "effort": effort._asdict(),
        "seed": seed,
        "data": fingerprint(data),
    }
    directory = out / "models" / f"{name}-{seed}"
    if (had := _load(directory, world_model, identity)) is not None:
        return Trained(name, world_model, *had)

    def fall(share: float) -> None:
        # along half a cosine to 0, so that no model is measured in the middle of a swing
        for group in world_model.optimiser.param_groups:
            group["lr"] = (1 + math.cos(math.pi * share)) / 2 * preset.world_model.learning_rate

    updates, seconds = fit_for(name, world_model, replay, effort, on_progress, fall)
    _save(directory, world_model, identity | {"updates": updates, "training_seconds": seconds})
    return Trained(name, world_model, updates, seconds)


def fit_for(
    name: str,
    world_model: WorldModel[Any],
    replay: SequenceReplay,
    effort: Effort,
    on_progress: OnProgress = tell_nobody,
    before_update: Callable[[float], None] = lambda share: None,
) -> tuple[int, float]:
    """Fit a world model with an ``effort``; returns the updates and the seconds of the processor's time.

    Args:
        before_update: called with the share of the effort that is over, 0 to 1.

    Raises:
        NotFiniteError: the loss became infinite or not a number.
    """
    begin = time.process_time()
    updates, seconds, done, whole = 0, 0.0, 0.0, effort.whole
    while done < whole:
        before_update(done / whole)
        loss = world_model.fit(replay)
        updates += 1
        seconds = time.process_time() - begin
        done = effort.done(updates, seconds)
        if done < whole and updates % LOOK_EVERY:
            continue
        if not bool(loss.isfinite()):
            raise NotFiniteError(
                f"{name}'s loss became {loss.item()} at update {updates}; a smaller --learning-rate may prevent it"
            )
        on_progress(f"train {name}", round(min(done, whole)), round(whole))
    return updates, seconds


def untrained(preset: Preset, data: OfflineData, seed: int, device: str) -> tuple[WorldModel[Any], SequenceReplay]:
    """A world model with the weights of ``seed``, and the replay of ``data`` that it is to learn from."""
    replay = to_replay(data, window_of(preset), device, keep_next=preset.denoiser.endings == "read")
    with seeded_weights(seed, device):
        return make_world_model(preset, replay.normaliser, torch.Generator(device).manual_seed(seed)), replay


def _save(directory: Path, world_model: WorldModel[Any], state: dict[str, Any]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "state.json").unlink(missing_ok=True)  # the tensors that it describes are about to change
    tensors = {f"network/{key}": value for key, value in world_model.network.state_dict().items()}
    tensors |= {f"averaged/{key}": value for key, value in world_model.averaged_network.state_dict().items()}
    write_tensors(directory / "tensors.safetensors", tensors)
    write_json(directory / "state.json", state)


def _load(directory: Path, world_model: WorldModel[Any], identity: dict[str, Any]) -> tuple[int, float] | None:
    """Load a model that was trained with the same ``identity``; returns its updates and seconds, None if there is none.

    Raises:
        InputError: its files are damaged.
    """
    if not (directory / "state.json").is_file():
        return None
    state = read_json(directory / "state.json")
    updates, seconds = state.pop("updates", None), state.pop("training_seconds", None)
    same = state == json.loads(json.dumps(identity))
    if not (same and isinstance(updates, int) and isinstance(seconds, float)):
        return None
    try:
        tensors = read_tensors(directory / "tensors.safetensors")
        for prefix, module in (("network/", world_model.network), ("averaged/", world_model.averaged_network)):
            own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            module.load_state_dict(own)
    except LfsPointerError:
        raise
    except DAMAGE as error:
        raise InputError(f"{directory} is damaged ({one_line(error)}); remove it to train anew") from None
    return updates, seconds


def fingerprint(data: OfflineData) -> str:
    """A short checksum of the transitions."""
    digest = hashlib.sha256()
    for part in (data.observations, data.actions, data.rewards, data.terminals):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]
