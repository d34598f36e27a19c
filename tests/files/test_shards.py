"""Shards: files of a limited size, named by their checksums."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polygrad_edu.files.input_error import InputError
from polygrad_edu.files.safe_files import LfsPointerError
from polygrad_edu.files.shards import MIB, read_shards, remove_unused, write_shards


def tensors(rows):
    """As a run has them: small ones, a scalar, and one that grows."""
    generator = torch.Generator().manual_seed(0)
    return {
        "network/weight": torch.randn(300, 300, generator=generator),
        "count": torch.tensor(3),
        "bytes": torch.arange(7, dtype=torch.uint8),
        "empty": torch.zeros(0, 4),
        "replay/observations": torch.arange(rows * 20, dtype=torch.float64).reshape(rows, 20),
    }


@given(st.integers(0, 20_000))
def test_what_is_written_is_read_again_from_files_of_at_most_the_limit(tmp_path_factory, rows):
    directory = tmp_path_factory.mktemp("shards")
    written = tensors(rows)
    entries = write_shards(directory, written, MIB)
    read = read_shards(directory, entries)
    assert read.keys() == written.keys()
    for name, tensor in written.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)
    files = list(directory.iterdir())
    assert len(files) == len({entry["sha256"] for entry in entries})
    assert all(path.stat().st_size <= MIB for path in files)


def test_blocks_that_are_full_are_not_written_again(tmp_path):
    before = write_shards(tmp_path, tensors(20_000), MIB)
    stamps = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    after = write_shards(tmp_path, tensors(21_000), MIB)
    again = [path for path in tmp_path.iterdir() if stamps.get(path.name) == path.stat().st_mtime_ns]
    shared = {entry["sha256"] for entry in before} & {entry["sha256"] for entry in after}
    assert len(shared) == len(again) - 1 == 4  # 20,000 rows of 160 bytes: 3 full blocks, beside the small tensors
    remove_unused(tmp_path, after)
    assert {path.stem for path in tmp_path.iterdir()} == {entry["sha256"] for entry in after}
    assert torch.equal(read_shards(tmp_path, after)["replay/observations"], tensors(21_000)["replay/observations"])


def test_a_row_that_is_too_large_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a row of wide takes 2\.0 MiB, more than a shard may hold"):
        write_shards(tmp_path, {"wide": torch.zeros(2, 2 * MIB, dtype=torch.uint8)}, MIB)


def test_blocks_out_of_order_are_refused(tmp_path):
    entries = write_shards(tmp_path, tensors(20_000), MIB)
    with pytest.raises(InputError, match=r"block \d of .* is missing"):
        read_shards(tmp_path, entries[::-1])


def test_a_shard_that_git_lfs_did_not_fetch_says_so(tmp_path):
    entries = write_shards(tmp_path, tensors(100), MIB)
    (path,) = tmp_path.iterdir()
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 577520\n")
    with pytest.raises(LfsPointerError, match=f"^{path} is a Git LFS pointer, not the file: run git lfs pull$"):
        read_shards(tmp_path, entries)
