"""The command ``lab``: the lessons, copied to a directory and opened in JupyterLab."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..files.input_error import InputError

LESSONS = Path("polygrad-lessons")
START = Path(__file__).parent.parent / "course" / "kernel_start.py"  # run by every kernel, before its first cell


def lab(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the lessons go.")] = LESSONS,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    start: Annotated[bool, typer.Option(help="Start JupyterLab after copying.")] = True,
) -> None:
    """Copy lessons and assignments to DIR and open the first lesson in JupyterLab. Your own copies stay as they are.

    Options that are not listed here go to JupyterLab: polygrad-edu lab --port 9000 --ip 0.0.0.0
    """
    from ..course.handout import FIRST, hand_out

    passed_on = list(context.args)
    if str(directory).startswith("-"):  # no DIR was given, and this is an option for JupyterLab
        passed_on.insert(0, str(directory))
        directory = LESSONS
    if passed_on and not (start and passed_on[0].startswith("-")):
        raise InputError(f"lab takes one DIR, and options for JupyterLab if it is started; not {' '.join(passed_on)}")
    done = hand_out(directory, trusted=True)
    kept = f", {done.kept} already there left as they are." if done.kept else "."
    print(f"{done.copied} lessons and assignments copied to {directory}" + kept)
    if start:
        options = [*([] if browser else ["--no-browser"]), *passed_on]
        first = [FIRST] if (directory / FIRST).exists() else []
        command = [sys.executable, "-m", "jupyter", "lab", *first, *options]
        raise typer.Exit(subprocess.call(command, cwd=directory, env={"PYTHONSTARTUP": str(START)} | os.environ))
