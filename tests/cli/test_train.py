"""Training by the command line: real processes, real files."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from tests.support.command_line import COMMAND, OPTIONS, call


def test_training_leaves_a_whole_run_and_says_where(trained):
    directory, done = trained
    result = json.loads(done.stdout)
    assert result == json.loads((directory / "result.json").read_text())
    assert {
        "preset",
        "env_id",
        "seed",
        "env_steps",
        "return_mean",
        "return_std",
        "episodes",
        "wall_seconds",
        "device",
        "versions",
    } <= result.keys()
    assert (result["preset"], result["env_id"], result["seed"]) == ("inverted-pendulum", "InvertedPendulum-v5", 3)
    assert (result["env_steps"], result["episodes"]) == (60, 2)
    assert "over 2 new episodes; the run and its video.mp4 lie in" in done.stderr
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [line["env_step"] for line in lines] == [30, 60]
    assert {"eval_return", "world_model_loss", "action_std"} <= lines[-1].keys()
    assert (directory / "video.mp4").stat().st_size > 1000
    assert len(list((directory / "checkpoint").glob("step-*.json"))) == 2
    files = [path for path in directory.rglob("*") if path.is_file()]
    kinds = {path.suffix for path in files if not path.name.startswith("events.out.tfevents.")}  # TensorBoard's own
    assert kinds == {".json", ".jsonl", ".safetensors", ".mp4"}


def test_a_finished_run_can_be_prolonged(trained, tmp_path):
    directory = shutil.copytree(trained[0], tmp_path / "run")  # the other tests read the one that ended at 60
    done = call("train", "--resume", directory, "--env-steps", 70, "--json")
    assert json.loads(done.stdout)["env_steps"] == 70


def test_a_loss_that_explodes_ends_the_run_with_one_line_and_status_1(tmp_path):
    done = call("train", "--out", tmp_path / "run", *OPTIONS, "--learning-rate", "1e30")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "became nan at step" in last or "became inf at step" in last
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_continues(tmp_path, kind):
    options = [*OPTIONS, "--env-steps", "100000", "--checkpoint-every", "50", "--eval-every", "100000"]
    process = subprocess.Popen(
        [*COMMAND, "train", "--out", tmp_path / "run", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        # a shell's background jobs, and what they start, ignore an interrupt unless told otherwise
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("run/checkpoint/step-*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(kind)
    output, _ = process.communicate(timeout=60)
    if kind == signal.SIGINT:
        assert process.returncode == 130
        assert "Continue with: polygrad-edu train --resume" in output.replace("\n", "")
        assert "Traceback" not in output
    step = int(sorted(tmp_path.glob("run/checkpoint/step-*.json"))[-1].stem[5:])
    done = call("train", "--resume", tmp_path / "run", "--env-steps", step + 10, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["env_steps"] == step + 10


def test_a_slice_of_time_ends_with_a_checkpoint_to_go_on_from(tmp_path):
    options = [*OPTIONS, "--env-steps", "1000000", "--checkpoint-every", "1000000", "--eval-every", "1000000"]
    done = call("train", "--out", tmp_path / "run", *options, "--minutes", "0.05", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer == {"finished": False, "env_step": answer["env_step"], "run": str(tmp_path / "run")}
    assert f"Continue with: polygrad-edu train --resume {tmp_path / 'run'}" in done.stderr
    ended = call("train", "--resume", tmp_path / "run", "--env-steps", answer["env_step"] + 5, "--json")
    assert json.loads(ended.stdout)["env_steps"] == answer["env_step"] + 5


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory):
    directory = tmp_path_factory.mktemp("seeds") / "two"
    done = call("train", "--seeds", 2, "--seed", 3, "--out", directory, "--json", *OPTIONS)
    assert done.returncode == 0, done.stderr
    return directory, json.loads(done.stdout)


def test_several_seeds_are_the_runs_that_each_would_be(trained, two_seeds):
    directory, summary = two_seeds
    assert summary == json.loads((directory / "seeds.json").read_text())
    assert summary["seeds"] == [3, 4]
    alone = json.loads((trained[0] / "result.json").read_text())
    together = json.loads((directory / "seed3" / "result.json").read_text())
    assert alone | {"wall_seconds": 0} == together | {"wall_seconds": 0}
    assert summary["returns"][0] == alone["return_mean"]
    assert summary["env_steps_per_second_together"] == pytest.approx(sum(summary["env_steps_per_second"]), abs=0.1)


def test_a_seed_that_fails_is_named(tmp_path):
    done = call("train", "--seeds", 2, "--out", tmp_path / "two", *OPTIONS, "--learning-rate", "1e30")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("polygrad-edu: seed 0, 1 of inverted-pendulum failed (polygrad-edu: ")
    assert "train --resume" in last
