"""Trials in processes of their own, which are real here, but for what they train."""

import signal
import sys
import time

import pytest

from polygrad_edu.studies import processes
from polygrad_edu.studies.processes import Processes
from tests.support.studies import small


@pytest.fixture
def trial(tmp_path, monkeypatch):
    """A trial, and an interpreter that runs a script of the test's in place of the package."""
    monkeypatch.setattr(processes, "POLL_SECONDS", 0.01)
    script = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(script))
    (made,) = small(seeds=[4]).trials(tmp_path / "study")

    def pretend(text):
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
        return made

    return pretend


def ending_of(engine):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for trial, ending in engine.ended():
            return trial, ending
    raise AssertionError("the process did not end")


def test_a_trial_is_trained_by_the_command_that_repeats_it(trial):
    made = trial('echo "$OMP_NUM_THREADS $*"')
    engine = Processes(2, threads=3, options=("--wandb", "p"))
    assert engine.slots() == 2
    engine.start(made)
    assert ending_of(engine) == (made, ("finished", ""))
    said = made.log.read_text()
    assert said == f"3 -m polygrad_edu {' '.join(made.arguments())} --out {made.directory} --wandb p\n"


def test_a_trial_with_a_checkpoint_goes_on(trial):
    made = trial('echo "$*"')
    (made.directory / "checkpoint").mkdir(parents=True)
    (made.directory / "checkpoint" / "step-000000020.json").write_text("{}")
    engine = Processes(1)
    engine.start(made)
    ending_of(engine)
    assert made.log.read_text() == f"-m polygrad_edu train --resume {made.directory} --device cpu\n"


def test_a_run_that_ends_with_an_error_has_failed_with_its_last_line(trial):
    made = trial("echo Learning; echo 'polygrad-edu: a loss became nan' >&2; exit 1")
    engine = Processes(1)
    engine.start(made)
    assert ending_of(engine) == (made, ("failed", "polygrad-edu: a loss became nan"))


def test_a_process_that_is_killed_is_lost(trial):
    engine = Processes(1)
    made = trial("exec sleep 60")
    engine.start(made)
    engine.running[made.name][1].send_signal(signal.SIGKILL)
    assert ending_of(engine) == (made, ("lost", "killed by SIGKILL"))


def test_stopping_ends_every_process(trial):
    engine = Processes(1)
    made = trial("exec sleep 60")
    engine.start(made)
    process = engine.running[made.name][1]
    engine.stop()
    assert process.returncode == -signal.SIGTERM
    assert engine.running == {}
