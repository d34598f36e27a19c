"""Run directories that travel: what a machine without a common disk needs to go on, and what it sends back.

A shard of a checkpoint is named by its checksum (:mod:`shards`), so one that the other side has already need not
travel again: of a long run's replay only the newest part does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

SHARDS = "checkpoint/shards/"

Files = dict[str, bytes | None]


def pack(run: Path, known: Iterable[str] = ()) -> Files:
    """The files of a run by their names within it; None for a shard that is among the ``known`` names."""
    known = {name for name in known if name.startswith(SHARDS)}
    paths = {path.relative_to(run).as_posix(): path for path in sorted(run.rglob("*")) if path.is_file()}
    return {
        name: None if name in known else path.read_bytes()
        for name, path in paths.items()
        if not path.name.endswith(".partial")
    }


def unpack(run: Path, files: Files) -> None:
    """Make ``run`` hold what was packed, in an order that leaves it whole at every moment.

    First the shards, then what names them, last what says that the run is done; old checkpoints go at the end.

    Raises:
        ValueError: a name leads out of the run directory, or a shard was left out that is not here.
    """
    for name, content in files.items():
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
            raise ValueError(f"{name!r} is no file of a run directory")
        if content is None and not (name.startswith(SHARDS) and (run / name).is_file()):
            raise ValueError(f"{name} was left out, and {run} does not hold it")
    for name in sorted(files, key=_rank):
        if (content := files[name]) is not None:
            _write(run / name, content)
    for path in (run / "checkpoint").rglob("*"):
        if path.is_file() and path.relative_to(run).as_posix() not in files:
            path.unlink()


def _rank(name: str) -> tuple[int, str]:
    last = ("result.json", "video.mp4")
    return (last.index(name) + 3 if name in last else 0 if name.startswith(SHARDS) else 1), name


def _write(path: Path, content: bytes) -> None:
    """Write beside ``path`` and move it there: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
