"""Shards: tensors in files of a limited size, each named by what it holds.

A long run's replay only grows at its end. Cut into blocks that are named by their checksums, most of it is
on disk already when the next checkpoint is written, two checkpoints share what they have in common, and no
file is too large for wherever a run is kept between two slices of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from .safe_files import MIB, parse_tensors, read_bytes, sync_directory, write_whole

MOST_BYTES = 4096 * MIB  # as the setting checkpoint_shards
_HEADER = 2**16  # room for a shard's own table of contents


def write_shards(directory: Path, tensors: dict[str, Tensor], limit: int) -> list[dict[str, str | int]]:
    """Write ``tensors`` to shards of at most ``limit`` bytes; returns what :func:`read_shards` asks for.

    A shard that is there already, and whole, is not written again. Each appears under its name only when it is whole.

    Raises:
        OSError: the disk is full or cannot be written to.
        ValueError: a single row of a tensor is larger than a shard may be.
    """
    directory.mkdir(parents=True, exist_ok=True)
    sync_directory(directory.parent)
    entries = []
    for parts in _packed(_parts(tensors, limit - _HEADER), limit - _HEADER):
        content = save({name: part.contiguous() for name, part in parts.items()})
        digest = hashlib.sha256(content).hexdigest()
        path = directory / f"{digest}.safetensors"
        if not (path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content):
            write_whole(path, content)
        entries.append({"sha256": digest, "bytes": len(content)})
    return entries


def _parts(tensors: dict[str, Tensor], limit: int) -> Iterator[tuple[str, Tensor]]:
    """Each tensor, or blocks of its rows where it is larger than ``limit``; the same blocks however it has grown."""
    for name, tensor in tensors.items():
        if tensor.nbytes <= limit:
            yield f"{name}@0", tensor.clone()  # safetensors refuses tensors that share memory
            continue
        rows = limit // tensor[0].nbytes
        if rows == 0:
            raise ValueError(f"a row of {name} takes {tensor[0].nbytes / MIB:.1f} MiB, more than a shard may hold")
        for number, block in enumerate(tensor.split(rows)):
            yield f"{name}@{number}", block.clone()


def _packed(parts: Iterable[tuple[str, Tensor]], limit: int) -> Iterator[dict[str, Tensor]]:
    """Parts put together, in their order, as long as they fit into one shard."""
    shard: dict[str, Tensor] = {}
    for name, part in parts:
        if shard and sum(other.nbytes for other in shard.values()) + part.nbytes > limit:
            yield shard
            shard = {}
        shard[name] = part
    if shard:
        yield shard


def read_shards(directory: Path, entries: list[dict[str, str | int]]) -> dict[str, Tensor]:
    """The tensors that :func:`write_shards` wrote.

    Raises:
        ValueError: a shard is missing, has another size or checksum, holds numbers that are not finite, or does
            not fit its neighbours.
    """
    parts: dict[str, list[Tensor]] = {}
    for entry in entries:
        for full_name, part in _read(directory, entry).items():
            name, _, number = full_name.rpartition("@")
            blocks = parts.setdefault(name, [])
            if number != str(len(blocks)):
                raise ValueError(f"block {len(blocks)} of {name!r:.80} is missing")
            if blocks and (part.shape[1:], part.dtype) != (blocks[0].shape[1:], blocks[0].dtype):
                raise ValueError(f"block {len(blocks)} of {name!r:.80} does not fit the others")
            blocks.append(part)
    return {name: torch.cat(blocks) if len(blocks) > 1 else blocks[0] for name, blocks in parts.items()}


def _read(directory: Path, entry: dict[str, str | int]) -> dict[str, Tensor]:
    path = directory / shard_name(entry)
    if not path.is_file():
        raise ValueError(f"its shard {path.name} is missing")
    if path.stat().st_size != entry.get("bytes"):
        raise ValueError(f"its shard {path.name} has {path.stat().st_size} bytes instead of {entry.get('bytes')!r:.40}")
    content = read_bytes(path, MOST_BYTES)
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise ValueError(f"the checksum of its shard {path.name} is wrong")
    try:
        return parse_tensors(content)
    except ValueError as error:
        raise ValueError(f"its shard {path.name} cannot be read: {error}") from None


def shard_name(entry: Any) -> str:
    """The file of an entry; its name is nothing but hexadecimal digits, so it cannot lead elsewhere."""
    digest = entry.get("sha256") if isinstance(entry, dict) else entry
    if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ValueError(f"{digest!r:.80} is no checksum of a shard")
    return f"{digest}.safetensors"


def remove_unused(directory: Path, used: Iterable[dict[str, str | int]]) -> None:
    """Remove the shards that no kept checkpoint asks for, and what an interruption left half-written."""
    kept = {shard_name(entry) for entry in used}
    for path in directory.iterdir():
        if path.name not in kept:
            path.unlink()
