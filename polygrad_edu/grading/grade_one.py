"""Grading of one submission, from its file to its points: ``python -m polygrad_edu.grading.grade_one JOB.json``.

``grade_all.py`` starts one such process per submission. It never runs the student's code itself: a process in the
sandbox does, and answers what the checks here ask of it. It prints the result as JSON and writes, for the instructor,
the notebook as it was run.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ..files.safe_files import write_json
from .names import encodable
from .question_cells import required_calls
from .run_notebook import Cell, NotebookRunner
from .student_process import CELL_SECONDS
from .submissions import UnreadableError, read_cells, take_answers

MEMORY_BYTES = 4 * 2**30  # for this process, whatever the kernel sends it


def grade_submission(
    source: Path, submission: Path, folder: Path, namespaces: list[str], cell_seconds: int = CELL_SECONDS
) -> dict[str, Any]:
    """Grade ``submission`` against ``source``; write the notebook as it was run into ``folder``.

    Returns:
        ``status`` (graded, unreadable, or stopped: by the clock), ``reason``, ``points``, ``max_points``, ``by_hand``
        (points that a person has to give), ``questions`` (``name, points, max_points, message, parts, waited`` each;
        parts as in :meth:`.Judgement.table`; waited: it may have lost points to the clock), ``notes`` for the student,
        ``seconds``.
    """
    begin = time.monotonic()
    original = json.loads(source.read_text(encoding="utf-8"))
    for cell in original["cells"]:
        cell["source"] = "".join(cell["source"])
        if cell["cell_type"] == "code":  # the solution's output is not the student's
            cell["outputs"] = []
            cell["execution_count"] = None
    tests = [cell for cell in original["cells"] if _marks(cell)["grade"]]
    try:
        merged, notes = take_answers(original, read_cells(submission))
        runner, notebook = _run(source.stem, merged, namespaces, cell_seconds)
    except UnreadableError as error:
        result = failed(tests, "unreadable", f"No points, because {error}.")
    else:
        questions = [_question(cell, runner) for cell in notebook["cells"] if _marks(cell)["grade"]]
        result: dict[str, Any] = {"status": "graded", "reason": "", "questions": questions, "notes": notes}
        if runner.waited:
            result |= _waited(questions)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / source.name, notebook)
    return result | totals(result["questions"]) | {"seconds": round(time.monotonic() - begin, 1)}


def failed(tests: list[dict[str, Any]], status: str, reason: str) -> dict[str, Any]:
    """Result of a submission that could not be graded: no points in any test."""
    questions: list[dict[str, Any]] = []
    for cell in tests:
        marks = _marks(cell)
        name = marks["grade_id"].removeprefix("test_")
        questions.append(
            {"name": name, "points": 0.0, "max_points": float(marks["points"]), "message": reason, "parts": []}
            | {"waited": status == "stopped"}
        )
    return {"status": status, "reason": reason, "questions": questions, "notes": []}


def _waited(questions: list[dict[str, Any]]) -> dict[str, str]:
    """Mark the questions of a run that the clock has stopped somewhere; return its status and the reason.

    All that lost points are marked: what was stopped may have been needed by what came later.
    """
    lost = [question for question in questions if question["points"] not in (None, question["max_points"])]
    for question in lost:
        question["waited"] = True
    if not lost:
        return {}
    names = ", ".join(question["name"] for question in lost)
    told = f"A cell was stopped by the clock, not for computing too long, so points may be missing in {names}."
    return {"status": "stopped", "reason": told}


def totals(questions: list[dict[str, Any]]) -> dict[str, float]:
    """Sums over the questions; those that wait for a person count in ``max_points`` and ``by_hand`` only."""
    return {
        "points": sum(question["points"] for question in questions if question["points"] is not None),
        "max_points": sum(question["max_points"] for question in questions),
        "by_hand": sum(question["max_points"] for question in questions if question["points"] is None),
    }


def checks_of(assignment: str) -> str:
    """Module of an assignment's checks: ``a1_noise_schedule`` has ``assignment_1``."""
    return f"assignment_{assignment.split('_')[0][1:]}"


def _run(
    assignment: str, merged: dict[str, Any], namespaces: list[str], cell_seconds: int
) -> tuple[NotebookRunner, dict[str, Any]]:
    """Run the answers and the tests; return the runner and the notebook."""
    rules = importlib.import_module(f"polygrad_edu.checks.{checks_of(assignment)}")
    runner = NotebookRunner(rules, namespaces, cell_seconds)
    return runner, runner.run(merged)


def _question(cell: Cell, runner: NotebookRunner) -> dict[str, Any]:
    """Points and message of one test; an answer in words has no points (``None``) until a person gives them."""
    marks = _marks(cell)
    name = marks["grade_id"].removeprefix("test_")
    max_points = float(marks["points"])
    question: dict[str, Any] = {"name": name, "max_points": max_points, "parts": [], "waited": False}
    if marks["solution"]:
        empty = re.sub(r"\W", "", cell["source"]).lower() in ("", "youranswerhere")
        points = 0.0 if empty else None
        message = "Nothing was written." if empty else "A person will read this."
        return question | {"points": points, "message": message, "answer": cell["source"]}
    stopped = _stop(cell, runner)
    if stopped:
        return question | {"points": 0.0, "message": without_places(stopped)}
    found = runner.verdicts[marks["grade_id"]]
    parts = [row | {"message": without_places(row["message"])} for row in found.table(of=max_points)]
    message = without_places(found.message) or "Right."
    return question | {"points": found.points(of=max_points), "message": message, "parts": parts}


def _stop(cell: Cell, runner: NotebookRunner) -> str:
    """Reason why an answer was stopped, in words for the student; empty if it was not."""
    test = _marks(cell)["grade_id"]
    name = test.removeprefix("test_")
    for answer in (answer for call in required_calls(cell["source"]) for answer in call.answers):
        if answer in runner.problems:
            which = "Your cell" if answer == name else f"Your cell {answer}"
            return f"{which} was stopped: {runner.problems[answer]}."
    if test in runner.problems:
        return f"Your answer, when it was tried, was stopped: {runner.problems[test]}."
    return ""


def _marks(cell: Cell) -> dict[str, Any]:
    return cell["metadata"]["nbgrader"]


def without_places(text: str) -> str:
    """Text for a student's page, without the folders of this machine: of a path only its last part is left."""
    return re.sub(r"(?:/[\w.@+~-]+)+/(?=[\w.@+~-])", "", encodable(text))


def end_with_parent() -> None:
    """Wait until stdin ends, because ``grade_all.py`` was stopped or killed; then end this session of processes.

    Nothing is left to compute for then, and an endless loop of the student's would go on for half an hour.
    """
    while os.read(0, 1):
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


def main() -> None:
    """Grade the submission that the job file names on the command line; print the result."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    logging.disable(logging.CRITICAL)
    if os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    source, submission, folder = (Path(job[name]) for name in ("source", "submission", "folder"))
    print(json.dumps(grade_submission(source, submission, folder, job["namespaces"], job["cell_seconds"])))


if __name__ == "__main__":
    main()
