"""Run directories: the files of a run, each written whole or not at all, and only data (safetensors and JSON).

::

    config.json                     the preset's name, every setting and the seed
    metrics.jsonl                   a line for each evaluation
    checkpoint/step-000004000.json  counters and the like, and the names of the shards; the last two are kept
    checkpoint/shards/              the tensors, see :mod:`polygrad_edu.files.shards`
    result.json  video.mp4          when the run is done; no_video.txt says why there is no video, if there is none
    lock.json                       see :mod:`polygrad_edu.runs.lock`
    progress.jsonl  policy.mp4      of a supervised run, see :mod:`polygrad_edu.runs.supervised`

A checkpoint counts from the moment its own file is there. Everything it needs is on the disk before that, and nothing
that an older one needs is removed before that; so a run can be killed at any moment and goes on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .. import __version__
from ..acceleration import computable_on
from ..files.input_error import InputError
from ..files.safe_files import (
    DAMAGE,
    MIB,
    LfsPointerError,
    all_finite,
    at_most_parameters,
    check_fields,
    one_line,
    read_json,
    sync_directory,
    write_json,
)
from ..files.shards import read_shards, remove_unused, write_shards
from ..files.versions import NewerError, is_older, refuse_newer, refuse_newer_format
from ..imagination_loop import ImaginationLoop, NotFiniteError, check_seed
from ..settings import Preset
from .loop_state import restore, state_of

FORMAT = "polygrad-edu checkpoint 3"
KEPT = 2
MAX_BYTES = 16 * MIB  # of a checkpoint's own file: 256 Humanoids' states take 5
_log = logging.getLogger(__name__)


def write_config(run: Path, preset_name: str, preset: Preset, seed: int) -> None:
    """Make the run directory and write its config.json."""
    run.mkdir(parents=True, exist_ok=True)
    config = {"version": __version__, "preset": preset_name, "seed": seed, "settings": preset.to_json()}
    write_json(run / "config.json", config)


def check_is_run(run: Path) -> None:
    """Check that there is a run in the directory ``run``.

    Raises:
        InputError: there is none.
    """
    if not (run / "config.json").is_file():
        raise InputError(f"{run} is not a run directory: it holds no config.json (make one with: polygrad-edu train)")


def read_config(run: Path) -> tuple[str, Preset, int]:
    """Read the preset's name, the settings and the seed of a run.

    Raises:
        InputError: ``run`` is not a run directory, or its config.json is damaged or of a newer version.
    """
    check_is_run(run)
    path = run / "config.json"
    config = read_json(path)
    try:
        check_fields(config, {"preset": str, "seed": int, "settings": dict}, path)
        preset = Preset.from_json(config["settings"])
        check_seed(config["seed"])
    except InputError as error:
        refuse_newer(config.get("version"), path)
        reason = one_line(error)
        raise InputError(reason if reason.startswith(str(path)) else f"{path}: {reason}") from None
    return config["preset"], preset, config["seed"]


def save_checkpoint(
    run: Path, loop: ImaginationLoop, wall_seconds: float, latest: dict[str, float] | None = None
) -> Path:
    """Write a checkpoint; it appears under its name only when it is whole. The last two are kept.

    Args:
        latest: the losses that were shown last; the next line of metrics.jsonl repeats those that it has no news of.

    Raises:
        OSError: the disk is full or cannot be written to; the checkpoints that were there are as they were.
        NotFiniteError: a tensor holds a number that is not finite; nothing was written.
    """
    tensors, state = state_of(loop)
    on_host = {name: value.detach().cpu() for name, value in tensors.items()}
    for name, value in on_host.items():
        if not all_finite(value):
            raise NotFiniteError(f"{name} holds numbers that are not finite at step {loop.env_step}; it is not saved")
    root = run / "checkpoint"
    try:
        shards = write_shards(root / "shards", on_host, loop.preset.run.checkpoint_shards * MIB)
        state |= {
            "format": FORMAT,
            "version": __version__,
            "wall_seconds": wall_seconds,
            "latest": latest or {},
            "shards": shards,
        }
        state["settings"] = loop.preset.to_json()
        path = _path(run, loop.env_step)
        write_json(path, state | {"sha256": _checksum(state)})
        for directory in (run, run.parent):  # they hold the names of checkpoint/ and, at first, of the run
            sync_directory(directory)
        remove_old(run, loop.env_step)
    except OSError as error:  # a disk that is full or gone
        raise OSError(f"the checkpoint of step {loop.env_step} could not be written: {error}") from None
    return path


def _checksum(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def remove_old(run: Path, env_step: int) -> None:
    """Keep the checkpoint of ``env_step`` and the one before it; remove all others.

    Later ones were passed over as damaged, and their steps made again.
    """
    newest = _path(run, env_step)
    every = list_checkpoints(run)
    earlier = [path for path in every if path.name < newest.name]
    kept = [newest, *earlier[len(earlier) - (KEPT - 1) :]]
    for path in every:
        if path not in kept:
            path.unlink()
    used = []
    for path in kept:
        try:
            used += _read_manifest(path)["shards"]
        except InputError:  # a damaged one: nothing can be read by it
            continue
    remove_unused(run / "checkpoint" / "shards", used)


def _path(run: Path, env_step: int) -> Path:
    return run / "checkpoint" / f"step-{env_step:09d}.json"


def list_checkpoints(run: Path) -> list[Path]:
    """The checkpoints' own files, oldest first."""
    return sorted((run / "checkpoint").glob("step-*.json"))


class Stored(NamedTuple):
    """A checkpoint as read from the disk: whole, but not yet known to fit a run."""

    path: Path
    state: dict[str, Any]
    tensors: dict[str, torch.Tensor]


def has_checkpoint(run: Path) -> bool:
    """True if a run has come to its first checkpoint."""
    return bool(list_checkpoints(run))


def read_checkpoint(run: Path) -> Stored:
    """Read the last whole checkpoint of a run; a damaged one is logged, and the one before it used.

    Raises:
        InputError: there is no checkpoint, or no whole one. If the last one is of a newer version, or was not fetched
            by Git LFS, an older one is not used in its place.
    """
    damaged: list[str] = []
    for path in reversed(list_checkpoints(run)):
        try:
            state = _read_manifest(path)
            tensors = read_shards(run / "checkpoint" / "shards", state["shards"])
        except (NewerError, LfsPointerError):
            raise
        except InputError as error:
            damaged.append(f"the checkpoint {path} is damaged: {str(error).removeprefix(f'{path} ')}")
            continue
        if damaged:
            _log.warning("%s; using the one before it, %s", damaged[0], path.name)
        return Stored(path, state, tensors)
    if damaged:
        raise InputError(f"{damaged[0]}; there is no older one that is whole, so the run has to be made anew")
    raise InputError(
        f"{run} holds no checkpoint yet; train it longer with: polygrad-edu train --resume {shlex.quote(str(run))} "
        "(which then starts from its beginning)"
    )


def _read_manifest(path: Path) -> dict[str, Any]:
    state = read_json(path, MAX_BYTES)
    refuse_newer_format(state.get("format"), FORMAT, state.get("version"), f"the checkpoint {path}")
    if state.get("format") != FORMAT:
        raise InputError(f"it is not a checkpoint of this version (its format is {state.get('format')!r:.60})")
    if state.pop("sha256", None) != _checksum(state):
        raise InputError("its own checksum is wrong")
    kinds = {
        "counters": dict,
        "replay": dict,
        "environments": list,
        "device": str,
        "wall_seconds": float,
        "latest": dict,
        "shards": list,
        "settings": dict,
    }
    check_fields(state, kinds, path)
    check_fields(state["latest"], dict.fromkeys(state["latest"], float), path)
    return state


def rebuild(
    stored: Stored, preset: Preset, seed: int, device: str = "cpu", base: Preset | None = None
) -> ImaginationLoop:
    """Make the loop as it stood at a stored checkpoint.

    Args:
        base: the run's own settings, if ``preset`` has some of them changed.

    Raises:
        InputError: the checkpoint belongs to another run, or is damaged.
    """
    where = f"the checkpoint {stored.path}"
    own = (base or preset).to_json()
    changed = [name for name, value in stored.state["settings"].items() if name in own and own[name] != value]
    # compile decides how the same operations are asked for, and is another where a run goes on without its GPU
    if changed := sorted(set(changed) - {"env_steps", "compile"}):
        raise InputError(
            f"{where} belongs to another run: there {changed[0]} is {stored.state['settings'][changed[0]]!r:.60}"
        )
    if len(stored.state["environments"]) != preset.task.parallel_envs:
        n = len(stored.state["environments"])
        raise InputError(
            f"{where} belongs to another run: it holds {n} environments, this run has {preset.task.parallel_envs}"
        )
    version = stored.state.get("version")
    loop = None
    try:
        with at_most_parameters(sum(tensor.nbytes for tensor in stored.tensors.values()), "its run"):
            loop = ImaginationLoop(computable_on(preset, device), seed, device)
        restore(loop, stored.tensors, stored.state)
        return loop
    except DAMAGE as error:
        refuse_newer(version, where)
        reason = f"{where} does not fit its run: {one_line(error)}"
        if loop is None:  # the task or the machine, not what was stored
            raise InputError(reason) from None
        loop.collector.close()
        older = f"; it is of an older polygrad-edu ({version or 'up to 0.2'}), so the run has to be trained anew"
        raise InputError(reason + (older if is_older(version) else "")) from None


def load_checkpoint(
    run: Path, device: str = "cpu", overrides: dict[str, str] | None = None
) -> tuple[ImaginationLoop, float]:
    """Make the loop as it stood at the run's last whole checkpoint; returns it and the seconds it had taken.

    Raises:
        InputError: no run, no checkpoint, a damaged or a foreign one.
    """
    _, preset, seed = read_config(run)
    stored = read_checkpoint(run)
    loop = rebuild(stored, preset.with_overrides(overrides or {}), seed, device, preset)
    return loop, float(stored.state["wall_seconds"])
