"""The command line as a user meets it: a process of its own, and the options of a run that takes two seconds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from polygrad_edu.cli.main import main
from tests.support.tiny_runs import TINY

COMMAND = [sys.executable, "-c", "from polygrad_edu.cli.main import main; main()"]
OPTIONS = [word for name, value in TINY.items() for word in (f"--{name.replace('_', '-')}", value)]


def surroundings(columns=200, **variables):
    """This process's environment with these variables, for a process that uses one core and no colours."""
    return os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": str(columns), "NO_COLOR": "1"} | variables


def call(*arguments, cwd=None, columns=200, **variables):
    """Run ``polygrad-edu`` with these arguments; returns the finished process with its output as text."""
    command = [*COMMAND, *map(str, arguments)]
    environment = surroundings(columns, **variables)
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)


def call_here(monkeypatch, capsys, *arguments, cwd):
    """Run ``polygrad-edu`` in this process, ten times as fast; returns status, output and what was said on stderr."""
    for name, value in surroundings().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(cwd)
    monkeypatch.setattr(sys, "argv", ["polygrad-edu", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, *capsys.readouterr()


def call_unread(*arguments, n_lines=0, **variables):
    """Run ``polygrad-edu`` and read so many lines of its output, then close the pipe: (status, lines, stderr)."""
    command = [*COMMAND, *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=surroundings(**variables), **streams) as process:
        lines = [process.stdout.readline() for _ in range(n_lines)]
        process.stdout.close()
        told = process.stderr.read()
    return process.returncode, lines, told


def paths(folder):
    """Value of PYTHONPATH with which modules in ``folder`` come before all others."""
    before = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join(filter(None, [str(folder), before, str(Path(__file__).parents[2])]))
