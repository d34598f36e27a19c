"""One submission from file to points. ``grade_all.py`` runs it in a process of its own: ``... grade_one JOB.json``.

This process never runs a line of the student's; the kernel that does is in jail, and what comes from there is believed
only with a signature. What it writes is ``result.json`` and the notebook as it was run, for the instructor's eyes.
"""

from __future__ import annotations

import ast
import importlib
import json
import logging
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import LimitOutput

from .run_notebook import CELL_SECONDS, Marker
from .screening import objection, without_magics
from .submissions import UnreadableError, read_cells, take_answers

MEMORY = 4 * 2**30  # bytes for this process, whatever the kernel sends it


def grade_submission(
    source: Path, submission: Path, folder: Path, namespaces: list[str], cell_seconds: int = CELL_SECONDS
) -> dict[str, Any]:
    """Mark ``submission`` against ``source``; writes ``folder/result.json`` and the notebook as it was run.

    Returns:
        ``status`` (graded or unreadable), ``reason``, ``points``, ``most``, ``by_hand`` (points that a person has to
        give), ``questions`` (``name, points, most, message`` each) and ``notes`` for the student.
    """
    begin = time.monotonic()
    original = json.loads(source.read_text(encoding="utf-8"))
    for cell in original["cells"]:
        cell["source"] = "".join(cell["source"])
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None  # what the solution printed is not the student's
    tests = [cell for cell in original["cells"] if cell["metadata"]["nbgrader"]["grade"]]
    try:
        merged, notes = take_answers(original, read_cells(submission))
        marker, notebook, refused = _run(source.stem, merged, namespaces, cell_seconds)
    except UnreadableError as error:
        result = failed(tests, "unreadable", f"No points, because {error}.")
    else:
        questions = [_question(cell, marker, refused) for cell in notebook.cells if cell.metadata.nbgrader.grade]
        result: dict[str, Any] = {"status": "graded", "reason": "", "questions": questions, "notes": notes}
        LimitOutput().preprocess(notebook, {})
        folder.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, folder / source.name)
    result |= totals(result["questions"]) | {"seconds": round(time.monotonic() - begin, 1)}
    write_json(folder / "result.json", result)
    return result


def failed(tests: list[dict[str, Any]], status: str, reason: str) -> dict[str, Any]:
    """The result of a submission that could not be marked: nothing for every test."""
    questions = []
    for cell in tests:
        marks = cell["metadata"]["nbgrader"]
        name = marks["grade_id"].removeprefix("test_")
        questions.append({"name": name, "points": 0.0, "most": float(marks["points"]), "message": reason})
    return {"status": status, "reason": reason, "questions": questions, "notes": []}


def totals(questions: list[dict[str, Any]]) -> dict[str, float]:
    """What the questions add up to; those that wait for a person count nowhere but in ``by_hand``."""
    marked = [question for question in questions if question["points"] is not None]
    return {
        "points": sum(question["points"] for question in marked),
        "most": sum(question["most"] for question in questions),
        "by_hand": sum(question["most"] for question in questions if question["points"] is None),
    }


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    partial.replace(path)


def checks_of(assignment: str) -> str:
    """The module of an assignment's checks: ``a1_noise_schedule`` has ``assignment_1``."""
    return f"assignment_{assignment.split('_')[0][1:]}"


def _run(
    assignment: str, merged: dict[str, Any], namespaces: list[str], cell_seconds: int
) -> tuple[Marker, NotebookNode, dict[str, str]]:
    """Run what may be run; also the answers that may not, and why."""
    checks = checks_of(assignment)
    rules = importlib.import_module(f"polygrad_edu.checks.{checks}")
    refused = {}
    for cell in merged["cells"]:
        marks = cell["metadata"]["nbgrader"]
        if marks["solution"] and cell["cell_type"] == "code":
            cell["source"] = without_magics(cell["source"])
            against = objection(cell["source"], rules.MAY_IMPORT, rules.MAY_NOT_USE)
            if against:
                refused[marks["grade_id"]] = against
                cell["source"] = f"# not run: {against}"
    notebook = nbformat.from_dict(merged)
    marker = Marker(checks, namespaces, cell_seconds)
    return marker, marker.mark(notebook), refused


def _question(cell: NotebookNode, marker: Marker, refused: dict[str, str]) -> dict[str, Any]:
    """Points and message of one test, or none yet for an answer in words."""
    marks = cell.metadata.nbgrader
    name, most = marks.grade_id.removeprefix("test_"), float(marks.points)
    if marks.solution:
        empty = re.sub(r"\W", "", cell.source).lower() in ("", "youranswerhere")
        points, message = (0.0, "Nothing was written.") if empty else (None, "A person will read this.")
    else:
        message = _trouble(cell, name, marker, refused)
        points = 0.0 if message else most
    return {"name": name, "points": points, "most": most, "message": message or "Right."}


def _trouble(cell: NotebookNode, name: str, marker: Marker, refused: dict[str, str]) -> str:
    """Why a test gives no points, in words for the student; empty if it gives them."""
    test, told = cell.metadata.nbgrader.grade_id, marker.reports.get(cell.metadata.nbgrader.grade_id)
    for answer in _answers(cell):
        which = "Your cell" if answer == name else f"Your cell {answer}"
        if answer in refused:
            return f"{which} was not run: {refused[answer]}."
        if answer in marker.words:
            return f"{which} was stopped: {marker.words[answer]}."
    if test in marker.words:
        return f"Your answer, when it was tried, was stopped: {marker.words[test]}."
    errors = [output for output in cell.outputs if output.output_type == "error"]
    calls = wanted(cell.source)
    if errors:
        seen = not told or calls[0] not in told["passed"]
        message = str(errors[0].evalue) if errors[0].ename == "AssertionError" else marker.told(name, errors[0])
        return message if seen else f"On inputs that you have not seen: {message}"
    if told is None:
        return "The test did not report back, so it does not count."
    if told["changed"] or told["asleep"]:
        what = ", ".join((told["changed"] or told["asleep"])[:2])
        return (
            f"Something that the tests rest on was changed while your code ran ({what}); tests after that do not count."
        )
    return (
        "" if told["passed"][-len(calls) :] == calls else "The test was not run as it is written, so it does not count."
    )


def _answers(cell: NotebookNode) -> list[str]:
    """What a test tries: the names that it speaks of, among them those of answer cells."""
    return [node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)]


def wanted(test: str) -> list[list[Any]]:
    """[exercise, seed] of every call of ``require`` in a test cell, in their order."""
    calls = [node for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Call)]
    calls = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "require"]
    calls.sort(key=lambda call: call.lineno)
    return [
        [ast.literal_eval(call.args[0]), next((ast.literal_eval(k.value) for k in call.keywords if k.arg == "seed"), 0)]
        for call in calls
    ]


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    logging.disable(logging.CRITICAL)
    if os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    source, submission, folder = (Path(job[name]) for name in ("source", "submission", "folder"))
    grade_submission(source, submission, folder, job["namespaces"], job["cell_seconds"])


if __name__ == "__main__":
    main()
