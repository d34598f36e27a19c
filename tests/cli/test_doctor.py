"""The doctor, asked on this machine."""

import json
import sys

import pytest

from polygrad_edu.cli import doctor
from polygrad_edu.cli.main import main
from polygrad_edu.measuring import golden_run
from tests.support.command_line import call, paths


def test_doctor_names_every_part():
    done = call("doctor")
    for part in ("python", "torch", "mujoco", "device", "simulator", "drawing", "video", "opengl"):
        assert part in done.stdout
    checks = json.loads(call("doctor", "--json").stdout)["checks"]
    assert all(check["ok"] or check["remedy"] for check in checks)
    assert all(check["ok"] for check in checks if check["needed"]), checks
    assert done.returncode == 0


def test_doctor_lists_a_variable_that_a_library_refuses():
    done = call("doctor", MUJOCO_GL="garbage", MPLBACKEND="nonsense")
    assert (done.returncode, done.stderr) == (1, "")
    missed = [line for line in done.stdout.splitlines() if line.startswith("MISS")]
    assert [line.split()[1] for line in missed] == ["MUJOCO_GL", "MPLBACKEND"]
    assert "'garbage' is refused by mujoco" in missed[0]
    assert "unset MUJOCO_GL, or set it to one of: " in done.stdout
    assert "unset MPLBACKEND, or set it to one of: agg" in done.stdout
    told = call("doctor", "--json", MUJOCO_GL="garbage")
    assert told.returncode == 1
    checks = {check["name"]: check for check in json.loads(told.stdout)["checks"]}
    assert [name for name, check in checks.items() if check["needed"] and not check["ok"]] == ["MUJOCO_GL"]
    assert checks["simulator"]["found"] == "InvertedPendulum-v5 steps"


def test_doctor_finds_a_library_that_is_broken_and_says_so_without_a_traceback(tmp_path):
    for name in ("torch", "mujoco", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise OSError('cannot open shared object file')")
    done = call("doctor", PYTHONPATH=paths(tmp_path))
    assert (done.returncode, done.stderr) == (1, "")
    assert "Traceback" not in done.stdout
    marks = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines() if line[:4].strip()}
    assert [marks[name] for name in ("torch", "mujoco", "simulator", "video")] == ["MISS"] * 4
    assert marks["ipywidgets"] == "ok"


@pytest.mark.parametrize("variable", ["MUJOCO_GL", "MPLBACKEND"])
def test_reproducing_is_work_that_a_wrong_variable_stops(variable):
    done = call("doctor", "--reproduce", **{variable: "garbage"})
    assert done.returncode == 2
    assert done.stderr.startswith(f"polygrad-edu: {variable}='garbage' is refused by ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--save", "run.json"], "--save and --against go with --reproduce"),
        (["--against", "run.json"], "--save and --against go with --reproduce"),
        (["--reproduce", "--against", "nowhere.json"], "nowhere.json"),
        (["--reproduce", "--save", "nowhere/run.json"], "must be a file in a directory that is there"),
    ],
)
def test_files_of_golden_runs_are_judged_before_half_a_minute_passes(tmp_path, words, message):
    done = call("doctor", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_golden_run_is_kept_and_compared(tmp_path, monkeypatch, capsys):
    stored = golden_run.read_golden()["golden"]
    monkeypatch.setattr(golden_run, "golden_run", lambda **_: stored)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["polygrad-edu", "doctor", "--reproduce", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().out

    path = tmp_path / "kept.json"
    assert call("--save", path) == (0, doctor_lines(stored))
    status, said = call("--against", path)
    assert (status, said.splitlines()[-1]) == (0, "Every bit is the same.")
    numbers = stored["numbers"] | {"action_std": stored["numbers"]["action_std"] + 1}
    golden_run.save_run(stored | {"numbers": numbers, "digest": "other", "machine": {}}, path)
    status, said = call("--against", path)
    assert status == 1
    assert said.splitlines()[-1].startswith("Further apart than seeds take them: action_std. What differs: ")
    status, said = call("--against", path, "--json")
    answer = json.loads(said)
    assert (status, answer["same_bits"], answer["close"]) == (1, False, False)
    assert answer["numbers"]["action_std"]["far"]


def doctor_lines(run):
    lines = golden_run.compare(run, golden_run.read_golden())[2]
    return "\n".join([*lines, doctor._verdict(True, True, run, run["machine"])]) + "\n"
