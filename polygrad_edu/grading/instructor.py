"""Instructor's course folder: create it for nbgrader, and make the students' versions from its source.

The folder has nbgrader's layout: ``nbgrader_config.py``, ``source/ASSIGNMENT/ASSIGNMENT.ipynb``, ``release/``,
``submitted/``. Stock nbgrader works in it too; nothing here needs nbgrader's database.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import shutil
from pathlib import Path
from typing import Any

from ..course.handout import HIDDEN_TESTS
from ..course.paths import find_shared
from ..files.input_error import InputError
from .question_cells import check_tests

CONFIG = """\
c = get_config()  # noqa

c.CourseDirectory.course_id = {name!r}
# The tests that students do not see stand between these lines in source/, their solutions likewise.
c.ClearHiddenTests.begin_test_delimeter = "BEGIN HIDDEN TESTS"
c.ClearHiddenTests.end_test_delimeter = "END HIDDEN TESTS"
c.ClearSolutions.begin_solution_delimeter = "BEGIN SOLUTION"
c.ClearSolutions.end_solution_delimeter = "END SOLUTION"
c.ClearSolutions.code_stub = {{"python": "..."}}
"""


def needs_nbgrader() -> None:
    """Check that nbgrader is installed.

    Raises:
        InputError: it is not; the message says how to install it.
    """
    try:
        import nbgrader  # noqa: F401  # pyright: ignore[reportUnusedImport] - to see whether it is there
    except ImportError:
        raise InputError('this needs nbgrader; install it with: pip install "polygrad-edu[course]"') from None


def shipped_assignments() -> list[Path]:
    """Source notebooks of the assignments that come with the course, in order."""
    return sorted((find_shared("notebooks") / "assignments").glob("a[0-9]_*/a[0-9]_*.ipynb"))


def assignments_of(course: Path) -> dict[str, Path]:
    """Source notebook of each assignment of a course folder, by name.

    Raises:
        InputError: the folder is not a course.
    """
    found = {path.stem: path for path in sorted(course.glob("source/*/*.ipynb")) if path.stem == path.parent.name}
    if not found:
        raise InputError(
            f"{course} is not a course: it has no source/ASSIGNMENT/ASSIGNMENT.ipynb; make one with course new"
        )
    return found


def new_course(folder: Path) -> list[str]:
    """Create a course with all assignments in ``folder``; its hidden tests get random inputs of their own.

    Returns:
        The names of the assignments.

    Raises:
        InputError: ``folder`` is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty; name a new folder for the course")
    names: list[str] = []
    for path in shipped_assignments():
        target = folder / "source" / path.parent.name
        target.mkdir(parents=True)
        for extra in path.parent.iterdir():
            if extra.is_file() and extra != path:
                shutil.copyfile(extra, target / extra.name)
        (target / path.name).write_text(_with_new_seeds(path.read_text(encoding="utf-8")), encoding="utf-8")
        names.append(path.stem)
    (folder / "nbgrader_config.py").write_text(CONFIG.format(name=folder.resolve().name), encoding="utf-8")
    return names


def _with_new_seeds(text: str) -> str:
    """Notebook with new random seeds in its hidden tests, so that knowing the public seeds does not help."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        drawn = HIDDEN_TESTS.sub(
            lambda hidden: re.sub(r"seed=\d+", lambda _: f"seed={100 + secrets.randbelow(9900)}", hidden.group()),
            source,
        )
        cell["source"] = drawn.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def answers_in_words(course: Path) -> dict[tuple[str, str], str]:
    """The course's own answers to the questions that a person reads, by assignment and question."""
    found: dict[tuple[str, str], str] = {}
    for name, path in assignments_of(course).items():
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            marks = cell["metadata"]["nbgrader"]
            if marks["solution"] and marks["grade"]:
                found[name, marks["grade_id"]] = "".join(cell["source"])
    return found


def without_hidden_tests(text: str) -> dict[str, Any]:
    """An assignment's notebook without the tests that students do not see."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        cell["source"] = HIDDEN_TESTS.sub("", "".join(cell["source"])).splitlines(keepends=True)
    return notebook


def release(course: Path, only: str | None = None) -> dict[str, Path]:
    """Write the students' versions to ``release/`` with nbgrader's own converter.

    Args:
        course: the course folder.
        only: one assignment; all of them by default.

    Returns:
        The notebooks written, by assignment.

    Raises:
        InputError: there is no such course or assignment, or a notebook breaks nbgrader's rules.
    """
    from nbgrader.converters import GenerateAssignment
    from nbgrader.converters.base import NbGraderException
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    sources = assignments_of(course)
    if only is not None and only not in sources:
        raise InputError(f"there is no assignment {only!r}; there are {', '.join(sources)}")
    check_tests(sources)
    config = Config()
    config.CourseDirectory.root = str(course.resolve())
    config.ClearSolutions.code_stub = {"python": "..."}
    config.SaveCells.enabled = False  # it would keep cells in a database that nothing here reads
    config.GenerateAssignment.no_database = True
    made: dict[str, Path] = {}
    for name in [only] if only else sources:
        config.CourseDirectory.assignment_id = name
        converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
        converter.force = True
        converter.log, errors = _error_log()
        try:
            converter.start()
        except NbGraderException as error:
            raise InputError(f"nbgrader cannot release {name}: {errors[-1] if errors else error}") from None
        made[name] = course / "release" / name / f"{name}.ipynb"
    return made


def _error_log() -> tuple[logging.Logger, list[str]]:
    """Logger for nbgrader, and the list that collects the last line of each error."""
    errors: list[str] = []
    log = logging.Logger("nbgrader")
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: errors.append(record.getMessage().strip().splitlines()[-1])
    log.addHandler(handler)
    return log, errors
