"""The file metrics.jsonl: one line for each evaluation of a run, appended at once and read within limits."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .input_error import InputError
from .safe_files import MIB, check_fields, one_line, parse_json, read_bytes, write_whole

MAX_BYTES = 64 * MIB
MAX_LINE_BYTES = 2**16


def append_metrics(path: Path, line: dict[str, Any]) -> None:
    """Append a line. It is on the disk when this returns: a checkpoint of the same step relies on that."""
    with path.open("ab") as file:
        file.write((json.dumps(line, allow_nan=False) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All lines of a run's metrics, except a last one that is still being written.

    Raises:
        InputError: there is no such file, or a line is damaged; its number is named.
    """
    *lines, _ = read_bytes(path, MAX_BYTES).split(b"\n")
    metrics = []
    for number, line in enumerate(lines, start=1):
        try:
            metrics.append(_parsed(line, path))
        except ValueError as error:  # a UnicodeDecodeError, too
            raise InputError(f"{path}, line {number}: {one_line(error)}") from None
    return metrics


def _parsed(line: bytes, path: Path) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise InputError(f"it has {len(line):,} bytes, more than {MAX_LINE_BYTES:,}")
    data = parse_json(line.decode("utf-8"))
    check_fields(data, {"env_step": int, "wall_seconds": float}, path)
    return data


def drop_later_metrics(path: Path, env_step: int) -> None:
    """Remove lines beyond ``env_step`` and a line cut short by a crash: a resumed run makes those steps again."""
    if not path.exists():
        return
    kept = []
    for line in read_bytes(path, MAX_BYTES).split(b"\n"):
        try:
            if _parsed(line, path)["env_step"] <= env_step:
                kept.append(line + b"\n")
        except ValueError:  # cut short, and so later than any checkpoint
            continue
    write_whole(path, b"".join(kept))
