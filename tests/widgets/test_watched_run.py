"""A watched run: its status from process and directory, its command, and how it ends."""

import os
import signal
import subprocess
import sys
import time

import pytest

from polygrad_edu.widgets import watched_run
from polygrad_edu.widgets.watched_run import Status, WatchedRun

# ends, as a run does, when its standard input is closed
STANDS_IN = "import sys; print('polygrad-edu: a word'); sys.stdin.read(); sys.exit({code})"


@pytest.fixture
def commands(monkeypatch):
    """The commands of the runs that are started; in place of each a process that ends with the status at the end."""
    started = []

    def start(command, **options):
        started.append(command)
        code = int(started[0][-1]) if started[0][-1].isdigit() else 0
        return subprocess.Popen([sys.executable, "-c", STANDS_IN.format(code=code)], **options)

    class Module:
        Popen = staticmethod(start)
        PIPE, TimeoutExpired = subprocess.PIPE, subprocess.TimeoutExpired

    monkeypatch.setattr(watched_run, "subprocess", Module)
    return started


def kept(directory, step=40):
    """Leave a checkpoint and what makes the directory a run."""
    (directory / "checkpoint").mkdir(parents=True)
    (directory / "checkpoint" / f"step-{step:09}.json").write_text("{}")


def test_a_new_run_is_started_with_its_settings_and_a_kept_one_goes_on(tmp_path, commands):
    run = WatchedRun(tmp_path / "run", "pendulum", 3, eval_every=60, smooth_steps=True)
    assert (run.status, run.preset.run.eval_every, run.seed) == (Status("new"), 60, 3)
    run.start()
    assert commands[0][1:] == [
        *("-m", "polygrad_edu", "train", "--supervised", "pendulum", "--seed", "3", "--out", str(run.directory)),
        *("--eval-every", "60", "--smooth-steps", "true"),
    ]
    run.pause()
    assert run.wait(60) == 0
    kept(run.directory)
    assert run.status == Status("paused")
    run.start()
    assert commands[1][1:] == ["-m", "polygrad_edu", "train", "--supervised", "--resume", str(run.directory)]
    run.pause()
    run.wait(60)


def test_status_follows_the_process_and_what_it_leaves(tmp_path, commands):
    run = WatchedRun(tmp_path / "run")
    assert run.wait(0) is None
    run.pause()  # there is nothing to pause
    run.start()
    assert run.status == Status("training")
    with pytest.raises(ValueError, match=r"run is training; it cannot be started"):
        run.start()
    assert run.wait(0.01) is None
    run.pause()
    assert run.status.name in ("saving", "new")
    assert run.wait(60) == 0
    assert run.status == Status("new")  # it ended before its first step
    kept(run.directory)
    assert run.status == Status("paused")
    (run.directory / "result.json").write_text("{}")
    assert run.status == Status("finished")
    with pytest.raises(ValueError, match=r"run is finished; it cannot be started"):
        run.start()


def test_a_failure_is_told_by_its_last_line_or_its_signal(tmp_path, commands):
    run = WatchedRun(tmp_path / "run", eval_every=7)  # the process that stands in ends with this
    run.start()
    run.pause()
    assert run.wait(60) == 7
    assert run.status == Status("failed", "the training process ended with status 7: a word")
    run.start()
    run._process.send_signal(signal.SIGKILL)
    run.wait(60)
    assert run.status == Status("failed", "the training process was ended by SIGKILL")


def test_a_directory_with_something_else_is_left_alone(tmp_path, commands):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ValueError, match="is there already and no run"):
        WatchedRun(tmp_path)
    with pytest.raises(ValueError, match="is there already and no run"):
        WatchedRun(tmp_path / "mine.txt")
    run = WatchedRun(tmp_path / "run")
    run.directory.mkdir()
    (run.directory / "metrics.jsonl").write_text("")
    with pytest.raises(ValueError, match="holds a run without a checkpoint"):
        run.start()
    assert commands == []


def test_a_run_answers_only_to_what_it_is(tmp_path):
    run = WatchedRun(tmp_path / "run", "pendulum", 3, eval_every=60)
    run.check("pendulum", 3, eval_every="60")
    run.check()
    with pytest.raises(ValueError, match="holds a run with eval_every 60, not 61; name another directory"):
        run.check(eval_every=61)
    with pytest.raises(ValueError, match="holds a run with seed 3, not 0"):
        run.check(seed=0)


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX's")
def test_an_interrupt_of_the_cell_does_not_reach_the_run(tmp_path, commands):
    run = WatchedRun(tmp_path / "run")
    run.start()
    assert watched_run._own_group() == {"start_new_session": True}
    end = time.monotonic() + 60
    while b"a word" not in run.log.read_bytes() and time.monotonic() < end:
        time.sleep(0.01)
    assert os.getpgid(run._process.pid) != os.getpgid(0)
    run.pause()
    run.wait(60)
