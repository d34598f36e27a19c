"""Lessons as a student gets them: answers not printed yet, links that lead somewhere, assignments to be solved.

A folder of lessons looks like this::

    00_start.ipynb ... 13_whole.ipynb     names short enough for JupyterLab's list of files
    assignments/a1_noise_schedule.ipynb   without their solutions
    reading/                              the files that lessons link to, to be read and not changed
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import nbformat
from nbformat.sign import NotebookNotary

from ..files.input_error import InputError
from .paths import find_shared

NAMES = {
    "00_start_here": "00_start",
    "01_why_world_models": "01_why",
    "01b_why_diffusion": "01b_fork",
    "02_the_noise_schedule": "02_noise",
    "03_the_denoiser": "03_denoise",
    "04_trajectory_diffusion": "04_chain",
    "05_score_guidance": "05_score",
    "06_policy_guided_trajectory_diffusion": "06_guided",
    "07_the_actor_critic": "07_critic",
    "08_the_imagination_loop": "08_loop",
    "09_how_good_is_the_world_model": "09_errors",
    "10_full_size_mujoco_training": "10_mujoco",
    "11_making_it_fast": "11_fast",
    "12_reading_the_paper_again": "12_paper",
    "13_what_only_a_whole_trajectory_can_do": "13_whole",
}
FIRST = NAMES["00_start_here"] + ".ipynb"
READING = "reading"
_LINK = re.compile(r"(?<=\]\()(?:\.\./)+((?:polygrad_edu|book)/[^)#\s]+)")
_SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?### END SOLUTION\n?", re.S | re.M)
HIDDEN_TESTS = re.compile(r"### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS\n?", re.S)


class HandedOut(NamedTuple):
    """Numbers of notebooks copied, and left as they were."""

    copied: int
    kept: int


def hand_out(directory: Path, trusted: bool = False) -> HandedOut:
    """Copy lessons and assignments to a directory; a notebook that is there stays as it is.

    Args:
        directory: made if it is not there.
        trusted: tell this user's Jupyter that what is copied now comes from the package. Without that it shows a film
            that was not run yet as a black box.

    Raises:
        InputError: ``directory`` is a file.
    """
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; name a directory for the lessons")
    source = find_shared("notebooks")
    lessons = {path: directory / f"{NAMES[path.stem]}.ipynb" for path in sorted(source.glob("[0-9]*.ipynb"))}
    assignments = {
        path: directory / "assignments" / path.name for path in sorted(source.glob("assignments/a*/a*.ipynb"))
    }
    copied: list[Path] = []
    read: set[str] = set()
    for path, target in (lessons | assignments).items():
        notebook = json.loads(path.read_text(encoding="utf-8"))
        read |= _mend_links(notebook, "../" if path in assignments else "")
        if target.exists() or (directory / path.name).exists():  # the latter from before the names were short
            continue
        (_to_be_solved if path in assignments else _before_the_first_guess)(notebook)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        copied.append(target)
    for name in sorted(read):
        _copy_to_read(name, directory / READING)
    if trusted:
        _trust(copied)
    return HandedOut(len(copied), len(lessons | assignments) - len(copied))


def _trust(paths: list[Path]) -> None:
    """Note in this user's Jupyter that these notebooks, as they are now, may show films and widgets."""
    with contextlib.suppress(OSError):  # where nothing can be noted they stay untrusted, and running a cell shows all
        notary = NotebookNotary()
        for path in paths:
            notary.sign(nbformat.read(path, as_version=4))


def _sources(notebook: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Cells of one kind, each with its source as one text."""
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def _before_the_first_guess(notebook: dict[str, Any]) -> None:
    """Remove all outputs from the first question on: its answer is printed below it."""
    asked = False
    for cell in _sources(notebook, "code"):
        asked = asked or "predict(" in cell["source"]
        if asked:
            cell |= {"outputs": [], "execution_count": None}


def _to_be_solved(notebook: dict[str, Any]) -> None:
    """Remove solutions, hidden tests and outputs from an assignment."""
    for cell in _sources(notebook, "code"):
        cell["source"] = HIDDEN_TESTS.sub("", _SOLUTION.sub(r"\1...\n", cell["source"])).rstrip("\n")
        cell |= {"outputs": [], "execution_count": None}
    for cell in _sources(notebook, "markdown"):
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            cell["source"] = "*Your answer:*"


def _mend_links(notebook: dict[str, Any], up: str) -> set[str]:
    """Lead a notebook's links to the copies of files and to the short names of lessons.

    Args:
        notebook: changed in place.
        up: the way from the notebook to the folder of the lessons.

    Returns:
        The files it links to, such as ``polygrad_edu/replay.py``.
    """
    read: set[str] = set()
    for cell in _sources(notebook, "markdown"):
        read |= set(_LINK.findall(cell["source"]))
        cell["source"] = _LINK.sub(rf"{up}{READING}/\1", cell["source"])
        for long, short in NAMES.items():
            cell["source"] = cell["source"].replace(f"({long}.ipynb)", f"({short}.ipynb)")
    return read


def _copy_to_read(name: str, reading: Path) -> None:
    """Copy one file of the installed package or of the book, write-protected, in place of an older copy."""
    package = Path(str(resources.files("polygrad_edu")))
    inside = PurePosixPath(name)
    place = package if inside.parts[0] == "polygrad_edu" else find_shared(inside.parts[0])
    target = reading / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copyfile(place.joinpath(*inside.parts[1:]), target)
    os.chmod(target, 0o444)
