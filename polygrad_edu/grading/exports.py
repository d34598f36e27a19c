"""Exports: grades in the forms that Canvas, Moodle and Gradescope import."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .names import file_name
from .roster import Roster
from .tables import write_table

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MOODLE = ("First name", "Surname", "Last name", "ID number", "Username", "Email address")
Results = Iterable[Mapping[str, Any]]


def write_platform(results: Results, roster: Roster | None, columns: tuple[str, ...], path: Path) -> None:
    """Write a gradebook for a platform: the roster's columns that it knows people by, and one for each assignment.

    An assignment's column has the name that it has in the roster, where that is a gradebook of the platform:
    ``a1_noise_schedule (1234)``.
    """
    points = {(result["student"], result["assignment"]): result["points"] for result in results}
    assignments = sorted({assignment for _, assignment in points})
    rows = roster.rows if roster else {student: {columns[0]: student} for student, _ in sorted(points)}
    there = next(iter(rows.values()), {})
    who = [column for column in columns if column in there] or [columns[0]]
    titles = {name: next((column for column in there if column.startswith(name)), name) for name in assignments}
    table = [[*who, *titles.values()]]
    for student, row in rows.items():
        grades = [f"{points[student, name]:g}" if (student, name) in points else "" for name in assignments]
        table.append([*(row.get(column, student) for column in who), *grades])
    write_table(path, table)


def gradescope(result: Mapping[str, Any]) -> dict[str, Any]:
    """Content of ``results.json``, as Gradescope's autograders write it, of one submission."""
    tests = [
        {
            "name": question["name"],
            "score": question["points"] or 0.0,
            "max_score": question["max_points"],
            "output": "\n".join([question["message"], *_parts(question)]),
        }
        for question in result["questions"]
    ]
    return {
        "score": result["points"],
        "output": "\n".join([result["reason"], *result["notes"]]).strip(),
        "tests": tests,
    }


def _parts(question: Mapping[str, Any]) -> list[str]:
    """Properties of a question, each with its points, in a line."""
    return [f"{row['points']:g} of {row['max_points']:g}: {row['words']}" for row in question.get("parts", ())]


def write_gradescope(results: Results, folder: Path) -> None:
    """Write ``ASSIGNMENT/STUDENT.json`` for each submission."""
    for result in results:
        path = folder / result["assignment"] / f"{file_name(result['student'])}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(gradescope(result), indent=1), encoding="utf-8")
