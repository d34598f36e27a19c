"""Nothing is lost: a short series of faults; the whole one is ``python -m tests.support.faults``."""

import subprocess

import pytest

from tests.support.faults import (
    COMMAND,
    becomes_read_only,
    environment,
    every_write_fails,
    finish,
    full_disk,
    killed_until_done,
    read_only,
)
from tests.support.faults import outcome as outcome_of


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What the uninterrupted run leaves."""
    run = tmp_path_factory.mktemp("whole") / "run"
    done = finish(run, env_steps=300)
    assert done.returncode == 0, done.stderr
    return outcome_of(run)


@pytest.mark.skipif(not hasattr(__import__("signal"), "SIGKILL"), reason="needs POSIX signals")
def test_killed_at_random_moments_a_run_ends_the_same_to_the_last_bit(tmp_path, expected):
    met = killed_until_done(tmp_path / "run", kills=4, seed=1, env_steps=300)
    assert met["kills"] >= 2  # the others came after its end
    assert outcome_of(tmp_path / "run") == expected


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    run = tmp_path_factory.mktemp("short") / "run"
    assert finish(run).returncode == 0
    return outcome_of(run)


def test_a_full_disk_ends_in_one_line_and_the_run_goes_on_when_there_is_room(tmp_path, short):
    line = full_disk(tmp_path / "disk" / "run", 128 * 4096, short)
    assert "polygrad-edu train --resume" in line


def test_a_directory_that_becomes_read_only_ends_in_one_line(tmp_path, short):
    assert "Read-only file system" in becomes_read_only(tmp_path / "run", short)


def test_a_read_only_directory_gets_one_line(tmp_path):
    with read_only(tmp_path):
        done = subprocess.run(
            [*COMMAND, "--out", str(tmp_path / "new")], capture_output=True, text=True, env=environment()
        )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("polygrad-edu: ")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_whichever_write_fails_the_run_can_go_on(tmp_path):
    assert every_write_fails(tmp_path, stride=12) >= 6
