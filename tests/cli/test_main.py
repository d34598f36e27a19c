"""The command line as a user meets it: real processes, real files, one line for each mistake."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.concepts.test_imagination_loop import TINY

COMMAND = [sys.executable, "-c", "from polygrad_edu.cli.main import main; main()"]
OPTIONS = [word for name, value in TINY.items() for word in (f"--{name.replace('_', '-')}", value)]


def call(*arguments, cwd=None, columns=200):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": str(columns), "NO_COLOR": "1"}
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, env=environment, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny finished run and what training it printed with --json."""
    directory = tmp_path_factory.mktemp("cli") / "run"
    done = call("train", "--seed", 3, "--out", directory, "--json", *OPTIONS)
    assert done.returncode == 0, done.stderr
    return directory, done


def test_training_leaves_a_whole_run_and_says_where(trained):
    directory, done = trained
    result = json.loads(done.stdout)
    assert result == json.loads((directory / "result.json").read_text())
    assert {"preset", "env_id", "seed", "env_steps", "return_mean", "return_std", "episodes", "wall_seconds",
            "device", "versions"} <= result.keys()  # fmt: skip
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


def test_evaluation_repeats_the_reported_return(trained):
    directory, done = trained
    answer = json.loads(call("evaluate", directory, "--episodes", 2, "--json").stdout)
    assert answer["return_mean"] == pytest.approx(json.loads(done.stdout)["return_mean"])
    spoken = call("evaluate", directory, "--episodes", 3)
    assert spoken.returncode == 0
    assert "InvertedPendulum-v5: return" in spoken.stdout


def test_video_writes_where_it_is_told(trained, tmp_path):
    directory, _ = trained
    done = call("video", directory, "--out", tmp_path / "film.mp4", "--json")
    assert json.loads(done.stdout) == {"video": str(tmp_path / "film.mp4")}
    assert (tmp_path / "film.mp4").stat().st_size > 1000


def test_a_finished_run_can_be_prolonged(trained, tmp_path):
    directory = shutil.copytree(trained[0], tmp_path / "run")  # the other tests read the one that ended at 60
    done = call("train", "--resume", directory, "--env-steps", 70, "--json")
    assert json.loads(done.stdout)["env_steps"] == 70


def test_doctor_names_every_part():
    done = call("doctor")
    for part in ("python", "torch", "mujoco", "device", "simulator", "drawing", "video", "opengl"):
        assert part in done.stdout
    checks = json.loads(call("doctor", "--json").stdout)["checks"]
    assert all(check["ok"] or check["remedy"] for check in checks)
    assert all(check["ok"] for check in checks if check["needed"]), checks
    assert done.returncode == 0


def test_lab_copies_lessons_and_never_overwrites(tmp_path):
    done = call("lab", tmp_path / "mine", "--no-start")
    assert done.returncode == 0, done.stderr
    lesson = tmp_path / "mine" / "00_start_here.ipynb"
    lesson.write_text("my notes")
    assert "left as they are" in call("lab", tmp_path / "mine", "--no-start").stdout
    assert lesson.read_text() == "my notes"


def test_help_teaches_the_settings():
    shown = call("train", "--help").stdout
    assert "--sampling-steps" in shown
    assert "ornstein-uhlenbeck" in shown
    assert "hopper-cpu" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "hoper"], "no preset 'hoper'; did you mean hopper"),
        (["train", "--horizn", "3"], "No such option: --horizn"),
        (["train", "--seeds", "2", "--minutes", "1"], "--minutes is for one seed"),
        (["train", "--seeds", "2", "--attended"], "--attended is for one seed"),
        (["train", "--compile", "graph"], "compile graph records a GPU's work"),
        (["bench", "hoper"], "no preset 'hoper'; did you mean hopper"),
        (["bench", "hopper", "--run", "nowhere"], "nowhere is not a run directory"),
        (["export", "nowhere", "kept"], "nowhere is not a run directory"),
        (["train", "--horizon", "x"], "horizon must be a whole number, not 'x'"),
        (["train", "--horizon", "1"], "horizon must be from 2"),
        (["train", "--seed", "-1"], "--seed': Input should be greater than or equal to 0"),
        (["train", "--seed", "one"], "--seed'"),
        (["train", "--env-id", "CartPole-v1"], "CartPole-v1 has the action space Discrete(2)"),
        (["train", "--env-id", "Nope-v0"], "cannot make the task 'Nope-v0'"),
        (["train", "--device", "tpu"], "device 'tpu' is unknown; choose cpu, cuda or auto"),
        (["train", "--out", "."], ". is there already"),
        (["train", "--resume", "nowhere"], "nowhere is not a run directory"),
        (["train", "hopper", "--resume", "."], "leave them out"),
        (["train", "--resume", ".", "--horizon", "5"], "only --env-steps may change, not horizon"),
        (["evaluate", "nowhere"], "nowhere is not a run directory"),
        (["evaluate", "nowhere", "--episodes", "0"], "--episodes': Input should be greater than or equal to 1"),
        (["video", "nowhere", "--renderer", "crayon"], "choose drawn or mujoco"),
        (["video", "nowhere"], "nowhere is not a run directory"),
        (["lab", "occupied"], "occupied is a file"),
        (["dance"], "No such command 'dance'"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(tmp_path, arguments, message):
    (tmp_path / "occupied").write_text("x")
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("polygrad-edu: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["occupied"]


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
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        # a shell's background jobs, and what they start, ignore an interrupt unless told otherwise
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
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


def test_a_run_is_kept_for_good(trained, tmp_path):
    done = call("export", trained[0], tmp_path / "kept", "--json")
    assert json.loads(done.stdout)["bytes"] < 2**20
    again = call("export", trained[0], tmp_path / "kept")
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_bench_prints_what_it_writes(tmp_path):
    small = ["--width", "16", "--depth", "1", "--imagined-trajectories", "8", "--batch-size", "8", "--no-grow"]
    done = call("bench", "inverted-pendulum", *small, "--rounds", 1, "--out", tmp_path / "b", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "b" / "bench.json").read_text())
    shown = call("bench", "inverted-pendulum", *small, "--rounds", 1, "--out", tmp_path / "b", columns=80)
    assert "eager" in shown.stdout
    assert "steps a second" in shown.stdout
