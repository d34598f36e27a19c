"""metrics.jsonl: a line for each evaluation of a run, added as it is made, and read within limits."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .safe_files import MIB, check_fields, one_line, parse_json, read_bytes, write_whole

MOST_BYTES, MOST_OF_A_LINE = 64 * MIB, 2**16


def append_metrics(path: Path, line: dict[str, Any]) -> None:
    """Add a line; when this returns it is on the disk, as a checkpoint of the same step relies on."""
    with path.open("ab") as file:
        file.write((json.dumps(line, allow_nan=False) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All lines of a run's metrics, but for a last one that is still being written.

    Raises:
        ValueError: there is no such file, or a line is damaged; its number is named.
    """
    *lines, _ = read_bytes(path, MOST_BYTES).split(b"\n")
    metrics = []
    for number, line in enumerate(lines, start=1):
        try:
            metrics.append(_parsed(line, path))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {one_line(error)}") from None
    return metrics


def _parsed(line: bytes, path: Path) -> dict[str, Any]:
    if len(line) > MOST_OF_A_LINE:
        raise ValueError(f"it has {len(line):,} bytes, more than {MOST_OF_A_LINE:,}")
    data = parse_json(line.decode("utf-8"))
    check_fields(data, {"env_step": int, "wall_seconds": float}, path)
    return data


def drop_later_metrics(path: Path, env_step: int) -> None:
    """Forget lines beyond ``env_step``, and one cut short by a crash: after a resume those steps are made again."""
    if not path.exists():
        return
    kept = []
    for line in read_bytes(path, MOST_BYTES).split(b"\n"):
        try:
            if _parsed(line, path)["env_step"] <= env_step:
                kept.append(line + b"\n")
        except ValueError:  # cut short, and so later than any checkpoint
            continue
    write_whole(path, b"".join(kept))
