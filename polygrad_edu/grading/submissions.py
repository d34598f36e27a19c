"""Submissions: read with suspicion, and their answers put into the source notebook."""

from __future__ import annotations

import ast
import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..files.input_error import InputError
from .names import encodable

MAX_NOTEBOOK_BYTES = 10 * 2**20  # those of the course have less than one million
MAX_CELL_CHARACTERS = 100_000


class UnreadableError(InputError):
    """Submission that cannot be read as a notebook; the message tells the student why."""


def read_cells(path: Path) -> list[dict[str, Any]]:
    """Read the cells of a submitted notebook: ``cell_type``, ``source`` as one text, ``grade_id``, ``metadata``.

    Raises:
        UnreadableError: it is not a notebook; the message says why.
    """
    if path.is_symlink() or not path.is_file():
        raise UnreadableError("it is not a file of its own but a link")
    size = path.stat().st_size
    if size == 0:
        raise UnreadableError("the file is empty")
    if size > MAX_NOTEBOOK_BYTES:
        raise UnreadableError(f"the file has {size / 2**20:.0f} MiB; clear the outputs and hand it in again")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise UnreadableError(f"the file is not a notebook: it cannot be read as JSON ({error})") from None
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        raise UnreadableError("the file is not a notebook: it has no list of cells")
    return [_tidy(cell) for cell in cells if isinstance(cell, dict)]


def _tidy(cell: dict[str, Any]) -> dict[str, Any]:
    """Cell in a known form, for any types of its parts."""
    source = cell.get("source", "")
    source = "".join(str(line) for line in source) if isinstance(source, list) else str(source)
    metadata = cell.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return {
        "cell_type": cell.get("cell_type"),
        "source": encodable(source[:MAX_CELL_CHARACTERS]),
        "grade_id": marks.get("grade_id") if isinstance(marks, dict) else None,
        "metadata": metadata,
    }


def take_answers(source: dict[str, Any], cells: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Put a student's answers into the answer cells of the source notebook.

    Cells of the student's own are taken, too, if an answer uses a name that they define; each stands before the answer
    that it was written before. Everything else is left out: locked cells and tests are the source's own.

    Returns:
        The merged notebook, and notes for the student about missing, duplicate and own cells.
    """
    merged = copy.deepcopy(source)
    notes: list[str] = []
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
        if cell["cell_type"] == "code":
            cell["source"] = without_magics(cell["source"])
    _add_own_cells(merged, cells, notes)
    return merged, notes


def without_magics(source: str) -> str:
    """Cell source with its notebook commands (``%matplotlib inline``, ``!pip``) replaced by empty lines."""
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.split("\n"))


def _add_own_cells(merged: dict[str, Any], cells: list[dict[str, Any]], notes: list[str]) -> None:
    """Put the student's own cells that answers rest on into ``merged``, and say so in ``notes``."""
    answers = [cell for cell in merged["cells"] if cell["cell_type"] == "code" and _marks(cell)["solution"]]
    known = {_marks(cell)["grade_id"] for cell in merged["cells"]}
    taken = {cell["source"] for cell in answers}
    needed = set[str]().union(*(_names(cell["source"])[1] for cell in answers))
    own: list[tuple[int, str]] = []
    for place in reversed(range(len(cells))):
        text = without_magics(cells[place]["source"])
        if cells[place]["cell_type"] != "code" or cells[place]["grade_id"] in known or text in taken:
            continue
        defined, used = _names(text)
        if defined & needed:
            needed |= used
            own.insert(0, (place, text))
    order = [cell["grade_id"] for cell in cells]
    for number, (place, text) in enumerate(own, start=1):
        marks = {"grade_id": f"own_{number}", "solution": True, "grade": False, "locked": False}
        follows = next((name for name in order[place:] if name in {_marks(cell)["grade_id"] for cell in answers}), None)
        target = next(
            (at for at, cell in enumerate(merged["cells"]) if _marks(cell)["grade_id"] == follows),
            next(at for at, cell in enumerate(merged["cells"]) if _marks(cell)["solution"]),
        )
        made = {"cell_type": "code", "source": text, "metadata": {"nbgrader": marks}, "outputs": []}
        merged["cells"].insert(target, made | {"execution_count": None, "id": f"own-{number}"})
    if own:
        notes.append(f"Of your own cells {len(own)} were run, because your answers use what they define.")


def _marks(cell: dict[str, Any]) -> dict[str, Any]:
    return cell["metadata"]["nbgrader"]


def _names(source: str) -> tuple[set[str], set[str]]:
    """Names that a cell defines at its top level, and all names that it uses."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(), set()
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    defined: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        else:
            stored = [name for name in ast.walk(node) if isinstance(name, ast.Name)]
            defined |= {name.id for name in stored if isinstance(name.ctx, ast.Store)}
    return defined, used


def _by_function(name: str, cells: list[dict[str, Any]]) -> Iterator[str]:
    """Cells that define a function or class of this name, for notebooks whose metadata a platform has removed."""
    for cell in cells:
        if cell["cell_type"] != "code" or not re.search(rf"^(def|class) {re.escape(name)}\b", cell["source"], re.M):
            continue
        try:
            body = ast.parse(cell["source"]).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if any(getattr(node, "name", None) == name for node in body):
            yield cell["source"]
