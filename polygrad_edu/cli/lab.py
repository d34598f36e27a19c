"""The command ``lab``: the lessons, copied to a directory and opened in JupyterLab."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..files.input_error import InputError


def lab(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the lessons go.")] = Path("polygrad-lessons"),
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    start: Annotated[bool, typer.Option(help="Start JupyterLab after copying.")] = True,
) -> None:
    """Copy the lessons to DIR and open JupyterLab there. Your own changed copies are never overwritten."""
    from ..course.paths import find_shared

    source = find_shared("notebooks")
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; name a directory for the lessons")
    copied = 0
    kept = 0
    for lesson in sorted(source.glob("*.ipynb")):  # the assignments are handed out by the course commands
        target = directory / lesson.relative_to(source)
        if target.exists():
            kept += 1
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(lesson, target)
        copied += 1
    print(f"{copied} lessons copied to {directory}" + (f", {kept} already there left as they are." if kept else "."))
    if start:
        options = [] if browser else ["--no-browser"]
        raise typer.Exit(subprocess.call([sys.executable, "-m", "jupyter", "lab", *options], cwd=directory))
