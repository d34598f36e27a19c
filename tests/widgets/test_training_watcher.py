"""The training watcher without a browser: what it draws of a run directory, and real training processes under it."""

import json
import re
import time

import pytest

from polygrad_edu.course.paths import find_shared
from polygrad_edu.presets import get_preset
from polygrad_edu.runs.checkpoint import list_checkpoints, write_config
from polygrad_edu.runs.supervised import PROGRESS
from polygrad_edu.widgets import TrainingWatcher
from polygrad_edu.widgets.training_watcher import MAX_POINTS, STATUSES, run_curves, watcher_frame
from tests.support.tiny_runs import TINY

SHIPPED = find_shared("results") / "inverted-pendulum"
LONG = TINY | {"env_steps": "100000", "checkpoint_every": "100000", "eval_every": "50"}


def metrics_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def halfway(tmp_path):
    """What a watched run leaves on disk when it is paused after its second evaluation."""
    run = tmp_path / "half"
    (run / "checkpoint").mkdir(parents=True)
    (run / "checkpoint" / "step-000002300.json").write_text("{}")
    lines = (SHIPPED / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[:2]))
    steps = [
        {"env_step": 2 * i, "wall_seconds": i / 10, "world_model_loss": 1 / i, "action_std": 1.0}
        for i in range(1, 1101)
    ]
    (run / PROGRESS).write_text("".join(json.dumps(step) + "\n" for step in steps) + '{"env_step": 22')
    return run


def test_a_finished_run_is_drawn_from_its_metrics_and_told_from_its_result():
    frame = watcher_frame(SHIPPED, "finished", "inverted-pendulum", 6000)
    metrics = metrics_of(SHIPPED / "metrics.jsonl")
    steps = [line["env_step"] for line in metrics]
    names = {"return": "eval_return", "loss": "world_model_loss", "std": "action_std"}
    for curve, name in names.items():
        assert frame["run"][curve] == [steps, [line[name] for line in metrics]]
    assert frame["progress"]["step"] == frame["progress"]["of"] == 6000
    assert frame["kept"] == frame["run"]
    assert "6,000 real steps and 106 seconds: a return of 1000 ± 0 over 20 new episodes" in frame["text"]


def test_between_evaluations_the_fine_curves_go_on(halfway):
    curves = run_curves(halfway)
    assert curves["return"] == [[1000, 2000], [84.0, 98.8]]
    steps, losses = curves["loss"]
    assert MAX_POINTS / 2 < len(steps) <= MAX_POINTS + 1
    assert (steps[0], losses[0], steps[-1], losses[-1]) == (2, 1.0, 2200, 1 / 1100)  # the line cut short is left out


@pytest.mark.parametrize(
    ("status", "toggle", "stop", "step", "words"),
    [
        ("training", "Pause", True, 2200, "inverted-pendulum is training. At step 2,000 the policy returned 99, at"),
        ("saving", "Pause", False, 2200, "is writing its checkpoint"),
        ("paused", "Resume", True, 2300, "Paused at step 2,300 of 6,000; it is kept in"),
        ("stopped", "Start", False, 2300, "Stopped at step 2,300 of 6,000"),
        ("failed", "Resume", True, 2300, "std 1.03 of the policy's (1 is right)"),
    ],
)
def test_every_status_has_its_buttons_and_its_words(halfway, status, toggle, stop, step, words):
    frame = watcher_frame(halfway, status, "inverted-pendulum", 6000)
    assert frame["buttons"] == {"toggle": toggle, "stop": stop}
    assert frame["progress"]["step"] == step
    assert words in frame["text"]
    assert frame.keys() == watcher_frame(halfway / "none", "new", "pendulum", 10).keys()


def test_bad_input_is_refused_in_one_line(tmp_path, halfway):
    with pytest.raises(ValueError, match=f"status 'asleep' is unknown; choose one of {', '.join(STATUSES)}"):
        watcher_frame(halfway, "asleep", "pendulum", 10)
    with pytest.raises(ValueError, match="there is no preset 'pendlum'; did you mean pendulum"):
        TrainingWatcher("pendlum")
    with pytest.raises(ValueError, match="there is no setting 'envsteps'; did you mean env_steps"):
        TrainingWatcher(directory=tmp_path / "run", envsteps=3)
    with pytest.raises(ValueError, match="env_steps must be a whole number"):
        TrainingWatcher(directory=tmp_path / "run", env_steps="many")
    with pytest.raises(ValueError, match=re.escape(f"{halfway} is there already and no run")):
        TrainingWatcher(directory=halfway)
    write_config(tmp_path / "run", "inverted-pendulum", get_preset("inverted-pendulum"), 3)
    for wish, words in (
        ({"seed": 4}, "seed 3, not 4"),
        ({"preset": "pendulum"}, "preset inverted-pendulum, not pendulum"),
        ({"env_steps": 7000}, "env_steps 6000, not 7000"),
    ):
        with pytest.raises(ValueError, match=f"holds a run with {words}; name another directory"):
            TrainingWatcher(directory=tmp_path / "run", **wish)
    assert TrainingWatcher(directory=tmp_path / "run", seed=3, smooth_steps=True).status == "new"


def test_before_the_start_it_shows_the_run_of_the_course_and_freezes_it(tmp_path):
    watcher = TrainingWatcher(directory=tmp_path / "run", smooth_steps=False, seed=1)
    assert watcher.status == "new"
    assert (
        "Start trains inverted-pendulum for 6,000 real steps, in a process of its own" in watcher.frame["data"]["text"]
    )
    assert "106 seconds to a return of 1000" in watcher.frame["data"]["text"]
    assert json.dumps(watcher.freeze({}).frozen_frame()) == json.dumps(watcher.frame["data"])
    page = watcher._repr_mimebundle_()[0]["text/html"]
    assert "the notebook brings it to life" in page
    assert not (tmp_path / "run").exists()  # looking starts nothing
    other = TrainingWatcher("walker2d", directory=tmp_path / "walker")
    assert other.frame["data"]["kept"] is None


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_run_that_fails_says_so_in_one_line_and_the_next_start_is_a_new_run_that_stops_on_demand(tmp_path):
    directory = tmp_path / "runs" / "watched"
    watcher = TrainingWatcher(directory=directory, **(LONG | {"learning_rate": "1e30"}))
    watcher.start()
    with pytest.raises(ValueError, match="is training; it cannot be started"):
        watcher.start()
    again = TrainingWatcher(directory=directory)  # the cell run again: the same run
    assert again.status == "training"
    again.close()
    assert watcher.status == "training"
    wait_until(lambda: watcher.frame["error"])  # its own thread has seen it
    assert watcher.status == "failed"
    assert re.fullmatch(
        r"the training process ended with status 1: \S+ became (nan|inf) at step .*", watcher.frame["error"]
    )
    assert watcher.frame["data"]["buttons"] == {"toggle": "Start", "stop": False}  # there is nothing to go on from

    watcher._choices["learning_rate"] = "1e-3"
    watcher._asked(watcher, {"press": "Start"}, [])
    assert watcher.run == tmp_path / "runs" / "watched-2"
    assert (watcher.status, watcher.frame["error"]) == ("training", None)
    wait_until((watcher.run / "config.json").exists)
    watcher._asked(watcher, {"press": "Stop"}, [])  # before its first step
    assert watcher.status in ("saving", "stopped")
    assert watcher._run.wait(60) == 0
    wait_until(lambda: watcher.frame["data"]["status"] == "stopped")
    (checkpoint,) = list_checkpoints(watcher.run)
    step = watcher.frame["data"]["progress"]["step"]
    assert checkpoint.stem == f"step-{step:09}"
    assert watcher.frame["data"]["buttons"] == {"toggle": "Start", "stop": False}
