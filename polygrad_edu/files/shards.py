"""Shards: tensors in files of a limited size, each named by its checksum.

A long run's replay only grows at its end. Cut into blocks that are named by their checksums, most of it is on disk
already when the next checkpoint is written, two checkpoints share their common blocks, and no file is too large for the
place where a run is kept between two slices of time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from .input_error import InputError
from .safe_files import MIB, parse_tensors, read_bytes, refuse_lfs_pointer, sync_directory, write_whole

MAX_BYTES = 4096 * MIB  # as the setting checkpoint_shards
_HEADER = 2**16  # room for a shard's own table of contents


def write_shards(directory: Path, tensors: dict[str, Tensor], limit: int) -> list[dict[str, str | int]]:
    """Write ``tensors`` to shards of at most ``limit`` bytes; returns the entries that :func:`read_shards` takes.

    A shard that is there already, and whole, is not written again. Each appears under its name only when it is whole.

    Raises:
        OSError: the disk is full or cannot be written to.
        InputError: a single row of a tensor is larger than a shard may be.
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
    """Each tensor, or blocks of its rows where it is larger than ``limit``.

    A tensor that has grown at its end is cut into the same blocks as before, with new ones after them.
    """
    for name, tensor in tensors.items():
        if tensor.nbytes <= limit:
            yield f"{name}@0", tensor.clone()  # safetensors refuses tensors that share memory
            continue
        rows = limit // tensor[0].nbytes
        if rows == 0:
            raise InputError(f"a row of {name} takes {tensor[0].nbytes / MIB:.1f} MiB, more than a shard may hold")
        for number, block in enumerate(tensor.split(rows)):
            yield f"{name}@{number}", block.clone()


def _packed(parts: Iterable[tuple[str, Tensor]], limit: int) -> Iterator[dict[str, Tensor]]:
    """Shards of at most ``limit`` bytes: parts put together in their order."""
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
        InputError: a shard is missing, has another size or checksum, holds numbers that are not finite, does not fit
            its neighbours, or is a Git LFS pointer.
    """
    parts: dict[str, list[Tensor]] = {}
    for entry in entries:
        for full_name, part in _read(directory, entry).items():
            name, _, number = full_name.rpartition("@")
            blocks = parts.setdefault(name, [])
            if number != str(len(blocks)):
                raise InputError(f"block {len(blocks)} of {name!r:.80} is missing")
            if blocks and (part.shape[1:], part.dtype) != (blocks[0].shape[1:], blocks[0].dtype):
                raise InputError(f"block {len(blocks)} of {name!r:.80} does not fit the others")
            blocks.append(part)
    return {name: torch.cat(blocks) if len(blocks) > 1 else blocks[0] for name, blocks in parts.items()}


def _read(directory: Path, entry: dict[str, str | int]) -> dict[str, Tensor]:
    path = directory / shard_name(entry)
    if not path.is_file():
        raise InputError(f"its shard {path.name} is missing")
    refuse_lfs_pointer(path)
    if path.stat().st_size != entry.get("bytes"):
        raise InputError(f"its shard {path.name} has {path.stat().st_size} bytes instead of {entry.get('bytes')!r:.40}")
    content = read_bytes(path, MAX_BYTES)
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise InputError(f"the checksum of its shard {path.name} is wrong")
    try:
        return parse_tensors(content)
    except InputError as error:
        raise InputError(f"its shard {path.name} cannot be read: {error}") from None


def shard_name(entry: Any) -> str:
    """File name of an entry. It is made of hexadecimal digits alone, so it cannot lead out of the folder.

    Raises:
        InputError: the entry holds no checksum.
    """
    digest = entry.get("sha256") if isinstance(entry, dict) else entry
    if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise InputError(f"{digest!r:.80} is no checksum of a shard")
    return f"{digest}.safetensors"


def remove_unused(directory: Path, used: Iterable[dict[str, str | int]]) -> None:
    """Remove the shards that no kept checkpoint uses, and files that an interruption left half-written."""
    kept = {shard_name(entry) for entry in used}
    for path in directory.iterdir():
        if path.name not in kept:
            path.unlink()
