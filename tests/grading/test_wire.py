"""Messages between the processes: plain data and tensors arrive as they were sent, anything else ends the pipe."""

import os
import struct

import pytest
import torch

from polygrad_edu.grading import wire


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    with open(reader, "rb"), open(writer, "wb"):
        yield reader, writer


def test_a_message_arrives_with_its_tensors(pipe):
    reader, writer = pipe
    strided = torch.arange(6.0).view(2, 3).T
    wire.send(writer, {"a": [1, None, float("inf")]}, {"0": strided, "1": strided[0], "2": torch.tensor(True)})
    content, tensors = wire.receive(reader)
    assert content == {"a": [1, None, float("inf")]}
    assert torch.equal(tensors["0"], strided)
    assert torch.equal(tensors["1"], strided[0])
    assert tensors["2"].dtype == torch.bool


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack("<QQ", 2, 8) + b"{]" + bytes(8),
        struct.pack("<QQ", 2, 8) + b"{}" + b"\xff" * 8,
        struct.pack("<QQ", 2**40, 0),
        struct.pack("<QQ", 100, 100) + b"too short",
        b"\x00",
    ],
)
def test_what_is_no_message_ends_the_pipe(sent):
    reader, writer = os.pipe()
    with open(reader, "rb"):
        with open(writer, "wb") as end:
            end.write(sent)
        with pytest.raises(wire.BrokenWireError):
            wire.receive(reader)


def test_a_message_that_is_too_large_is_not_sent(pipe, monkeypatch):
    monkeypatch.setattr(wire, "MAX_MESSAGE_BYTES", 1_000)
    with pytest.raises(ValueError, match="cannot be handed over at once"):
        wire.send(pipe[1], "x" * 1_001, {})


def test_a_check_that_catches_errors_does_not_catch_a_broken_pipe():
    assert not issubclass(wire.BrokenWireError, Exception)
