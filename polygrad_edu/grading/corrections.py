"""Corrections by people: points for answers in words, and points that replace the grader's; nothing is ever erased.

They stand in the course's ``corrections.jsonl``, one a line, in the order in which they were made. The last one for a
question counts, whatever is graded again; ``graded/`` keeps what the grader said.
"""

from __future__ import annotations

import csv
import datetime
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..files.input_error import InputError
from .grade_one import totals
from .tables import as_it_was

FILE = "corrections.jsonl"


class Correction(NamedTuple):
    """Points that a person gave."""

    when: str  # date and time, UTC
    student: str
    assignment: str
    question: str
    points: float
    reason: str  # shown to the student


def read_corrections(course: Path) -> list[Correction]:
    """All corrections of a course, the oldest first.

    Raises:
        InputError: the file was damaged.
    """
    path = course / FILE
    found: list[Correction] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.is_file() else (), start=1):
        try:
            found.append(Correction(**json.loads(line)))
        except (ValueError, TypeError):
            raise InputError(f"{path}, line {number} is damaged; mend or delete that line") from None
    return found


def corrected(results: Iterable[Mapping[str, Any]], corrections: Iterable[Correction]) -> list[dict[str, Any]]:
    """Results with the corrections in them; the results given are left as they are."""
    last = {(each.student, each.assignment, each.question): each for each in corrections}
    answer: list[dict[str, Any]] = []
    for result in results:
        questions: list[dict[str, Any]] = []
        for question in result["questions"]:
            correction = last.get((result["student"], result["assignment"], question["name"]))
            if correction:
                before = (
                    "" if question["points"] is None else f" (Before: {question['points']:g}. {question['message']})"
                )
                given = {"points": correction.points, "message": correction.reason + before, "parts": []}
                question = question | given | {"waited": False}
            questions.append(question)
        seen_to = result["status"] == "stopped" and not any(question.get("waited") for question in questions)
        reason = "" if seen_to else result["reason"]
        answer.append({**result, "questions": questions, "reason": reason} | totals(questions))
    return answer


def correct(course: Path, results: Iterable[Mapping[str, Any]], wanted: Iterable[Correction]) -> int:
    """Add corrections to a course, all of them or, if one is wrong, none; those that change nothing are left out.

    Returns:
        The number added.

    Raises:
        InputError: there is no such student, assignment or question, or the points are out of range.
    """
    known = {
        (result["student"], result["assignment"], question["name"]): question
        for result in results
        for question in result["questions"]
    }
    before = {(each.student, each.assignment, each.question): each for each in read_corrections(course)}
    lines: list[str] = []
    for each in wanted:
        key = each.student, each.assignment, each.question
        if key not in known:
            raise InputError(f"nothing was graded of {', '.join(key)}; the names are those of report/questions.csv")
        if not 0 <= each.points <= known[key]["max_points"]:
            raise InputError(f"{', '.join(key)}: {each.points:g} is not between 0 and {known[key]['max_points']:g}")
        last = before.get(key)
        if last is None or (last.points, last.reason) != (each.points, each.reason):
            lines.append(json.dumps(each._asdict()) + "\n")
    with (course / FILE).open("a", encoding="utf-8") as file:
        file.writelines(lines)
    return len(lines)


def refuse_to_lose(table: Path, corrections: Iterable[Correction]) -> None:
    """Check that nothing typed into a table of :func:`read_by_hand`, which is about to be written anew, gets lost.

    Raises:
        InputError: it holds points that are not among the corrections.
    """
    known = {(each.student, each.assignment, each.question) for each in corrections}
    typed = read_by_hand(table) if table.is_file() else []
    lost = [each for each in typed if (each.student, each.assignment, each.question) not in known]
    if lost:
        raise InputError(
            f"{table} would be written anew, and {len(lost)} of the points in it do not count yet, the first those of "
            f"{lost[0].student}; give it with --by-hand {table}, or delete it"
        )


def now() -> str:
    """Date and time, UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def read_by_hand(table: Path) -> list[Correction]:
    """Points for answers in words from a CSV file: ``student, assignment, question, points``, perhaps ``comment``.

    Lines without points are passed over: not read yet.

    Raises:
        InputError: a column is missing, or points are not a number.
    """
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    found: list[Correction] = []
    for line, row in enumerate(rows, start=2):
        cells = {name: (row.get(name) or "").strip() for name in ("student", "assignment", "question", "comment")}
        if row.get("points") is None:
            raise InputError(f"{table}, line {line}: there is no column points")
        if not row["points"].strip():
            continue
        try:
            points = float(row["points"])
        except ValueError:
            raise InputError(f"{table}, line {line}: points is {row['points']!r}, not a number") from None
        comment = cells.pop("comment") or "Read by a person."
        student = as_it_was(cells["student"])
        found.append(Correction(now(), student, cells["assignment"], cells["question"], points, comment))
    return found
