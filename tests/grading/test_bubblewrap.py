"""Bubblewrap as a wall of its own, without Landlock's: real where it is installed, and what follows where it is not."""

import subprocess
import sys

import pytest

from polygrad_edu.grading import bubblewrap, sandbox
from polygrad_edu.grading.bubblewrap import _without_inner, with_folder

READABLE = tuple(sandbox.readable()) if sys.platform == "linux" else ()
needs_bubblewrap = pytest.mark.skipif(
    sys.platform != "linux" or not bubblewrap.prefix(READABLE), reason="bubblewrap is not installed, or not allowed"
)


@pytest.fixture
def fresh():
    """No answer remembered from before, and none kept."""
    bubblewrap.prefix.cache_clear()
    yield
    bubblewrap.prefix.cache_clear()


def tried(source, folder):
    """Last line of the error that a program stops with; empty if it does not."""
    command = [*with_folder(bubblewrap.prefix(READABLE), folder), sys.executable, "-c", source]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


@needs_bubblewrap
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("open('own.txt', 'w').write('x')", ""),
        ("import torch, scipy.stats, polygrad_edu.checks", ""),
        ("open('OUTSIDE')", "No such file"),
        ("open('OUTSIDE', 'w')", "Read-only file system"),
        ("open('/dev/shm/x', 'w')", "Read-only file system"),
        ("open('/etc/passwd')", "No such file"),
        ("import os; open(os.__file__, 'a')", "Read-only file system"),
        ("import socket; socket.create_connection(('127.0.0.1', 9), 1)", "Error"),
        ("import os; assert len([name for name in os.listdir('/proc') if name.isdecimal()]) < 4", ""),
    ],
)
def test_a_program_sees_what_it_may_read_and_writes_to_its_folder_alone(source, words, tmp_path):
    outside = tmp_path / "course.json"
    outside.write_text("solutions")
    own = tmp_path / "own"
    own.mkdir()
    told = tried(source.replace("OUTSIDE", str(outside)), own.resolve())
    assert words in told
    assert bool(told) == bool(words)
    assert outside.read_text() == "solutions"


def test_where_it_is_refused_or_missing_there_is_none_and_the_wall_is_told(monkeypatch, tmp_path, fresh):
    monkeypatch.setattr(sandbox, "landlock_version", lambda: 0)
    refuses = tmp_path / "bwrap"
    refuses.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    refuses.chmod(0o755)
    for path in (tmp_path, tmp_path / "nothing here"):
        monkeypatch.setenv("PATH", str(path))
        bubblewrap.prefix.cache_clear()
        assert bubblewrap.prefix(READABLE) == ()
        assert "or bubblewrap, installed and allowed" in sandbox.missing_walls()[0]


def test_where_it_works_the_wall_around_files_stands_without_landlock(monkeypatch, tmp_path, fresh):
    monkeypatch.setattr(sandbox, "landlock_version", lambda: 0)
    works = tmp_path / "bwrap"
    works.write_text("#!/bin/sh\nexit 0\n")
    works.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bubblewrap.prefix(READABLE)[0] == bubblewrap.PROGRAM
    assert not any("around files" in wall for wall in sandbox.missing_walls())


def test_a_path_is_mounted_once_and_another_prefix_stays_as_it_is(tmp_path):
    inner = tmp_path / "a" / "b"
    assert _without_inner([inner, tmp_path / "a", tmp_path / "ab"]) == [tmp_path / "a", tmp_path / "ab"]
    assert with_folder(["unshare", "--net"], tmp_path) == ["unshare", "--net"]
    assert with_folder([], tmp_path) == []
    assert with_folder(["bwrap"], tmp_path)[1:4] == ["--bind", str(tmp_path), str(tmp_path)]
