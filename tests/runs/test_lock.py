"""One process at a time trains in a run directory."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from rich.console import Console

from polygrad_edu.files.input_error import InputError
from polygrad_edu.runs import lock
from polygrad_edu.runs.checkpoint import load_checkpoint
from polygrad_edu.runs.lock import LOCK, RunLock
from polygrad_edu.runs.shipped import export_result
from polygrad_edu.runs.training import continue_run, start_run
from polygrad_edu.runs.video import make_video
from tests.support.command_line import OPTIONS, call
from tests.support.tiny_runs import tiny

QUIET = Console(quiet=True)
HOLD = "import sys; from pathlib import Path; from polygrad_edu.runs.lock import RunLock; held = RunLock(Path({!r}));"


@pytest.fixture
def stopped(tmp_path):
    """A run directory with a checkpoint of its first step."""
    start_run(tmp_path / "run", "inverted-pendulum", tiny(), 2, "cpu").run(QUIET, minutes=0)
    return tmp_path / "run"


@pytest.fixture
def elsewhere():
    """Lock a directory in another process; returns the process."""
    started = []

    def hold(run, work="print(flush=True); sys.stdin.read()"):
        command = [sys.executable, "-c", HOLD.format(str(run)) + work]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        process.said = process.stdout.readline()
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()


def content(run):
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_the_second_process_is_told_who_trains_and_touches_nothing(stopped, elsewhere):
    process = elsewhere(stopped)
    before = content(stopped)
    message = f"is being trained by process {process.pid} on {socket.gethostname()}; wait for it, or stop it first"
    with pytest.raises(InputError, match=message):
        continue_run(stopped, "cpu", {"env_steps": "70"})
    done = call("train", "--resume", stopped)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
    assert content(stopped) == before


def test_a_killed_process_holds_nothing(stopped, elsewhere):
    process = elsewhere(stopped)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert json.loads((stopped / LOCK).read_text())["process"] == process.pid  # the file means nothing
    assert continue_run(stopped, "cpu", {}).loop.env_step == 1


def test_a_new_run_is_not_begun_where_another_process_begins_one(tmp_path, elsewhere):
    elsewhere(tmp_path)
    before = content(tmp_path)
    with pytest.raises(InputError, match="is being trained by process"):
        start_run(tmp_path, "inverted-pendulum", tiny(), 2, "cpu")
    assert content(tmp_path) == before


def test_a_directory_that_was_taken_while_the_task_was_made_is_refused(tmp_path, monkeypatch):
    class Late(RunLock):
        def __init__(self, run):
            super().__init__(run)
            (run / "config.json").write_text("{}")  # of the other process, which has ended

    monkeypatch.setattr("polygrad_edu.runs.training.RunLock", Late)
    with pytest.raises(InputError, match="is there already"):
        start_run(tmp_path / "run", "inverted-pendulum", tiny(), 2, "cpu")
    RunLock(tmp_path / "run").release()
    assert (tmp_path / "run" / "config.json").read_text() == "{}"


def test_reading_a_run_needs_no_lock(tmp_path):
    run = tmp_path / "run"
    start_run(run, "inverted-pendulum", tiny(), 2, "cpu").run(QUIET)
    with RunLock(run):
        loop, _ = load_checkpoint(run)
        export_result(run, tmp_path / "kept")
        make_video(loop, tmp_path / "film.mp4", n_trajectories=1)


def test_a_training_holds_the_lock_until_it_ends_however_it_ends(stopped):
    training = continue_run(stopped, "cpu", {})
    with pytest.raises(InputError, match="is being trained by this process already"):
        continue_run(stopped, "cpu", {})
    with pytest.raises(InputError, match="is being trained by this process already"):
        RunLock(stopped)
    training.run(QUIET, minutes=0)
    again = continue_run(stopped, "cpu", {})

    def interrupted():
        raise KeyboardInterrupt

    again.loop.step = interrupted
    with pytest.raises(KeyboardInterrupt):
        again.run(QUIET)
    del again
    RunLock(stopped).release()
    forgotten = continue_run(stopped, "cpu", {})  # never run
    del forgotten
    RunLock(stopped).release()


@pytest.mark.parametrize("overrides", [{"env_steps": "-1"}, {"widht": "3"}, {"parallel_envs": "2"}])
def test_a_refusal_gives_the_lock_back(stopped, overrides):
    with pytest.raises(InputError):
        continue_run(stopped, "cpu", overrides)
    RunLock(stopped).release()


def test_what_is_no_run_gets_no_lock(tmp_path):
    with pytest.raises(InputError, match="is not a run directory"):
        continue_run(tmp_path, "cpu", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_neither_gives_the_lock_back_nor_keeps_it(tmp_path, elsewhere):
    """As a task's own worker processes are: they end before the training, or after it."""
    forking = "import os, time; child = os.fork()\nif not child: held.release(); del held; time.sleep(60)\n"
    process = elsewhere(tmp_path, forking + "print(child, flush=True); sys.stdin.read(); held.release(); print()")
    with pytest.raises(InputError, match=f"process {process.pid} on"):
        RunLock(tmp_path)
    process.stdin.close()
    process.stdout.readline()
    RunLock(tmp_path).release()  # though the child is still there
    os.kill(int(process.said), signal.SIGKILL)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_files_cannot_be_locked_a_run_goes_on_and_says_so(stopped, monkeypatch, caplog, number):
    def no_locks(handle):
        raise OSError(number, "No locks available")

    monkeypatch.setattr(lock, "_take", no_locks)
    assert continue_run(stopped, "cpu", {}).loop.env_step == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"{stopped} lies where files cannot be locked; let no other process train there meanwhile"
    ]


def test_a_holder_whose_name_could_not_be_written_is_another_process(tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lock.os, "write", full_disk)
    held = RunLock(tmp_path)
    with pytest.raises(InputError, match="is being trained by another process;"):
        RunLock(tmp_path)
    held.release()
    held.release()


def test_two_resumes_of_one_run_at_the_same_time_leave_one_in_order(tmp_path):
    options = [*OPTIONS, "--env-steps", "400", "--eval-every", "20"]
    run = tmp_path / "run"
    call("train", "--out", run, *options, "--minutes", "0")
    command = [sys.executable, "-m", "polygrad_edu", "train", "--resume", str(run)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [(process.communicate(), process.returncode) for process in both]
    assert sorted(status for _, status in ended) == [0, 2]
    ((_, refused),) = [said for said, status in ended if status == 2]
    assert "is being trained by process" in refused
    lines = [json.loads(line)["env_step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert lines == list(range(20, 401, 20))
