"""World models trained on a dataset, and kept.

A trained model is stored beside the results, so an interrupted comparison goes on where it was, and asking
another question (more steps ahead, fewer sampling steps) trains nothing anew.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..baselines import make_world_model
from ..files.safe_files import DAMAGE, one_line, read_json, read_tensors, write_json, write_tensors
from ..imagination_loop import seed_everything
from ..interop.datasets import OfflineData, to_replay
from ..presets import preset_for
from ..replay import Normaliser
from ..settings import IMAGINE_ONLY, Preset, closest_name
from ..world_model import WorldModel

# What differs from the task's preset, and the number of updates: for Hopper 7 to 16 minutes each on one core.
_SLOWER = {"learning_rate": 1e-3, "ema_decay": 0.999}  # than in a run, for there is more time to learn
COMPARED: dict[str, tuple[dict[str, Any], int]] = {
    "polygrad": ({"horizon": 11, **_SLOWER}, 25_000),
    "polygrad-causal": ({"horizon": 11, "denoiser": "causal-mlp", "width": 768, **_SLOWER}, 12_000),
    "polygrad-transformer": (
        {"horizon": 11, "denoiser": "transformer", "width": 128, "batch_size": 64, **_SLOWER}, 10_000,
    ),
    "autoregressive-diffusion": ({"world_model": "autoregressive-diffusion", **_SLOWER}, 25_000),
    "mlp-ensemble": ({"world_model": "mlp-ensemble", "width": 200, "depth": 4, **_SLOWER}, 12_000),
    "transformer": ({"world_model": "transformer", "width": 128, "batch_size": 64, **_SLOWER}, 8_000),
    "recurrent": ({"world_model": "recurrent", "width": 256, "batch_size": 32, **_SLOWER}, 6_000),
}  # fmt: skip


def compared_preset(name: str, env_id: str, action_scale: float, overrides: dict[str, str]) -> tuple[Preset, int]:
    """The settings and the number of updates with which a world model takes part.

    Args:
        action_scale: part of the task's range that the data's actions of -1 to 1 span.
    """
    changes, updates = COMPARED[closest_name(name, COMPARED, "world model")]
    preset = replace(preset_for(env_id), action_scale=action_scale, **changes)
    return preset.with_overrides(overrides), updates


def train(
    name: str,
    preset: Preset,
    updates: int,
    data: OfflineData,
    out: Path,
    seed: int,
    device: str,
    on_update: Callable[[torch.Tensor], None],
) -> tuple[WorldModel[Any], float]:
    """The world model trained on ``data``, taken from ``out`` if it was trained before; and the seconds it took.

    Args:
        on_update: told the loss (a tensor on the device) after each update.
    """
    seed_everything(seed)
    sizes = data.observations.shape[1], data.actions.shape[1]
    world_model = make_world_model(preset, Normaliser(*sizes, device), torch.Generator(device).manual_seed(seed))
    replay = to_replay(data, world_model.window, device)
    world_model.normaliser = replay.normaliser
    learned = {key: value for key, value in preset.to_json().items() if key not in IMAGINE_ONLY}
    identity = {"settings": learned, "updates": updates, "seed": seed, "data": fingerprint(data)}
    directory = out / "models" / name
    if (seconds := _load(directory, world_model, identity)) is not None:
        return world_model, seconds
    begin = time.monotonic()
    for _ in range(updates):
        on_update(world_model.fit(replay))
    seconds = time.monotonic() - begin
    _save(directory, world_model, identity | {"training_seconds": seconds})
    return world_model, seconds


def _save(directory: Path, world_model: WorldModel[Any], state: dict[str, Any]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "state.json").unlink(missing_ok=True)  # what it vouches for is about to change
    tensors = {f"network/{key}": value for key, value in world_model.network.state_dict().items()}
    tensors |= {f"averaged/{key}": value for key, value in world_model.averaged_network.state_dict().items()}
    write_tensors(directory / "tensors.safetensors", tensors)
    write_json(directory / "state.json", state)


def _load(directory: Path, world_model: WorldModel[Any], identity: dict[str, Any]) -> float | None:
    """Fill the model with what was trained under the same ``identity``; None if that was not done yet."""
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
    except DAMAGE as error:
        raise ValueError(f"{directory} is damaged ({one_line(error)}); remove it to train anew") from None
    return seconds


def fingerprint(data: OfflineData) -> str:
    """A short name for exactly these transitions."""
    digest = hashlib.sha256()
    for part in (data.observations, data.actions, data.rewards, data.terminals):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]
