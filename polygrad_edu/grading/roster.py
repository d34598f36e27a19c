"""Roster of a course: every student under one name, whatever a platform calls them in its files."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from ..files.input_error import InputError
from .names import Named, plain

FILE = "roster.csv"  # in the course's folder
# columns that hold a name, in the order of preference; those of a person's numbers and addresses
WHOLE_NAMES = ("student", "name", "full name")
HALF_NAMES = (("first name", "last name"), ("first name", "surname"))
OTHERS = ("id", "sis user id", "sis login id", "username", "id number", "email", "email address", "sid")


class Roster:
    """Students of a course.

    Attributes:
        rows: of the table, by the student's name, as they are in the file.
    """

    def __init__(self, rows: list[dict[str, str]], where: str):
        lower = [{(key or "").strip().lower(): (value or "").strip() for key, value in row.items()} for row in rows]
        names = [_name(row) for row in lower]
        if not any(names):
            raise InputError(f"{where} has no column student or name, nor first name and last name")
        twice = {name for name, count in Counter(names).items() if count > 1}
        self.rows: dict[str, dict[str, str]] = {}
        self._known: dict[str, str | None] = {}
        for row, low, name in zip(rows, lower, names, strict=True):
            if not name or plain(name) in ("student", "pointspossible", "studenttest"):  # lines of Canvas's own
                continue
            number = next((low[column] for column in OTHERS if low.get(column)), "")
            student = f"{name} ({number})" if name in twice and number else name
            if student in self.rows:
                raise InputError(f"{where} has two students called {student} and nothing to tell them apart")
            self.rows[student] = row
            for key in _keys(low, name):
                known = self._known.setdefault(key, student)
                if known != student:
                    self._known[key] = None  # two students could be meant

    def student(self, named: Named) -> str | None:
        """The student's name on the roster; ``None`` if there is none, or if two could be meant."""
        for key in (named.user, plain(named.student), plain(named.student.rsplit("_", 1)[0])):
            if key and self._known.get(key):
                return self._known[key]
        return None


def _name(row: dict[str, str]) -> str:
    for column in WHOLE_NAMES:
        if row.get(column):
            return row[column]
    for first, last in HALF_NAMES:
        if row.get(last):
            return f"{row.get(first, '')} {row[last]}".strip()
    return ""


def _keys(row: dict[str, str], name: str) -> list[str]:
    """All that a platform may call a student: names in either order, numbers, addresses."""
    words = name.replace(",", " ").split()
    keys = [plain(name), plain("".join([*words[1:], words[0]])), plain("".join([words[-1], *words[:-1]]))]
    for column in OTHERS:
        value = row.get(column, "")
        keys += [plain(value), plain(value.split("@")[0])]
    return [key for key in keys if key]


def read_roster(path: Path) -> Roster:
    """Read a table of students: any CSV with names, also a gradebook exported from Canvas or Moodle.

    Raises:
        InputError: it is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table of students: {error}") from None
    return Roster([{key: value for key, value in row.items() if isinstance(value, str)} for row in rows], str(path))


def keep_roster(path: Path, course: Path) -> Roster:
    """Read a roster and keep a copy of it in the course."""
    roster = read_roster(path)
    if path.resolve() != (course / FILE).resolve():
        shutil.copyfile(path, course / FILE)
    return roster


def known_roster(course: Path) -> Roster | None:
    """The roster that was kept in the course, if any."""
    return read_roster(course / FILE) if (course / FILE).is_file() else None
