"""The command line as a user meets it: real processes, one line for each mistake."""

import subprocess
import sys

import pytest

from tests.support.command_line import OPTIONS, call, call_here

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
        (["train", "--seed", "1000000"], "--seed': Input should be less than or equal to 999999"),
        (["train", "--seed", "99999999999999999999999"], "--seed': Input should be less than or equal to 999999"),
        (["train", "--seed", "999999", "--seeds", "2"], "--seeds 2 from --seed 999999 on ends at 1000000"),
        (["sweep", "reacher", "--seed", "1000000"], "less than or equal to 999999"),
        (["sweep", "reacher", "--seed", "-1"], "greater than or equal to 0"),
        (["sweep", "reacher", "--seed", "999996"], "--seeds 5 from --seed 999996 on ends at 1000000"),
        (["dataset", "new", "--seed", "1000000"], "less than or equal to 999999"),
        (["error", "nowhere", "--seed", "1000000"], "less than or equal to 999999"),
        (["video", "nowhere", "--seed", "1000000"], "less than or equal to 999999"),
        (["evaluate", "nowhere", "--seed", "4294967296"], "less than or equal to 4294967295"),
        (["evaluate", "nowhere", "--seed", "4294967290"], "--episodes 20 from --seed 4294967290 on ends at 4294967309"),
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
def test_bad_input_gets_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys, arguments, message):
    (tmp_path / "occupied").write_text("x")
    status, shown, told = call_here(monkeypatch, capsys, *arguments, cwd=tmp_path)
    assert (status, shown) == (2, "")
    assert message in told
    assert told.startswith("polygrad-edu: ")
    assert told.count("\n") == 1
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


def test_help_takes_less_than_half_a_second_of_computing():
    script = "import os, sys; sys.argv = ['polygrad-edu', '--help']\nfrom polygrad_edu.cli.main import main\n"
    script += "try:\n    main()\nfinally:\n    print(sum(os.times()[:2]), file=sys.stderr)"
    assert min(float(run_script(script).stderr) for _ in range(3)) < 0.5


OLD_API = """
import gymnasium

class Task:
    def __init__(self):
        self.observation_space = gymnasium.spaces.Box(-1, 1, (2,))
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,))
    def reset(self):
        return self.observation_space.sample()
    def step(self, action):
        return self.observation_space.sample(), 0.0, False, {}

gymnasium.register("Old-v0", Task, max_episode_steps=50)
"""


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("old_api:Old-v0", "Old-v0"),
        ("Hopper-v3", "Hopper-v3"),
        ("LunarLander-v3", "LunarLander-v3"),
        ("LunarLanderContinuous-v3", "LunarLanderContinuous-v3"),
        ("no_such_module:Task-v0", "no_such_module"),
        ("a/b/c", "a/b/c"),
    ],
)
def test_a_task_that_cannot_be_made_gets_one_line(tmp_path, task, words):
    (tmp_path / "old_api.py").write_text(OLD_API)
    done = call("train", "--env-id", task, "--out", "run", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert words.split("-")[0] in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


OWN_TASK = """
import gymnasium
import numpy as np

class Task(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-1, 1, 2)
        return self._get_obs(), {}

    def _get_obs(self):
        return self.state.astype(np.float32)

    def step(self, action):
        self.state = 0.9 * self.state + 0.1 * float(action[0])
        return self._get_obs(), -float(np.abs(self.state).sum()), False, False, {}

gymnasium.register("Own-v0", Task, max_episode_steps=20)
"""


def test_an_own_task_that_processes_cannot_know_gets_one_line(tmp_path):
    script = f"{OWN_TASK}\nfrom polygrad_edu.cli.main import main\nmain()"
    words = ["train", "--out", str(tmp_path / "run"), *OPTIONS, "--parallel-envs", "2", "--env-id", "Own-v0"]
    done = run_script(script, *words)
    if done.returncode:  # where processes are forked they know it; else each of them tells its own trouble first
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("polygrad-edu: an environment's process could not make the task")
