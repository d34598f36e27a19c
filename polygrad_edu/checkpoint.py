"""Run directories: what a run leaves on disk, complete or not at all, and only data (safetensors and JSON).

::

    config.json                     the preset's name, every setting and the seed
    metrics.jsonl                   a line for each evaluation
    checkpoint/step-000004000.json  what is no tensor, and which shards hold the rest; the last two are kept
    checkpoint/shards/              the tensors, see :mod:`polygrad_edu.shards`
    progress.jsonl  policy.mp4      what a watched run shows, see :mod:`polygrad_edu.attendant`
    result.json  video.mp4          when the run is done
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from .imagination_loop import ImaginationLoop
from .replay import Normaliser
from .settings import Preset
from .shards import MIB, read_shards, remove_unused, write_shards

FORMAT = "polygrad-edu checkpoint 2"
KEPT = 2


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` beside ``path`` and move it there: a reader sees the old file or the new one."""
    _write_synced(path.with_name(path.name + ".partial"), json.dumps(data, indent=2) + "\n")
    path.with_name(path.name + ".partial").replace(path)


def _write_synced(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``, or a ValueError that names the file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {str(error).splitlines()[0]}") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path} must hold a JSON object")
    return data


def write_config(run: Path, preset_name: str, preset: Preset, seed: int) -> None:
    """Make the run directory and say in it what the run is."""
    run.mkdir(parents=True, exist_ok=True)
    write_json(run / "config.json", {"preset": preset_name, "seed": seed, "settings": preset.to_json()})


def read_config(run: Path) -> tuple[str, Preset, int]:
    """The preset's name, the settings and the seed of a run."""
    if not (run / "config.json").is_file():
        raise ValueError(f"{run} is not a run directory: it holds no config.json (make one with: polygrad-edu train)")
    config = read_json(run / "config.json")
    name, seed = config.get("preset"), config.get("seed")
    if not isinstance(name, str) or not isinstance(seed, int):
        raise ValueError(f"{run / 'config.json'} lacks the preset's name or a whole-number seed")
    try:
        return name, Preset.from_json(config.get("settings")), seed
    except ValueError as error:
        raise ValueError(f"{run / 'config.json'}: {error}") from None


def capture(loop: ImaginationLoop) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """All that decides a run's future: tensors by name, and the rest as data that JSON can hold."""
    tensors: dict[str, torch.Tensor] = {}
    for name, module in _modules(loop).items():
        tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
    for name, optimiser in _optimisers(loop).items():
        for index, entries in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}/{index}/{key}": value for key, value in entries.items()}
    for name in loop.replay.tensors:
        tensors[f"replay/{name}"] = getattr(loop.replay, name)[: loop.replay.size]
    for field in Normaliser.fields:
        for key, value in vars(getattr(loop.replay.normaliser, field)).items():
            if key in _STATISTICS:
                tensors[f"normaliser/{field}/{key}"] = torch.as_tensor(value)
    tensors["generator"] = loop.generator.get_state()
    tensors["torch_generator"] = torch.get_rng_state()
    tensors |= loop.world_model.tuned()
    tensors["observations"] = torch.as_tensor(loop.collector.observations)
    state = {
        "counters": {name: getattr(loop, name) for name in loop.counters},
        "replay": {name: getattr(loop.replay, name) for name in loop.replay.counters},
        "environments": loop.collector.snapshot(),
        "device": loop.device.type,
    }
    return tensors, state


def apply(loop: ImaginationLoop, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    """Bring a freshly made loop to a captured state; raises KeyError, ValueError or RuntimeError if it cannot fit."""
    for name, module in _modules(loop).items():
        module.load_state_dict(_under(tensors, name))
    for name, optimiser in _optimisers(loop).items():
        entries: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in _under(tensors, name).items():
            index, entry = key.split("/")
            entries.setdefault(int(index), {})[entry] = value
        optimiser.load_state_dict(optimiser.state_dict() | {"state": entries})
    for name in loop.replay.counters:
        setattr(loop.replay, name, _like(getattr(loop.replay, name), state["replay"][name]))
    for name in loop.replay.tensors:
        getattr(loop.replay, name)[: loop.replay.size] = tensors[f"replay/{name}"]
    for field in Normaliser.fields:
        standardiser = getattr(loop.replay.normaliser, field)
        for key in _STATISTICS:
            value, old = tensors[f"normaliser/{field}/{key}"], getattr(standardiser, key)
            on_host = int(value) if key == "count" else value.numpy()
            setattr(standardiser, key, value.to(old) if isinstance(old, torch.Tensor) else on_host)
    if state["device"] == loop.device.type:
        loop.generator.set_state(tensors["generator"])
    else:  # a state means nothing to another kind of device: go on from a seed that depends on the step
        loop.generator.manual_seed(loop.seed + int(state["counters"]["env_step"]))
    torch.set_rng_state(tensors["torch_generator"])
    for name, tensor in loop.world_model.tuned().items():
        tensor.copy_(tensors[name])
    loop.collector.restore(state["environments"], tensors["observations"].numpy())
    for name in loop.counters:
        setattr(loop, name, _like(getattr(loop, name), state["counters"][name]))


def _like(old: Any, new: Any) -> Any:
    """``new`` as the type of ``old``: a number, or a list of as many numbers."""
    if not isinstance(old, list):
        return type(old)(new)
    if len(new) != len(old):
        raise ValueError(f"it holds {len(new)} environments, this run has {len(old)}")
    return [type(first)(value) for first, value in zip(old, new, strict=True)]


_STATISTICS = ("count", "running_mean", "sum_of_squares", "mean", "scale")


def _modules(loop: ImaginationLoop) -> dict[str, torch.nn.Module]:
    return {
        "world_model": loop.world_model.network,
        "averaged_model": loop.world_model.averaged_network,
        "actor_critic": loop.actor_critic,
        "best_policy": loop.best_policy,
    }


def _optimisers(loop: ImaginationLoop) -> dict[str, torch.optim.Optimizer]:
    return {
        "world_model_optimiser": loop.world_model.optimiser,
        "actor_optimiser": loop.optimiser.actor,
        "critic_optimiser": loop.optimiser.critic,
    }


def _under(tensors: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with ``name/``, without it."""
    return {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(name + "/")}


def save_checkpoint(run: Path, loop: ImaginationLoop, wall_seconds: float) -> Path:
    """Write a checkpoint; it appears under its name only when it is whole. The last two are kept."""
    tensors, state = capture(loop)
    root = run / "checkpoint"
    try:
        on_host = {name: value.detach().cpu() for name, value in tensors.items()}
        shards = write_shards(root / "shards", on_host, loop.preset.checkpoint_shards * MIB)
        path = root / f"step-{loop.env_step:09d}.json"
        write_json(path, state | {"format": FORMAT, "wall_seconds": wall_seconds, "shards": shards})
        for old in list_checkpoints(run)[:-KEPT]:
            old.unlink()
        remove_unused(root / "shards", [entry for kept in list_checkpoints(run) for entry in read_json(kept)["shards"]])
    except OSError as error:  # a disk that is full or gone
        raise OSError(f"the checkpoint of step {loop.env_step} could not be written: {error}") from None
    return path


def list_checkpoints(run: Path) -> list[Path]:
    """The whole checkpoints of a run, oldest first."""
    return sorted((run / "checkpoint").glob("step-*.json"))


def load_checkpoint(
    run: Path, device: str = "cpu", overrides: dict[str, str] | None = None
) -> tuple[ImaginationLoop, float]:
    """The loop as it stood at the run's last checkpoint, and the seconds it had taken.

    Raises:
        ValueError: no run, no checkpoint, a damaged or a foreign one.
    """
    _, preset, seed = read_config(run)
    preset = preset.with_overrides(overrides or {})
    checkpoints = list_checkpoints(run)
    if not checkpoints:
        raise ValueError(f"{run} holds no checkpoint yet; train it longer, or start anew with: polygrad-edu train")
    path = checkpoints[-1]
    state = read_json(path)
    if state.get("format") != FORMAT:
        raise ValueError(f"{path} is not a checkpoint of this version (its format is {state.get('format')!r})")
    try:
        tensors = read_shards(run / "checkpoint" / "shards", state["shards"])
        loop = ImaginationLoop(preset, seed, device)
        apply(loop, tensors, state)
        return loop, float(state["wall_seconds"])
    except (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        older = f"; remove it to use {checkpoints[-2].name}" if len(checkpoints) > 1 else ""
        raise ValueError(f"the checkpoint {path} is damaged or belongs to another run: {reason}{older}") from None
