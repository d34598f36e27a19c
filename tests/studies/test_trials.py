"""Trials and what drives them to their ends."""

import io

import pytest
from rich.console import Console

from polygrad_edu.files.input_error import InputError
from polygrad_edu.runs.lock import RunLock
from polygrad_edu.runs.video import NO_VIDEO, VIDEO
from polygrad_edu.studies.trials import MAX_LOSSES, Ending, last_line, run_trials, trial_table
from tests.support.studies import finish, small


class Scripted:
    """An engine that ends each trial as a script says, to see what is made of it."""

    def __init__(self, *endings):
        self.endings, self.started, self.stopped = list(endings), [], False
        self.at_work = []

    def slots(self):
        return 1

    def start(self, trial):
        self.started.append(trial.name)
        self.at_work.append(trial)

    def ended(self):
        return [(self.at_work.pop(), self.endings.pop(0))]

    def stop(self):
        self.stopped = True


def test_a_trial_that_loses_its_worker_goes_on_but_not_for_ever(tmp_path):
    trials = small(seeds=range(1)).trials(tmp_path)
    lost, over = Ending("lost", "killed by SIGKILL"), Ending("finished")
    engine, failures = Scripted(Ending("paused"), *[lost] * MAX_LOSSES, over), {}
    run_trials(trials, engine, Console(quiet=True), failures)
    assert (len(engine.started), failures, engine.stopped) == (2 + MAX_LOSSES, {}, True)
    engine = Scripted(*[lost] * (MAX_LOSSES + 1))
    run_trials(trials, engine, Console(quiet=True), failures)
    assert failures == {"pendulum-seed0": "lost its worker 6 times: killed by SIGKILL"}
    engine = Scripted()
    run_trials(trials, engine, Console(quiet=True), failures)  # what failed is not tried
    assert engine.started == []


def test_an_engine_is_stopped_whatever_happens(tmp_path):
    engine = Scripted()  # its script is empty, so the first trial ends in an error
    with pytest.raises(IndexError):
        run_trials(small().trials(tmp_path), engine, Console(quiet=True), {})
    assert engine.stopped


def test_a_trial_is_read_from_its_directory_alone(tmp_path):
    (trial,) = small(seeds=[4]).trials(tmp_path)
    assert (trial.finished, trial.has_checkpoint, trial.metrics()) == (False, False, [])
    finish(trial, 12.0)
    assert trial.finished
    assert trial.result()["return_mean"] == 12.0
    assert [line["eval_return"] for line in trial.metrics()] == [6.0, 12.0]
    (trial.directory / "video.mp4").unlink()  # the last thing that a run writes
    assert not trial.finished


def test_a_trial_whose_task_cannot_be_drawn_is_finished_all_the_same(tmp_path):
    (trial,) = small(seeds=[4]).trials(tmp_path)
    finish(trial, 12.0)
    (trial.directory / VIDEO).unlink()
    (trial.directory / NO_VIDEO).write_text("it is not drawn")
    assert trial.finished
    (trial.directory / "result.json").unlink()
    assert not trial.finished


def test_a_trial_that_somebody_trains_by_hand_fails_alone(tmp_path):
    trials = small(seeds=range(2)).trials(tmp_path)

    class Locking(Scripted):
        def start(self, trial):
            trial.forget_an_early_end()
            super().start(trial)

    trials[0].directory.mkdir(parents=True)
    engine = Locking(Ending("finished"))
    failures = {}
    with RunLock(trials[0].directory):
        run_trials(trials, engine, Console(quiet=True), failures)
        assert trials[0].directory.exists()
    assert engine.started == ["pendulum-seed1"]
    assert list(failures) == ["pendulum-seed0"]
    assert "is being trained by" in failures["pendulum-seed0"]


def test_when_every_trial_is_trained_by_hand_nobody_waits(tmp_path):
    class Busy(Scripted):
        def start(self, trial):
            raise InputError("it is being trained by process 3")

    failures = {}
    run_trials(small().trials(tmp_path), Busy(), Console(quiet=True), failures)
    assert len(failures) == 2


def test_a_run_without_a_checkpoint_makes_way(tmp_path):
    (trial,) = small(seeds=[4]).trials(tmp_path)
    trial.forget_an_early_end()  # nothing there yet
    trial.directory.mkdir(parents=True)
    (trial.directory / "config.json").write_text("{}")
    trial.forget_an_early_end()
    assert not trial.directory.exists()
    (trial.directory / "checkpoint").mkdir(parents=True)
    (trial.directory / "checkpoint" / "step-000000020.json").write_text("{}")
    trial.forget_an_early_end()
    assert trial.has_checkpoint


def test_a_lost_worker_is_told_with_the_step_that_its_trial_goes_on_from(tmp_path):
    (trial,) = small(seeds=[4]).trials(tmp_path)
    console = Console(file=io.StringIO(), width=150)
    lost = Ending("lost", "killed by SIGKILL")
    run_trials([trial], Scripted(lost, Ending("finished")), console, {})
    assert "lost its worker (killed by SIGKILL) and goes on from its beginning" in console.file.getvalue()
    (trial.directory / "checkpoint").mkdir(parents=True)
    (trial.directory / "checkpoint" / "step-000001234.json").write_text("{}")
    run_trials([trial], Scripted(lost, Ending("finished")), console, {})
    assert "and goes on from step 1,234" in console.file.getvalue()


def test_the_table_shows_the_latest_evaluation_and_counts_states(tmp_path):
    trials = small(seeds=range(3)).trials(tmp_path)
    finish(trials[0], 12.0)
    states = dict(zip((trial.name for trial in trials), ("finished", "running", "failed"), strict=True))

    def shown(height):
        console = Console(file=io.StringIO(), width=100, height=height)
        console.print(trial_table(trials, lambda trial: states[trial.name], console))
        return console.file.getvalue().splitlines()

    head, done, running, _, counts = shown(height=40)
    assert head.split() == ["trial", "state", "step", "return", "best", "so", "far", "minutes"]
    assert done.split() == ["pendulum-seed0", "finished", "60", "of", "60", "12", "12", "0.1"]
    assert running.split() == ["pendulum-seed1", "running", "-", "of", "60", "-", "-", "-"]
    assert counts == "3 trials: 1 finished, 1 running, 0 waiting, 1 failed"
    assert [line.split()[0] for line in shown(height=8)[1:-1]] == ["pendulum-seed1", "pendulum-seed2"]


def test_what_a_run_said_last(tmp_path):
    assert last_line(tmp_path / "log") == "it ended without a word"
    (tmp_path / "log").write_text("Learning ...\npolygrad-edu: a loss became nan \n\n")
    assert last_line(tmp_path / "log") == "polygrad-edu: a loss became nan"
