"""What students hand in: found in whatever folders a platform makes, read with suspicion, put into the source."""

from __future__ import annotations

import ast
import copy
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

LARGEST = 10 * 2**20  # bytes of a notebook; those of the course have less than one million
LONGEST = 100_000  # characters of an answer cell


class Submission(NamedTuple):
    """One notebook of one student, not read yet."""

    student: str
    assignment: str
    path: Path


class UnreadableError(ValueError):
    """A submission that is no notebook; the message says why, for the student."""


def find_submissions(
    folder: Path, assignments: Iterable[str], only: str | None = None
) -> tuple[list[Submission], list[Path]]:
    """Everything handed in under ``folder``, by student and assignment, and the files that could not be placed.

    Understood are nbgrader's ``STUDENT/ASSIGNMENT/*.ipynb``, one notebook for each student (``STUDENT.ipynb``), and the
    folders of learning platforms: ``NAME_12345_assignsubmission_file/x.ipynb`` (Moodle, a folder for each student) and
    ``name_12345_67890_a1_noise_schedule.ipynb`` (Canvas). A notebook's assignment is told by its path or, if that does
    not name one, by its cells. The newest of several wins.

    Args:
        only: the assignment they all belong to, where neither path nor cells can say.
    """
    names = list(assignments)
    found: dict[tuple[str, str], Submission] = {}
    unplaced: list[Path] = []
    for path in sorted(folder.rglob("*.ipynb"), key=lambda path: (path.lstat().st_mtime, path)):
        inside = path.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts):  # checkpoints, and what systems leave behind
            continue
        assignment = only or next((name for name in names if name in str(inside)), None) or _by_cells(path, names)
        if assignment is None:
            unplaced.append(path)
            continue
        student = _student_of(inside.parts[0] if len(inside.parts) > 1 else inside.stem, assignment)
        found[student, assignment] = Submission(student, assignment, path)
    return [found[key] for key in sorted(found)], unplaced


def _student_of(name: str, assignment: str) -> str:
    """The student in the name of a file or folder, less the assignment and what a platform puts behind it."""
    return re.sub(r"_assignsubmission_file.*$", "", name.replace(assignment, "")).strip("_-. ") or name


def _by_cells(path: Path, names: list[str]) -> str | None:
    """The assignment whose number the test cells speak of, ``require("a1/...``."""
    try:
        text = "\n".join(cell["source"] for cell in read_cells(path))
    except UnreadableError:
        return None
    numbers = set(re.findall(r'require\("(a\d)/', text))
    return next((name for name in names if {name.split("_")[0]} == numbers), None)


def unpack(archive: Path, folder: Path) -> None:
    """Take the notebooks out of a platform's .zip, those in it included, and nothing else.

    Raises:
        ValueError: it is not a zip file.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            for member in zipped.infolist():
                parts = [part for part in PurePosixPath(member.filename).parts if part not in ("/", "..")]
                kind = PurePosixPath(member.filename).suffix
                if member.is_dir() or member.file_size > 10 * LARGEST or kind not in (".ipynb", ".zip"):
                    continue
                target = folder.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with zipped.open(member) as content:
                    target.write_bytes(content.read(LARGEST * 10))
                if kind == ".zip":
                    unpack(target, target.with_suffix(""))
                    target.unlink()
    except zipfile.BadZipFile:
        raise ValueError(f"{archive} is not a zip file") from None


def read_cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a submitted notebook, each with ``cell_type``, ``source`` as one text, and ``metadata``.

    Raises:
        UnreadableError: it is not a notebook; with the reason.
    """
    if path.is_symlink() or not path.is_file():
        raise UnreadableError("it is not a file of its own but a link")
    size = path.stat().st_size
    if size == 0:
        raise UnreadableError("the file is empty")
    if size > LARGEST:
        raise UnreadableError(f"the file has {size / 2**20:.0f} MiB; clear the outputs and hand it in again")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise UnreadableError(f"the file is not a notebook: it cannot be read as JSON ({error})") from None
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        raise UnreadableError("the file is not a notebook: it has no list of cells")
    return [_tidy(cell) for cell in cells if isinstance(cell, dict)]


def _tidy(cell: dict[str, Any]) -> dict[str, Any]:
    source = cell.get("source", "")
    source = "".join(str(line) for line in source) if isinstance(source, list) else str(source)
    metadata = cell.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = marks.get("grade_id") if isinstance(marks, dict) else None
    return {"cell_type": cell.get("cell_type"), "source": source[:LONGEST], "grade_id": name, "metadata": metadata}


def take_answers(source: dict[str, Any], cells: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """The source notebook with the student's answers in its answer cells, and what there is to say about it.

    Whatever else was submitted stays outside: locked cells and tests are the source's own.
    """
    merged, notes = copy.deepcopy(source), []
    submitted: dict[str, list[str]] = {}
    for cell in cells:
        submitted.setdefault(str(cell["grade_id"]), []).append(cell["source"])
    for cell in merged["cells"]:
        marks = cell["metadata"]["nbgrader"]
        name = marks["grade_id"]
        if not marks["solution"]:
            continue
        answers = submitted.get(name, []) or list(_by_function(name, cells))
        if not answers:
            notes.append(f"Your answer cell {name} is missing; nothing stands in its place.")
        elif name not in submitted:
            notes.append(f"Your answer {name} had lost its mark; the first cell that defines it was taken.")
        elif len(answers) > 1:
            notes.append(f"There are {len(answers)} cells named {name}; the first was taken.")
        cell["source"] = answers[0] if answers else ""
    return merged, notes


def _by_function(name: str, cells: list[dict[str, Any]]) -> Iterator[str]:
    """Cells that define a function or class of this name, for notebooks whose marks a platform has thrown away."""
    for cell in cells:
        if cell["cell_type"] != "code" or not re.search(rf"^(def|class) {re.escape(name)}\b", cell["source"], re.M):
            continue
        try:
            body = ast.parse(cell["source"]).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if any(getattr(node, "name", None) == name for node in body):
            yield cell["source"]
