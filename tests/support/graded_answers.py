"""A few answers of an assignment, graded as a submission is: in the sandbox, by the checks in their own process."""

import json
import tempfile
from pathlib import Path

from polygrad_edu.grading import sandbox
from polygrad_edu.grading.grade_one import grade_submission
from tests.support.assignments import SOURCES


def name_of(number):
    return next(name for name in SOURCES if name.startswith(f"a{number}_"))


def grade_answers(number, answers, own_cells=(), cell_seconds=60):
    """Result of a submission in which ``answers`` (function -> cell) stand in place of the solutions.

    Only these questions are asked, after the solutions of the questions before them. ``own_cells`` are pairs (function,
    text): a cell of the student's own before that answer.
    """
    notebook = json.loads(SOURCES[name_of(number)].read_text(encoding="utf-8"))
    last = max(place for place, cell in enumerate(notebook["cells"]) if grade_id(cell) in answers)
    tests = {f"test_{function}" for function in answers}
    kept = [
        cell
        for place, cell in enumerate(notebook["cells"])
        if grade_id(cell) in tests
        or (not cell["metadata"]["nbgrader"]["grade"] and (place <= last or grade_id(cell).startswith("setup")))
    ]
    notebook["cells"] = kept
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"{name_of(number)}.ipynb"
        source.write_text(json.dumps(notebook), encoding="utf-8")
        for cell in kept:
            cell["source"] = answers.get(grade_id(cell), cell["source"])
        for function, text in own_cells:
            place = next(at for at, cell in enumerate(kept) if grade_id(cell) == function)
            kept.insert(place, {"cell_type": "code", "source": text, "metadata": {}})
        submission = Path(folder) / "submission.ipynb"
        submission.write_text(json.dumps(notebook), encoding="utf-8")
        return grade_submission(source, submission, Path(folder) / "graded", sandbox.namespaces(), cell_seconds)


def grade_id(cell):
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


def messages(result):
    """Message of each question, by its name."""
    return {question["name"]: question["message"] for question in result["questions"]}
