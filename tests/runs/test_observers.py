"""Observers one by one, on a loop that is stepped by hand."""

import io
import json
import math

import pytest
import torch
from rich.console import Console

from polygrad_edu.imagination_loop import ImaginationLoop, NotFiniteError
from polygrad_edu.runs.checkpoint import list_checkpoints, read_checkpoint
from polygrad_edu.runs.observers import (
    METRICS,
    PROGRESS,
    Checkpoints,
    LatestLosses,
    MetricsLog,
    Observer,
    ProgressLine,
    RunView,
    summary,
)
from polygrad_edu.runs.training import start_run
from tests.support.tiny_runs import run, tiny


@pytest.fixture
def view(tmp_path):
    """A run of 44 steps as its observers see it."""
    loop = ImaginationLoop(tiny(), seed=3)
    run(loop, 44)
    console = Console(record=True, width=200, file=io.StringIO())
    return RunView(tmp_path, loop, console, {"world_model_loss": 1.5}, wall_seconds=12.34)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_plain_observer_does_nothing(view):
    observer = Observer()
    assert observer.begin(view) is observer.after_step(view, {}) is observer.end(view, None) is None


def test_a_line_repeats_the_losses_that_were_fetched_last(view):
    assert view.progress_line() == {"env_step": 44, "wall_seconds": 12.3, "world_model_loss": 1.5}
    metrics = {"eval_return": 5.0, "best_return": 7.0, "critic_loss": torch.tensor(2.0)}
    view.loop.last_return = 4.0
    expected = {"eval_return": 5.0, "best_return": 7.0, "episode_return": 4.0}
    assert view.evaluation_line(metrics) == view.progress_line() | expected
    view.loop.last_return = math.nan  # no episode has ended yet
    assert view.evaluation_line(metrics)["episode_return"] is None


def test_losses_are_fetched_now_and_then_and_after_an_evaluation(view):
    losses = LatestLosses(every=10)
    for loss, metrics in ((2.0, {}), (3.0, {"eval_return": 1.0})):
        losses.after_step(view, {"world_model_loss": torch.tensor(loss), **metrics})
        assert view.latest["world_model_loss"] == (3.0 if metrics else 1.5)
    run(view.loop, 6)  # to step 50
    losses.after_step(view, {"action_std": torch.tensor(0.5)})
    assert view.latest == {"world_model_loss": 3.0, "action_std": 0.5}


def test_a_loss_that_went_wrong_ends_the_run_where_losses_are_fetched(view):
    losses = LatestLosses(every=1000)
    losses.after_step(view, {"world_model_loss": torch.tensor(math.inf)})
    with pytest.raises(NotFiniteError, match="world_model_loss became inf at step 44"):
        losses.fetch(view, {})


def test_a_run_that_goes_on_forgets_the_lines_that_it_will_write_again(view):
    for name in (METRICS, PROGRESS):
        lines = [json.dumps({"env_step": step, "wall_seconds": 1.0}) for step in (30, 44, 45)]
        (view.directory / name).write_text("\n".join(lines) + "\n")
    log = MetricsLog()
    log.begin(view)
    assert [line["env_step"] for line in lines_of(view.directory / METRICS)] == [30, 44]
    assert [line["env_step"] for line in lines_of(view.directory / PROGRESS)] == [30, 44]
    log.after_step(view, {"world_model_loss": 1.0})
    log.after_step(view, {"eval_return": 5.0, "best_return": 7.0})
    assert [line.get("eval_return") for line in lines_of(view.directory / METRICS)] == [None, None, 5.0]


def test_a_checkpoint_is_written_when_it_is_due_and_holds_the_latest_losses(view):
    checkpoints = Checkpoints(LatestLosses(every=1000))
    checkpoints.after_step(view, {})
    assert (list_checkpoints(view.directory), view.saved_step) == ([], 0)
    run(view.loop, 16)  # to step 60, a multiple of 20, and the last
    checkpoints.after_step(view, {"action_std": torch.tensor(0.5)})
    assert view.saved_step == 60
    state = read_checkpoint(view.directory).state
    assert state["latest"] == {"world_model_loss": 1.5, "action_std": 0.5}
    assert state["wall_seconds"] == 12.34


def test_what_has_gone_wrong_is_not_saved(view):
    checkpoints = Checkpoints(LatestLosses(every=1000))
    with torch.no_grad():
        view.loop.actor_critic.critic[0].weight[0, 0] = math.nan
    with pytest.raises(NotFiniteError, match="a weight of the actor-critic became nan by step 44"):
        checkpoints.save(view, {})
    assert (list_checkpoints(view.directory), view.saved_step) == ([], 0)


def test_the_progress_line_shows_the_latest_numbers(view):
    progress = ProgressLine(view.console, every=2)
    with progress.bar:
        progress.begin(view)
        progress.after_step(view, {})
        progress.after_step(view, {"eval_return": 5.0})
    line, bar = view.console.export_text().splitlines()
    assert line == f"step      44  {summary(view)}"
    assert f"44/60 {summary(view)} left" in bar


@pytest.mark.parametrize(
    ("evaluation", "latest", "words"),
    [
        (math.nan, {}, "return -  model loss -  on-policy std -"),
        (7.6, {"world_model_loss": 1.5}, "return 8  model loss 1.500  on-policy std -"),
        (7.6, {"action_std": 0.987, "exploded": 0.0}, "return 8  model loss -  on-policy std 0.99"),
        (7.6, {"exploded": 3.0}, "return 8  model loss -  on-policy std -  exploded 3"),
    ],
)
def test_what_is_not_known_yet_is_a_dash(view, evaluation, latest, words):
    view.latest = latest
    view.loop.last_eval = evaluation
    assert summary(view) == words


def test_after_a_step_losses_come_first_then_the_log_then_what_is_shown_then_the_checkpoint(tmp_path, monkeypatch):
    order = []
    for kind in (LatestLosses, MetricsLog, ProgressLine, Checkpoints):
        monkeypatch.setattr(kind, "after_step", lambda self, run, metrics: order.append(type(self).__name__))
    training = start_run(tmp_path / "run", "inverted-pendulum", tiny(), 3, "cpu")
    monkeypatch.setattr(training.curves, "after_step", lambda run, metrics: order.append("Curves"))

    class Last(Observer):
        supervisor_left = False

        def after_step(self, run, metrics):
            order.append("Supervision")

    monkeypatch.setattr(Checkpoints, "save", lambda self, run, metrics: order.append("save"))
    training.run(Console(quiet=True), minutes=0, supervision=Last())
    assert order == ["LatestLosses", "MetricsLog", "Curves", "ProgressLine", "Checkpoints", "Supervision", "save"]
