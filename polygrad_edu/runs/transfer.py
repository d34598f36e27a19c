"""Transfer of run directories between machines that share no disk.

A shard of a checkpoint is named by its checksum (:mod:`polygrad_edu.files.shards`), so one that the other side has
already need not be sent again: of a long run's replay only the newest part is.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ..files.input_error import InputError
from ..files.safe_files import write_whole
from .lock import LOCK
from .video import NO_VIDEO, VIDEO

SHARDS = "checkpoint/shards/"
LAST = ("result.json", NO_VIDEO, VIDEO)  # written last, for they say that a run is done

Files = dict[str, bytes | None]


def pack(run: Path, known: Iterable[str] = ()) -> Files:
    """Read the files of a run, by their names within it; None for a shard that is among the ``known`` names."""
    known = {name for name in known if name.startswith(SHARDS)}
    paths = {path.relative_to(run).as_posix(): path for path in sorted(run.rglob("*")) if path.is_file()}
    return {
        name: None if name in known else path.read_bytes()
        for name, path in paths.items()
        if name != LOCK and not path.name.endswith(".partial")
    }


def unpack(run: Path, files: Files) -> None:
    """Write packed files to ``run``, in an order that leaves it whole at every moment.

    First the shards, then the files that name them, then those that say that the run is done; old checkpoints are
    removed at the end.

    Raises:
        InputError: a name leads out of the run directory, or a shard was left out that is not here.
    """
    for name, content in files.items():
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
            raise InputError(f"{name!r} is no file of a run directory")
        if content is None and not (name.startswith(SHARDS) and (run / name).is_file()):
            raise InputError(f"{name} was left out, and {run} does not hold it")
    for name in sorted(files, key=_rank):
        if (content := files[name]) is not None:
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(run / name, content)
    for path in (run / "checkpoint").rglob("*"):
        if path.is_file() and path.relative_to(run).as_posix() not in files:
            path.unlink()


def _rank(name: str) -> tuple[int, str]:
    """Key to sort names by, in the order in which they are written."""
    if name.startswith(SHARDS):
        return 0, name
    return (2 + LAST.index(name) if name in LAST else 1), name
