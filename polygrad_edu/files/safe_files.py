"""Files of data: written whole or not at all, read within limits, and never run.

A file may come from a stranger, or from a disk that lost half of it, so nothing here trusts it: its size and its depth
are limited, each name may occur once, and every number must be finite.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from .input_error import InputError

MIB = 2**20
MAX_DEPTH = 32
MAX_DIGITS = 64  # a random generator's state is a number of 39 digits
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
# Exceptions that the libraries raise for a damaged tensor file or state. Whoever reads one tells them as an InputError.
DAMAGE = (
    SafetensorError,
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    RuntimeError,
    OverflowError,
    MemoryError,
)


class LfsPointerError(InputError):
    """A small text that Git LFS left in place of a file: nothing is damaged, the file was not fetched yet."""


def refuse_lfs_pointer(path: Path) -> None:
    """Check that ``path`` is a file itself, or cannot be opened, which its reader tells.

    Raises:
        LfsPointerError: it is a Git LFS pointer.
    """
    with contextlib.suppress(OSError), path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise LfsPointerError(f"{path} is a Git LFS pointer, not the file: run git lfs pull")


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` beside ``path`` and move it there: a reader sees the old file or the new one.

    When this returns, the file and its name are on the disk: a power cut cannot undo either.

    Raises:
        OSError: the disk is full or cannot be written to; ``path`` is as it was, and nothing is left beside it.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Wait until the names in ``directory`` are on the disk, where the system can tell."""
    if os.name == "nt":  # there a directory cannot be opened
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def whole_directory(directory: Path) -> Generator[Path, None, None]:
    """Yield an empty folder beside ``directory``, which takes its name when everything in it is written."""
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    partial.rename(directory)


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` to ``path``, whole or not at all.

    Raises:
        ValueError: a number in it is not finite.
    """
    write_whole(path, (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path, max_bytes: int = MIB) -> dict[str, Any]:
    """The JSON object in ``path``.

    Raises:
        InputError: there is no such file, or it holds none; the message names the file.
    """
    try:
        return parse_json(read_bytes(path, max_bytes).decode("utf-8"))
    except LfsPointerError:
        raise
    except ValueError as error:
        reason = str(error).removeprefix(f"{path} ")
        raise InputError(f"{path} cannot be read as JSON: {one_line(reason)}") from None


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Content of the file ``path``.

    Raises:
        InputError: it is no file, cannot be read, has more than ``max_bytes``, or is a Git LFS pointer; the message
            names the file.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path} is not a file")
        refuse_lfs_pointer(path)
        if (size := path.stat().st_size) > max_bytes:
            raise InputError(f"{path} has {size:,} bytes, more than the {max_bytes:,} that such a file may have")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {one_line(error)}") from None


def parse_json(text: str, infinite: bool = False) -> dict[str, Any]:
    """The JSON object that ``text`` is.

    Args:
        infinite: accept infinite numbers and NaN, as Python writes them, in a text by others.

    Raises:
        InputError: it is none; or it holds a name twice, NaN, an infinite number, an integer of more than
            ``MAX_DIGITS`` digits, or anything nested deeper than ``MAX_DEPTH``.
    """
    constant = float if infinite else _no_constant
    try:
        data = json.loads(
            text, object_pairs_hook=_unique, parse_constant=constant, parse_int=_short, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        raise InputError(str(error)) from None
    except RecursionError:
        raise InputError(f"it is nested deeper than {MAX_DEPTH}") from None
    if not isinstance(data, dict):
        raise InputError("it must hold a JSON object")
    level: list[Any] = [data]
    for _ in range(MAX_DEPTH):
        inside = (value.values() if isinstance(value, dict) else value for value in level)
        level = [value for values in inside for value in values if isinstance(value, dict | list)]
        if not level:
            return data
    raise InputError(f"it is nested deeper than {MAX_DEPTH}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise InputError(f"it holds the name {twice[:40]!r} twice")
    return data


def _no_constant(name: str) -> float:
    raise InputError(f"it holds {name}, which JSON does not know")


def _short(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise InputError(f"it holds a whole number of {len(digits)} digits")
    return int(digits)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise InputError(f"it holds the number {text[:40]}, which is too large")
    return number


_KINDS = {int: "a whole number", float: "a number", str: "text", dict: "an object", list: "a list"}


def check_fields(data: dict[str, Any], kinds: dict[str, type], path: Path) -> None:
    """Check that ``data``, read from ``path``, has each of these names with a value of its kind.

    Raises:
        InputError: a name is missing, or its value is of another kind.
    """
    for name, kind in kinds.items():
        value = data.get(name)
        wanted = int | float if kind is float else kind
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
            found = "nothing" if name not in data else f"{value!r:.60}"
            raise InputError(f"{path} must hold {_KINDS[kind]} as {name}, not {found}")


def read_tensors(path: Path, max_bytes: int = 2**34) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        InputError: there is no such file, it is damaged, or a number in it is not finite; the message names the file.
    """
    try:
        return parse_tensors(read_bytes(path, max_bytes))
    except LfsPointerError:
        raise
    except InputError as error:
        raise InputError(f"{path} cannot be used: {str(error).removeprefix(f'{path} ')}") from None


def parse_tensors(content: bytes) -> dict[str, Tensor]:
    """The tensors in the bytes of a safetensors file.

    Raises:
        InputError: it is none, or one of its tensors holds a number that is not finite.
    """
    try:
        tensors = load(content)
        wrong = next((name for name, value in tensors.items() if not all_finite(value)), None)
    except DAMAGE as error:
        raise InputError(one_line(error)) from None
    if wrong is not None:
        raise InputError(f"{wrong!r:.80} holds numbers that are not finite")
    return tensors


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file, whole or not at all.

    (The library's own ``save_file`` would write one that only its owner can read.)
    """
    whole = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    write_whole(path, save(whole, metadata))


def all_finite(tensor: Tensor) -> bool:
    """True if every number in ``tensor`` is finite (a whole number always is)."""
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


@contextlib.contextmanager
def at_most_parameters(max_bytes: int, source: object) -> Generator[None, None, None]:
    """Limit the parameters of all networks made within this context to ``max_bytes``.

    A file may not ask for larger networks than the file itself can fill. The check comes before a parameter is filled,
    when it takes address space but no memory yet.

    Raises:
        InputError: they take more; the message names ``source``.
    """
    taken = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal taken
        taken += 0 if parameter is None else parameter.nbytes
        if taken > max_bytes:
            raise InputError(
                f"{source} asks for larger networks than the {max_bytes:,} bytes that belong to it can fill"
            )

    hook = nn.modules.module.register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def one_line(error: object) -> str:
    """An error's message in one line of limited length."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= 300 else said[:297] + "..."
