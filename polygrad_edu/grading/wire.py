"""Wire: messages of plain data and tensors over a pipe; nothing in them can run, and their size is limited.

A message is two lengths, a JSON text, and the tensors that the text refers to by name, in safetensors' format; nothing
where there are none.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

from safetensors import SafetensorError
from safetensors import torch as tensor_files
from torch import Tensor

MAX_MESSAGE_BYTES = 128 * 2**20
_LENGTHS = struct.Struct("<QQ")


class BrokenWireError(BaseException):
    """Pipe that has ended, or that carries something other than a message.

    It is no ``Exception``: a check that catches the errors of an answer must not catch this one.
    """


def send(pipe: int, content: Any, tensors: dict[str, Tensor]) -> None:
    """Write one message to the file descriptor ``pipe``.

    Raises:
        ValueError: the message is larger than ``MAX_MESSAGE_BYTES``.
        BrokenWireError: nobody reads any more.
    """
    text = json.dumps(content).encode()
    # each a copy of its own, because safetensors refuses tensors that share memory
    copies = {name: part.detach().clone().contiguous() for name, part in tensors.items()}
    blob = tensor_files.save(copies) if copies else b""
    if len(text) + len(blob) > MAX_MESSAGE_BYTES:
        raise ValueError(f"more than {MAX_MESSAGE_BYTES // 2**20} MiB cannot be handed over at once")
    rest = memoryview(_LENGTHS.pack(len(text), len(blob)) + text + blob)
    try:
        while rest:
            rest = rest[os.write(pipe, rest) :]
    except OSError as error:
        raise BrokenWireError(str(error)) from None


def receive(pipe: int) -> tuple[Any, dict[str, Tensor]]:
    """Read one message from the file descriptor ``pipe``: its content and its tensors.

    Raises:
        BrokenWireError: the pipe has ended, or there is no message in it.
    """
    text_bytes, blob_bytes = _LENGTHS.unpack(_read(pipe, _LENGTHS.size))
    if text_bytes + blob_bytes > MAX_MESSAGE_BYTES:
        raise BrokenWireError("a message that is too large")
    text = _read(pipe, text_bytes)
    blob = _read(pipe, blob_bytes)
    try:
        return json.loads(text), tensor_files.load(blob) if blob else {}
    except (ValueError, RecursionError, KeyError, SafetensorError) as error:
        raise BrokenWireError(f"no message: {error}") from None


def _read(pipe: int, count: int) -> bytes:
    """Read exactly ``count`` bytes."""
    parts: list[bytes] = []
    while count:
        try:
            part = os.read(pipe, min(count, 2**20))
        except OSError as error:
            raise BrokenWireError(str(error)) from None
        if not part:
            raise BrokenWireError("the other process has ended")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
