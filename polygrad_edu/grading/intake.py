"""Intake: find the submissions in what a platform hands over, and say whose each is; nothing is dropped in silence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .archives import LeftOut
from .names import Named, readable
from .roster import Roster
from .submissions import UnreadableError, read_cells

NOTEBOOKS = (".ipynb", ".ipynb.txt", ".ipynb.json")
IGNORED = ("Thumbs.db", "desktop.ini", "submission_metadata.yml")


class Submission(NamedTuple):
    """One student's notebook for one assignment, not read yet."""

    student: str
    assignment: str
    path: Path
    late: bool = False


def find_submissions(
    folder: Path, assignments: Iterable[str], only: str | None = None, roster: Roster | None = None
) -> tuple[list[Submission], list[LeftOut]]:
    """Find every notebook under ``folder``, and say whose it is and for which assignment.

    It understands nbgrader's ``STUDENT/ASSIGNMENT/*.ipynb``, one notebook per student (``STUDENT.ipynb``), and what
    Moodle (``NAME_12345_assignsubmission_file/x.ipynb``), Canvas (``name_12345_67890_x.ipynb``) and Gradescope
    (``submission_123/x.ipynb`` with ``submission_metadata.yml``) export, also inside a further folder. The assignment
    is read from the path or, if that does not name one, from the cells. Of several notebooks of a student for one
    assignment the newest is taken.

    Args:
        folder: the folder to search.
        assignments: names of the course's assignments.
        only: the assignment they all belong to, for notebooks whose path and cells do not say.
        roster: gives the students their names.

    Returns:
        The submissions by student and assignment, and every other file with the reason why it is left out.
    """
    names = list(assignments)
    left_out: list[LeftOut] = []
    top = _without_wrapping(folder, names)
    people = _gradescope_names(top)
    placed: list[tuple[Named, Submission]] = []
    for path in sorted(folder.rglob("*"), key=lambda path: (path.lstat().st_mtime, str(path))):
        inside = path.relative_to(top) if path.is_relative_to(top) else path.relative_to(folder)
        if path.name in IGNORED or any(part.startswith((".", "__MACOSX")) for part in inside.parts):
            continue  # checkpoints, and files that systems leave behind
        told = readable(inside.as_posix())
        if path.is_symlink() and path.is_dir():
            left_out.append(LeftOut(told, "it is a link to a folder"))
        if path.is_dir():
            continue
        if not path.name.lower().endswith(NOTEBOOKS):
            left_out.append(LeftOut(told, "it is not a notebook (.ipynb)"))
            continue
        assignment = only or next((name for name in names if name in str(inside)), None)
        assignment = assignment or assignment_by_cells(path, names)
        if assignment is None:
            left_out.append(LeftOut(told, "it says nowhere which assignment it is; use --assignment NAME"))
            continue
        first = inside.parts[0] if len(inside.parts) > 1 else re.sub(r"(?i)\.ipynb(\.txt|\.json)?$", "", path.name)
        named = Named(people.get(first, first), assignment)
        student = (roster.student(named) if roster else None) or named.student
        placed.append((named, Submission(student, assignment, path, named.late)))
    return _newest(_told_apart(placed), top, left_out), left_out


def _told_apart(placed: list[tuple[Named, Submission]]) -> list[Submission]:
    """Submissions in which two students of one name, whom a platform tells apart by numbers, have two names."""
    numbers: dict[tuple[str, str], set[str]] = {}
    for named, submission in placed:
        numbers.setdefault((submission.student, submission.assignment), set()).add(named.user or named.work)
    found: list[Submission] = []
    for named, submission in placed:
        same = {number for number in numbers[submission.student, submission.assignment] if number}
        if len(same) > 1 and not named.user:
            submission = submission._replace(student=f"{submission.student} ({named.work})")
        found.append(submission)
    return found


def _newest(found: list[Submission], top: Path, left_out: list[LeftOut]) -> list[Submission]:
    """The last of each student's submissions for each assignment; the others are told as left out."""
    chosen: dict[tuple[str, str], Submission] = {}
    for submission in found:  # in the order of their dates
        before = chosen.get((submission.student, submission.assignment))
        if before:
            newer = readable(submission.path.name)
            path = readable(before.path.relative_to(top).as_posix())
            left_out.append(LeftOut(path, f"{newer}, also {submission.student}'s, is newer"))
        chosen[submission.student, submission.assignment] = submission
    return [chosen[key] for key in sorted(chosen)]


def _without_wrapping(folder: Path, names: list[str]) -> Path:
    """The folder that holds the students, where an archive wraps it in others."""
    while True:
        entries = [path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX"))]
        if len(entries) != 1 or not entries[0].is_dir() or entries[0].is_symlink():
            return folder
        inner = [path for path in entries[0].iterdir() if not path.name.startswith(".")]
        folders = [path.name for path in inner if path.is_dir()]
        files = [path for path in inner if path.name.lower().endswith(NOTEBOOKS)]
        students = {Named(path.stem, next((n for n in names if n in path.name), "")).student for path in files}
        if any(name in names for name in folders) or (not folders and len(students) < 2):
            return folder  # the one folder is a student's own
        folder = entries[0]


def _gradescope_names(folder: Path) -> dict[str, str]:
    """Names of the people behind ``submission_123`` in an export of Gradescope."""
    path = folder / "submission_metadata.yml"
    if not path.is_file():
        return {}
    people: dict[str, str] = {}
    current = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if re.match(r"submission_\d+:", line):
            current = line.rstrip(": ")
        name = re.match(r"\s*-?\s*:name:\s*(.+)$", line)
        if name and current:
            people.setdefault(current, name[1].strip("\"' "))
    return people


def assignment_by_cells(path: Path, names: list[str]) -> str | None:
    """Assignment whose number the test cells use, as in ``credit("a1/...``."""
    try:
        text = "\n".join(cell["source"] for cell in read_cells(path))
    except UnreadableError:
        return None
    numbers = set(re.findall(r'(?:credit|require)\("(a\d)/', text))
    return next((name for name in names if {name.split("_")[0]} == numbers), None)
