"""Curves in the formats of others, read back with their own readers."""

import json
import subprocess
import sys
import time

import pytest
from rich.console import Console

from polygrad_edu.files.input_error import InputError
from polygrad_edu.files.safe_files import read_json
from polygrad_edu.runs import curves
from polygrad_edu.runs.training import continue_run, start_run
from tests.support.command_line import OPTIONS, call
from tests.support.tiny_runs import tiny

QUIET = Console(quiet=True)


def scalars(directory):
    """Every scalar of a directory's event files, none left out: {name: [(step, value), ...]}."""
    event_file_loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    found = {}
    for path in sorted(directory.glob(curves.EVENT_FILES)):
        for event in event_file_loader.EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.tensor.float_val[0]))
    return found


def expected(directory):
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    found = {}
    for line in lines:
        for name, value in curves.numbers(line).items():
            found.setdefault(name, []).append((line["env_step"], pytest.approx(value, rel=1e-6)))
    return found


def stop_at(training, step):
    steps = training.loop.steps

    def interrupted():
        for metrics in steps():
            yield metrics
            if training.loop.env_step == step:
                raise KeyboardInterrupt

    training.loop.steps = interrupted


def test_tensorboard_reads_each_step_of_a_resumed_run_once(tmp_path):
    training = start_run(tmp_path / "run", "inverted-pendulum", tiny(eval_every=10), 0, "cpu")
    stop_at(training, 55)  # evaluated at 50, checkpoint of 40: that evaluation is made again
    with pytest.raises(KeyboardInterrupt):
        training.run(QUIET)
    assert [step for step, _ in scalars(tmp_path / "run")["eval_return"]] == [10, 20, 30, 40, 50]
    continue_run(tmp_path / "run", "cpu", {}).run(QUIET)
    found = scalars(tmp_path / "run")
    assert [step for step, _ in found["eval_return"]] == [10, 20, 30, 40, 50, 60]
    assert {"eval_return", "best_return", "world_model_loss", "action_std", "critic_loss"} <= found.keys()
    assert found == expected(tmp_path / "run")


def test_a_tensorboard_that_looks_on_shows_no_step_twice(tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def next_one():
        time.sleep(1.05)  # event files are read in the order of their names, which go by the second
        return curves.TensorBoard(tmp_path)

    board = curves.TensorBoard(tmp_path)
    board.begin([])
    for step in (10, 20, 30):
        board.add({"env_step": step, "eval_return": float(step)})
    watching = event_accumulator.EventAccumulator(str(tmp_path))
    watching.Reload()
    board.end(None)
    next_one().begin([])  # goes on, and is killed at once
    watching.Reload()
    resumed = next_one()
    resumed.begin([{"env_step": 10, "eval_return": 10.0}, {"env_step": 20, "eval_return": 20.0}])
    resumed.add({"env_step": 30, "eval_return": 33.0})
    resumed.end(None)
    watching.Reload()
    assert len(list(tmp_path.glob(curves.EVENT_FILES))) == 2
    assert [(seen.step, seen.value) for seen in watching.Scalars("eval_return")] == [(10, 10.0), (20, 20.0), (30, 33.0)]


def test_without_tensorboard_a_run_is_the_same_and_imports_nothing_of_it(tmp_path):
    script = (
        "import importlib.util, sys; find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'tensorboard' else find(name, *rest)\n"
        "from polygrad_edu.cli.main import main\n"
        "try: main()\n"
        "finally: assert not any(name.startswith(('tensorboard', 'wandb')) for name in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "train", "--out", str(tmp_path / "run"), *OPTIONS],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "result.json").exists()
    assert not list((tmp_path / "run").glob(curves.EVENT_FILES))


def test_what_is_drawn_are_finite_numbers():
    line = {"env_step": 5, "a": 1, "b": 2.5, "c": None, "d": float("nan"), "e": "text", "f": True}
    assert curves.numbers(line) == {"a": 1.0, "b": 2.5}


def test_weights_and_biases_keeps_a_run_offline_and_goes_on_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    training = start_run(tmp_path / "run", "inverted-pendulum", tiny(), 0, "cpu")
    training.curves.use_wandb("my-project", "inverted-pendulum", 0, tiny())
    stop_at(training, 55)
    with pytest.raises(KeyboardInterrupt):
        training.run(QUIET)
    first = read_json(tmp_path / "run" / curves.WANDB_FILE)
    assert first["project"] == "my-project"
    continue_run(tmp_path / "run", "cpu", {}).run(QUIET)  # the run knows that it is drawn there
    assert read_json(tmp_path / "run" / curves.WANDB_FILE) == first
    words = {b"eval_return", b"my-project", b"return_mean"}
    for _ in range(100):  # its own process may still be writing
        files = sorted(tmp_path.glob(f"wandb/offline-run-*/run-{first['id']}.wandb"))
        missing = [{word for word in words if word not in path.read_bytes()} for path in files]
        if missing == [{b"return_mean"}, set()]:  # only a finished run has a result
            break
        time.sleep(0.1)
    assert b"imagined_trajectories" in files[0].read_bytes()  # the settings
    assert missing == [{b"return_mean"}, set()]  # two files of one id: wandb sync joins them


def test_weights_and_biases_that_cannot_be_had_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # nobody is logged in there
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    done = call("train", "--wandb", "p", "--out", tmp_path / "run", *OPTIONS, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "log in with: wandb login. Or keep the curves on this machine" in line
    assert not (tmp_path / "run").exists()


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r'pip install "polygrad-edu\[wandb\]"'):
        curves.Curves(tmp_path).use_wandb("p", "inverted-pendulum", 0, tiny())
