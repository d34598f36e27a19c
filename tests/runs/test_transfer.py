"""Run directories that travel between machines."""

import pytest

from polygrad_edu.files.input_error import InputError
from polygrad_edu.runs import transfer
from polygrad_edu.runs.lock import RunLock
from polygrad_edu.runs.transfer import pack, unpack


def write(run, files):
    for name, content in files.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(content)


def test_a_run_travels_and_shards_that_are_known_stay_at_home(tmp_path):
    home, away = tmp_path / "home", tmp_path / "away"
    write(home, {"config.json": b"{}", "checkpoint/step-1.json": b"1", "checkpoint/shards/a": b"A"})
    sent = pack(home)
    unpack(away, sent)
    write(away, {"checkpoint/step-2.json": b"2", "checkpoint/shards/b": b"B", "checkpoint/x.partial": b"?"})
    (away / "checkpoint/step-1.json").unlink()
    (away / "config.json").write_bytes(b"{ }")
    back = pack(away, sent)
    assert back == {
        "config.json": b"{ }",
        "checkpoint/step-2.json": b"2",
        "checkpoint/shards/a": None,
        "checkpoint/shards/b": b"B",
    }
    unpack(home, back)
    assert pack(home) == back | {"checkpoint/shards/a": b"A"}  # and the old checkpoint is gone


def test_a_lock_stays_where_it_is(tmp_path):
    write(tmp_path, {"config.json": b"{}"})
    with RunLock(tmp_path):
        assert pack(tmp_path) == {"config.json": b"{}"}


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "..\\x", "C:x", ""])
def test_a_file_cannot_leave_its_run(tmp_path, name):
    with pytest.raises(InputError, match="no file of a run directory"):
        unpack(tmp_path / "run", {"config.json": b"{}", name: b"x"})
    assert not list(tmp_path.iterdir())


def test_a_shard_that_is_nowhere_is_missed_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="was left out"):
        unpack(tmp_path / "run", {"config.json": b"{}", "checkpoint/shards/a": None})
    assert not list(tmp_path.iterdir())


def test_a_run_is_whole_at_every_moment_while_it_arrives(tmp_path, monkeypatch):
    """What names shards comes after them, and what says that the run is done comes last."""
    written = []
    write_whole = transfer.write_whole
    monkeypatch.setattr(
        transfer, "write_whole", lambda path, content: written.append(path) or write_whole(path, content)
    )
    names = [
        "video.mp4",
        "no_video.txt",
        "result.json",
        "metrics.jsonl",
        "checkpoint/step-1.json",
        "checkpoint/shards/z",
        "config.json",
    ]
    unpack(tmp_path, dict.fromkeys(names, b"x"))
    order = [path.relative_to(tmp_path).as_posix() for path in written]
    assert order[0] == "checkpoint/shards/z"
    assert order[-3:] == ["result.json", "no_video.txt", "video.mp4"]
    assert sorted(order) == sorted(names)
