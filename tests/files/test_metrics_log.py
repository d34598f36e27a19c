"""metrics.jsonl: appended line by line, read again after a crash."""

import pytest

from polygrad_edu.files.input_error import InputError
from polygrad_edu.files.metrics_log import MAX_LINE_BYTES, append_metrics, drop_later_metrics, read_metrics


def test_metrics_survive_a_line_cut_short(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (10, 20, 30):
        append_metrics(path, {"env_step": step, "wall_seconds": 0.1})
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert [line["env_step"] for line in read_metrics(path)] == [10, 20]
    drop_later_metrics(path, 30)
    append_metrics(path, {"env_step": 30, "wall_seconds": 0.1})
    assert path.read_bytes() == whole
    drop_later_metrics(path, 10)
    assert [line["env_step"] for line in read_metrics(path)] == [10]


def test_a_damaged_line_of_metrics_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"env_step": 1, "wall_seconds": 2}\n{"env_step": "one", "wall_seconds": 2}\n')
    with pytest.raises(InputError, match=r"metrics.jsonl, line 2: .* a whole number as env_step, not 'one'"):
        read_metrics(path)


def test_a_line_that_is_too_long_or_no_text_is_refused(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"{" + b" " * MAX_LINE_BYTES + b"}\n")
    with pytest.raises(InputError, match=r"metrics.jsonl, line 1: it has 65,538 bytes, more than 65,536"):
        read_metrics(path)
    path.write_bytes(b"\xff\n")
    with pytest.raises(InputError, match=r"metrics.jsonl, line 1: "):
        read_metrics(path)


def test_a_number_that_is_not_finite_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_metrics(tmp_path / "metrics.jsonl", {"env_step": 1, "wall_seconds": float("inf")})
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_metrics_that_git_lfs_did_not_fetch_are_left_as_they_are(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 577520\n")
    before = path.read_bytes()
    for use in (read_metrics, lambda path: drop_later_metrics(path, 10)):
        with pytest.raises(InputError, match=f"^{path} is a Git LFS pointer, not the file: run git lfs pull$"):
            use(path)
    assert path.read_bytes() == before
