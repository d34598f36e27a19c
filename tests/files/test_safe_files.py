"""Files of data: whole or not at all, and within limits."""

import json
import math
import os
import pickle
import tracemalloc

import pytest
import torch
from safetensors.torch import save

from polygrad_edu.files.input_error import InputError
from polygrad_edu.files.safe_files import (
    LfsPointerError,
    parse_json,
    parse_tensors,
    read_bytes,
    read_json,
    read_tensors,
    refuse_lfs_pointer,
    whole_directory,
    write_json,
    write_whole,
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": NaN}', "it holds NaN, which JSON does not know"),
        ('{"a": -Infinity}', "it holds -Infinity"),
        ('{"a": 1e999}', "the number 1e999, which is too large"),
        (f'{{"a": {"9" * 5000}}}', "a whole number of 5000 digits"),
        ('{"a": 1, "b": 2, "a": 3}', "the name 'a' twice"),
        ('{"a":' * 100_000, "nested deeper than 32"),
        ('{"a":' + "[" * 40 + "]" * 40 + "}", "nested deeper than 32"),
        ("[1]", "must hold a JSON object"),
        ("", "Expecting value"),
    ],
)
def test_what_is_no_plain_json_object_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        parse_json(text)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_json(tmp_path / "a.json")
    assert str(error.value).startswith(f"{tmp_path / 'a.json'} cannot be read as JSON: ")
    assert "\n" not in str(error.value)


def test_numbers_as_large_as_a_random_generators_state_are_read():
    state = {"state": 2**128 - 1, "deep": [[[1.5]]]}
    assert parse_json(json.dumps(state)) == state


def test_a_file_of_a_gigabyte_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 2**30)  # takes no room on the disk
    tracemalloc.start()
    with pytest.raises(InputError, match="has 1,073,741,824 bytes, more than the 1,048,576"):
        read_json(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_directory_or_nothing_is_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError, match="is not a file"):
            read_json(path)


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    write_json(tmp_path / "a.json", {"a": 1})

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("polygrad_edu.files.safe_files.os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a.json", b"other")
    assert read_json(tmp_path / "a.json") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_numbers_that_are_not_finite_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def with_header(**header):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (with_header(a={"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}), "."),
        (with_header(a={"dtype": "F32", "shape": [10**12], "data_offsets": [0, 16]}), "."),
        (with_header(a={"dtype": "F32", "shape": [4], "data_offsets": [8, 24]}), "."),
        ((2**60).to_bytes(8, "little") + b"{}", "."),
        (b"", "."),
        (save({"good": torch.ones(2), "bad": torch.tensor([1.0, float("nan")])}), "'bad' holds numbers that are not"),
    ],
)
def test_tensor_files_that_claim_too_much_are_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        parse_tensors(content)
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.safetensors cannot be used: ") as error:
        read_tensors(tmp_path / "a.safetensors")
    assert "\n" not in str(error.value)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 577520\n"


@pytest.mark.parametrize("read", [read_json, read_tensors, refuse_lfs_pointer, lambda path: read_bytes(path, 1000)])
def test_a_git_lfs_pointer_is_told_from_a_damaged_file(tmp_path, read):
    path = tmp_path / "file"
    path.write_text(POINTER)
    with pytest.raises(LfsPointerError) as error:
        read(path)
    assert str(error.value) == f"{path} is a Git LFS pointer, not the file: run git lfs pull"
    again = pickle.loads(pickle.dumps(error.value))  # as it comes out of another process
    assert str(again) == str(error.value)


def test_a_file_that_only_speaks_of_git_lfs_is_read(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"words": POINTER})
    assert read_json(path) == {"words": POINTER}
    refuse_lfs_pointer(tmp_path / "nothing")  # its reader says so


def test_infinite_numbers_are_read_where_they_are_asked_for():
    text = '{"low": [-Infinity], "high": [Infinity]}'
    assert parse_json(text, infinite=True) == {"low": [-math.inf], "high": [math.inf]}
    with pytest.raises(InputError, match="it holds -Infinity"):
        parse_json(text)


def test_a_directory_is_there_when_all_of_it_is_written(tmp_path):
    wanted = tmp_path / "kept"
    (tmp_path / "kept.partial").mkdir()
    (tmp_path / "kept.partial" / "of-a-run-that-was-killed").touch()
    with whole_directory(wanted) as partial:
        assert not any(partial.iterdir())
        (partial / "a").write_text("whole")
        assert not wanted.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (wanted / "a").read_text() == "whole"
