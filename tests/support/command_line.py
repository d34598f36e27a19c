"""The command line as a user meets it: a process of its own, and the options of a run that takes two seconds."""

import os
import subprocess
import sys

from tests.support.tiny_runs import TINY

COMMAND = [sys.executable, "-c", "from polygrad_edu.cli.main import main; main()"]
OPTIONS = [word for name, value in TINY.items() for word in (f"--{name.replace('_', '-')}", value)]


def call(*arguments, cwd=None, columns=200):
    """Run ``polygrad-edu`` with these arguments; returns the finished process with its output as text."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": str(columns), "NO_COLOR": "1"}
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)
