"""The assignments' notebooks, and a course released from them."""

import json
from pathlib import Path

from polygrad_edu.grading.instructor import new_course, release, shipped_assignments

SOURCES = {path.stem: path for path in shipped_assignments()}


def cells(path):
    """Cells of an assignment's notebook by grade_id, each with its source as one text."""
    notebook = json.loads(Path(path).read_text(encoding="utf-8"))
    return {
        cell["metadata"]["nbgrader"]["grade_id"]: cell | {"source": "".join(cell["source"])}
        for cell in notebook["cells"]
    }


def released_course(folder):
    """A new course in ``folder`` with all assignments released: the folder, and the students' notebooks by name."""
    assert new_course(folder) == list(SOURCES)
    return folder, release(folder)
