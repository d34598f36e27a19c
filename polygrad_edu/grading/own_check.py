"""A student's own check: a notebook run as it will be graded, with the tests that students see."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ..files.input_error import InputError
from . import sandbox
from .grade_one import grade_submission
from .instructor import shipped_assignments, without_hidden_tests
from .intake import assignment_by_cells
from .submissions import read_cells


def check_own(notebook: Path, cell_seconds: int = 60) -> dict[str, Any]:
    """Run a student's notebook by the grader's rules, against the visible tests.

    Args:
        notebook: the student's file, of any name.
        cell_seconds: computing time of one cell.

    Returns:
        The result, as :func:`.grade_one.grade_submission` gives it, and ``assignment``.

    Raises:
        InputError: it is not a notebook, or of no assignment of the course.
    """
    if os.name != "posix":
        raise InputError("this needs Linux or macOS; on Windows use its Linux subsystem")
    if not notebook.is_file():
        raise InputError(f"{notebook} is not a file; name your notebook of an assignment")
    read_cells(notebook)
    sources = {path.stem: path for path in shipped_assignments()}
    assignment = assignment_by_cells(notebook, list(sources))
    if assignment is None:
        raise InputError(f"{notebook} has the tests of none of the assignments {', '.join(sources)}")
    with tempfile.TemporaryDirectory(prefix="check-") as name:
        source = Path(name) / f"{assignment}.ipynb"
        text = sources[assignment].read_text(encoding="utf-8")
        source.write_text(json.dumps(without_hidden_tests(text)), encoding="utf-8")
        result = grade_submission(source, notebook, Path(name) / "run", sandbox.namespaces(), cell_seconds)
    return result | {"assignment": assignment}
