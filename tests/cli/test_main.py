"""The command line as a user meets it: real processes, one line for each mistake."""

import subprocess
import sys

import pytest

from tests.support.command_line import call

# What makes a command slow to start. Each is imported by the commands that use it.
HEAVY = {"torch", "numpy", "gymnasium", "mujoco", "matplotlib", "scipy", "safetensors"}
FAILING = """
from polygrad_edu.cli.main import app, main
from polygrad_edu.files.input_error import InputError

@app.command()
def fail():
    from polygrad_edu.imagination_loop import NotFiniteError
    from polygrad_edu.studies.seeds import FailedRunsError
    raise {error}

main()
"""
HELP = """
import sys
from polygrad_edu.cli.main import app, main

assert not {heavy} & sys.modules.keys()
commands = [command.callback.__name__ for command in app.registered_commands]
assert {{"train", "evaluate", "doctor", "lab"}} <= set(commands)
for words in [], *([command] for command in commands), ["course"], ["course", "grade"]:
    sys.argv = ["polygrad-edu", *words, "--help"]
    try:
        main()
    except SystemExit as ended:
        assert ended.code == 0
    assert not {heavy} & sys.modules.keys(), words
"""


def run_script(script, *arguments):
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "hoper"], "no preset 'hoper'; did you mean hopper"),
        (["train", "--horizn", "3"], "No such option: --horizn"),
        (["train", "--seeds", "2", "--minutes", "1"], "--minutes is for one seed"),
        (["train", "--seeds", "2", "--supervised"], "--supervised is for one seed"),
        (["train", "--compile", "graph"], "compile graph records a GPU's work"),
        (["bench", "hoper"], "no preset 'hoper'; did you mean hopper"),
        (["bench", "hopper", "--run", "nowhere"], "nowhere is not a run directory"),
        (["export", "nowhere", "kept"], "nowhere is not a run directory"),
        (["train", "--horizon", "x"], "horizon must be a whole number, not 'x'"),
        (["train", "--horizon", "1"], "horizon must be from 2"),
        (["train", "--seed", "-1"], "--seed': Input should be greater than or equal to 0"),
        (["train", "--seed", "one"], "--seed'"),
        (
            ["train", "--seed", "9223372036854775808"],
            "a seed must be at most 9223372036854775807, not 9223372036854775808",
        ),
        (["sweep", "reacher", "--seed", "9223372036854775808"], "a seed must be at most 9223372036854775807"),
        (["dataset", "new", "--seed", "4294967296"], "a seed must be at most 4294967295, not 4294967296"),
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


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        ("InputError('no preset\\n of that name')", 2, "no preset of that name"),
        ("NotFiniteError('the loss became nan')", 1, "the loss became nan"),
        ("FailedRunsError('seed 1 failed')", 1, "seed 1 failed"),
        ("OSError(28, 'No space left on device')", 1, "[Errno 28] No space left on device"),
    ],
)
def test_an_error_that_is_no_defect_gets_one_line(error, status, line):
    done = run_script(FAILING.format(error=error), "fail")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"polygrad-edu: {line}\n")


def test_an_interrupt_is_no_error():
    done = run_script(FAILING.format(error="KeyboardInterrupt"), "fail")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("error", ["ValueError('shapes differ')", "RuntimeError('shapes differ')"])
def test_a_defect_shows_its_traceback(error):
    done = run_script(FAILING.format(error=error), "fail")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.splitlines()[-1] == f"{error.split('(')[0]}: shapes differ"


def test_help_imports_nothing_heavy():
    done = run_script(HELP.format(heavy=HEAVY))
    assert done.returncode == 0, done.stderr
    assert "--sampling-steps" in done.stdout
