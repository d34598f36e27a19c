"""An instructor's course folder: made ready for nbgrader, and the students' versions made from its source.

The folder is nbgrader's own: ``nbgrader_config.py``, ``source/ASSIGNMENT/ASSIGNMENT.ipynb``, ``release/``,
``submitted/``. Stock nbgrader works in it as well; nothing here needs its database.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import shutil
from pathlib import Path

from ..course.paths import find_shared

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
_HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS\n(.*?)### END HIDDEN TESTS", re.S)


def needs_nbgrader() -> None:
    """Say in one line how to get nbgrader, if it is not there.

    Raises:
        ValueError: with that line.
    """
    try:
        import nbgrader  # noqa: F401  # pyright: ignore[reportUnusedImport] - to see whether it is there
    except ImportError:
        raise ValueError('this needs nbgrader; install it with: pip install "polygrad-edu[course]"') from None


def shipped_assignments() -> list[Path]:
    """The assignments' source notebooks that come with the course, in their order."""
    return sorted((find_shared("notebooks") / "assignments").glob("a[0-9]_*/a[0-9]_*.ipynb"))


def assignments_of(course: Path) -> dict[str, Path]:
    """Name and source notebook of each assignment of an instructor's course.

    Raises:
        ValueError: the folder is no course.
    """
    found = {path.stem: path for path in sorted(course.glob("source/*/*.ipynb")) if path.stem == path.parent.name}
    if not found:
        raise ValueError(
            f"{course} is not a course: it has no source/ASSIGNMENT/ASSIGNMENT.ipynb; make one with course new"
        )
    return found


def new_course(folder: Path) -> list[str]:
    """Make a course in ``folder``: every assignment, its hidden tests on inputs that only this course has.

    Raises:
        ValueError: something is there already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty; name a new folder for the course")
    names = []
    for path in shipped_assignments():
        target = folder / "source" / path.parent.name
        target.mkdir(parents=True)
        for extra in path.parent.iterdir():
            if extra.is_file() and extra != path:
                shutil.copyfile(extra, target / extra.name)
        (target / path.name).write_text(_own_seeds(path.read_text(encoding="utf-8")), encoding="utf-8")
        names.append(path.stem)
    (folder / "nbgrader_config.py").write_text(CONFIG.format(name=folder.resolve().name), encoding="utf-8")
    return names


def _own_seeds(text: str) -> str:
    """The notebook with new seeds in its hidden tests: who knows the public ones knows nothing of these."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        drawn = _HIDDEN.sub(
            lambda hidden: re.sub(r"seed=\d+", lambda _: f"seed={100 + secrets.randbelow(9900)}", hidden.group()),
            source,
        )
        cell["source"] = drawn.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def release(course: Path, only: str | None = None) -> dict[str, Path]:
    """Make the students' versions in ``release/``, by nbgrader's own rules; returns them by name.

    Raises:
        ValueError: there is no such course or assignment, or a notebook breaks nbgrader's rules.
    """
    from nbgrader.converters import GenerateAssignment
    from nbgrader.converters.base import NbGraderException
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    sources = assignments_of(course)
    if only is not None and only not in sources:
        raise ValueError(f"there is no assignment {only!r}; there are {', '.join(sources)}")
    config = Config()
    config.CourseDirectory.root = str(course.resolve())
    config.ClearSolutions.code_stub = {"python": "..."}
    config.SaveCells.enabled = False  # it would keep cells in a database, which nobody here asks
    config.GenerateAssignment.no_database = True
    made = {}
    for name in [only] if only else sources:
        config.CourseDirectory.assignment_id = name
        converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
        converter.force = True
        converter.log, told = _listener()
        try:
            converter.start()
        except NbGraderException as error:
            raise ValueError(f"nbgrader cannot release {name}: {told[-1] if told else error}") from None
        made[name] = course / "release" / name / f"{name}.ipynb"
    return made


def _listener() -> tuple[logging.Logger, list[str]]:
    """A log of nbgrader's own, and its errors as they come."""
    told: list[str] = []
    log = logging.Logger("nbgrader")
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: told.append(record.getMessage().strip().splitlines()[-1])
    log.addHandler(handler)
    return log, told
