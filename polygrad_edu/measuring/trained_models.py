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
from ..files.safe_files import DAMAGE, LfsPointerError, one_line, read_json, read_tensors, write_json, write_tensors
from ..imagination_loop import seeded_weights
from ..interop.datasets import OfflineData, to_replay
from ..presets import preset_for
from ..replay import SequenceReplay
from ..settings import IMAGINE_ONLY, Preset, closest_name
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


class Candidate(NamedTuple):
    """A world model that takes part in a comparison, before it is trained."""

    name: str
    preset: Preset
    updates: int


class Trained(NamedTuple):
    """A world model with the training that it had."""

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
    return Candidate(name, preset.with_overrides(overrides), updates)


def train(
    candidate: Candidate,
    data: OfflineData,
    out: Path,
    seed: int,
    device: str,
    on_update: Callable[[torch.Tensor], None] = lambda loss: None,
) -> Trained:
    """Train a world model on ``data``, or read it from ``out`` if it was trained before.

    Args:
        on_update: called with the loss, a tensor on the device, after each update.

    Raises:
        InputError: the stored model is damaged.
    """
    name, preset, updates = candidate
    world_model, replay = untrained(preset, data, seed, device)
    learned = {key: value for key, value in preset.to_json().items() if key not in IMAGINE_ONLY}
    identity = {
        "schedule": "half cosine",
        "settings": learned,
        "updates": updates,
        "seed": seed,
        "data": fingerprint(data),
    }
    directory = out / "models" / name
    if (seconds := _load(directory, world_model, identity)) is not None:
        return Trained(name, world_model, updates, seconds)
    begin = time.monotonic()
    for update in range(updates):
        # along half a cosine to 0, so that no model is measured in the middle of a swing
        share = (1 + math.cos(math.pi * update / updates)) / 2
        for group in world_model.optimiser.param_groups:
            group["lr"] = share * preset.world_model.learning_rate
        on_update(world_model.fit(replay))
    seconds = time.monotonic() - begin
    _save(directory, world_model, identity | {"training_seconds": seconds})
    return Trained(name, world_model, updates, seconds)


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


def _load(directory: Path, world_model: WorldModel[Any], identity: dict[str, Any]) -> float | None:
    """Load a model that was trained with the same ``identity``; returns its seconds of training, None if there is none.

    Raises:
        InputError: its files are damaged.
    """
    if not (directory / "state.json").is_file():
        return None
    state = read_json(directory / "state.json")
    seconds = state.pop("training_seconds", None)
    if state != json.loads(json.dumps(identity)) or not isinstance(seconds, float):
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
    return seconds


def fingerprint(data: OfflineData) -> str:
    """A short checksum of the transitions."""
    digest = hashlib.sha256()
    for part in (data.observations, data.actions, data.rewards, data.terminals):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]
