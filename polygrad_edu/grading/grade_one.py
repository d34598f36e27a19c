"""Grading of one submission, from its file to its points: ``python -m polygrad_edu.grading.grade_one JOB.json``.

``grade_all.py`` starts one such process per submission. It never runs the student's code itself: a sandboxed kernel
does, and what that kernel reports counts only with a valid signature. It writes ``result.json`` and, for the
instructor, the notebook as it was run.
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

from .run_notebook import CELL_SECONDS, NotebookRunner
from .screening import objection, without_magics
from .submissions import UnreadableError, read_cells, take_answers

MEMORY_BYTES = 4 * 2**30  # for this process, whatever the kernel sends it


def grade_submission(
    source: Path, submission: Path, folder: Path, namespaces: list[str], cell_seconds: int = CELL_SECONDS
) -> dict[str, Any]:
    """Grade ``submission`` against ``source``; write ``folder/result.json`` and the notebook as it was run.

    Returns:
        ``status`` (graded or unreadable), ``reason``, ``points``, ``max_points``, ``by_hand`` (points that a person has
        to give), ``questions`` (``name, points, max_points, message`` each), ``notes`` for the student, ``seconds``.
    """
    begin = time.monotonic()
    original = json.loads(source.read_text(encoding="utf-8"))
    for cell in original["cells"]:
        cell["source"] = "".join(cell["source"])
        if cell["cell_type"] == "code":  # the solution's output is not the student's
            cell["outputs"] = []
            cell["execution_count"] = None
    tests = [cell for cell in original["cells"] if cell["metadata"]["nbgrader"]["grade"]]
    try:
        merged, notes = take_answers(original, read_cells(submission))
        runner, notebook, refused = _run(source.stem, merged, namespaces, cell_seconds)
    except UnreadableError as error:
        result = failed(tests, "unreadable", f"No points, because {error}.")
    else:
        questions = [_question(cell, runner, refused) for cell in notebook.cells if cell.metadata.nbgrader.grade]
        result: dict[str, Any] = {"status": "graded", "reason": "", "questions": questions, "notes": notes}
        LimitOutput().preprocess(notebook, {})
        folder.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, folder / source.name)
    result |= totals(result["questions"]) | {"seconds": round(time.monotonic() - begin, 1)}
    write_json(folder / "result.json", result)
    return result


def failed(tests: list[dict[str, Any]], status: str, reason: str) -> dict[str, Any]:
    """Result of a submission that could not be graded: no points in any test."""
    questions: list[dict[str, Any]] = []
    for cell in tests:
        marks = cell["metadata"]["nbgrader"]
        name = marks["grade_id"].removeprefix("test_")
        questions.append({"name": name, "points": 0.0, "max_points": float(marks["points"]), "message": reason})
    return {"status": status, "reason": reason, "questions": questions, "notes": []}


def totals(questions: list[dict[str, Any]]) -> dict[str, float]:
    """Sums over the questions; those that wait for a person count in ``max_points`` and ``by_hand`` only."""
    return {
        "points": sum(question["points"] for question in questions if question["points"] is not None),
        "max_points": sum(question["max_points"] for question in questions),
        "by_hand": sum(question["max_points"] for question in questions if question["points"] is None),
    }


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as JSON, so that ``path`` is never half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    partial.replace(path)


def checks_of(assignment: str) -> str:
    """Module of an assignment's checks: ``a1_noise_schedule`` has ``assignment_1``."""
    return f"assignment_{assignment.split('_')[0][1:]}"


def _run(
    assignment: str, merged: dict[str, Any], namespaces: list[str], cell_seconds: int
) -> tuple[NotebookRunner, NotebookNode, dict[str, str]]:
    """Run the answers that screening allows; return the runner, the notebook, and the refused answers with reasons."""
    checks = checks_of(assignment)
    rules = importlib.import_module(f"polygrad_edu.checks.{checks}")
    refused: dict[str, str] = {}
    for cell in merged["cells"]:
        marks = cell["metadata"]["nbgrader"]
        if marks["solution"] and cell["cell_type"] == "code":
            cell["source"] = without_magics(cell["source"])
            reason = objection(cell["source"], rules.MAY_IMPORT, rules.MAY_NOT_USE)
            if reason:
                refused[marks["grade_id"]] = reason
                cell["source"] = f"# not run: {reason}"
    notebook = nbformat.from_dict(merged)
    runner = NotebookRunner(checks, namespaces, cell_seconds)
    return runner, runner.run(notebook), refused


def _question(cell: NotebookNode, runner: NotebookRunner, refused: dict[str, str]) -> dict[str, Any]:
    """Points and message of one test; an answer in words has no points (``None``) until a person gives them."""
    marks = cell.metadata.nbgrader
    name = marks.grade_id.removeprefix("test_")
    max_points = float(marks.points)
    if marks.solution:
        empty = re.sub(r"\W", "", cell.source).lower() in ("", "youranswerhere")
        points = 0.0 if empty else None
        message = "Nothing was written." if empty else "A person will read this."
    else:
        message = _failure(cell, name, runner, refused)
        points = 0.0 if message else max_points
    return {"name": name, "points": points, "max_points": max_points, "message": message or "Right."}


def _failure(cell: NotebookNode, name: str, runner: NotebookRunner, refused: dict[str, str]) -> str:
    """Reason why a test gives no points, in words for the student; empty if it was passed."""
    test = cell.metadata.nbgrader.grade_id
    report = runner.reports.get(test)
    for answer in _answers(cell):
        which = "Your cell" if answer == name else f"Your cell {answer}"
        if answer in refused:
            return f"{which} was not run: {refused[answer]}."
        if answer in runner.problems:
            return f"{which} was stopped: {runner.problems[answer]}."
    if test in runner.problems:
        return f"Your answer, when it was tried, was stopped: {runner.problems[test]}."
    errors = [output for output in cell.outputs if output.output_type == "error"]
    calls = required_calls(cell.source)
    if errors:
        seen = not report or calls[0] not in report["passed"]
        error = errors[0]
        message = str(error.evalue) if error.ename == "AssertionError" else runner.error_message(name, error)
        return message if seen else f"On inputs that you have not seen: {message}"
    if report is None:
        return "The test did not report back, so it does not count."
    if report["changed"] or report["asleep"]:
        what = ", ".join((report["changed"] or report["asleep"])[:2])
        return (
            f"Something that the tests rest on was changed while your code ran ({what}); tests after that do not count."
        )
    if report["passed"][-len(calls) :] != calls:
        return "The test was not run as it is written, so it does not count."
    return ""


def _answers(cell: NotebookNode) -> list[str]:
    """Names that a test uses, among them those of the answer cells it tries."""
    return [node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)]


def required_calls(test: str) -> list[list[Any]]:
    """Pairs [exercise, seed] of the calls of ``require`` in a test cell, in order."""
    calls = [node for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Call)]
    calls = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "require"]
    calls.sort(key=lambda call: call.lineno)
    return [
        [ast.literal_eval(call.args[0]), next((ast.literal_eval(k.value) for k in call.keywords if k.arg == "seed"), 0)]
        for call in calls
    ]


def main() -> None:
    """Grade the submission that the job file names on the command line."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    logging.disable(logging.CRITICAL)
    if os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    source, submission, folder = (Path(job[name]) for name in ("source", "submission", "folder"))
    grade_submission(source, submission, folder, job["namespaces"], job["cell_seconds"])


if __name__ == "__main__":
    main()
