"""Similar answers: submissions compared by their syntax trees, as a list to look at. It proves nothing by itself."""

from __future__ import annotations

import ast
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .tables import write_table

PUBLISHED = "(the published solution)"
LENGTH = 8  # nodes of the syntax tree that are compared together
MIN_PIECES = 40  # shorter answers are alike by themselves


class Pair(NamedTuple):
    """Two answers to one question that are built alike, whatever their names and comments are."""

    assignment: str
    question: str
    first: str
    second: str
    share: float  # of the pieces of both that both have, 0 to 1


def pieces(source: str) -> frozenset[tuple[str, ...]]:
    """Runs of nodes of a cell's syntax tree, without names, texts and comments."""
    try:
        nodes = list(_in_order(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    kinds = [type(node).__name__ for node in nodes if not isinstance(node, ast.expr_context)]
    return frozenset(tuple(kinds[at : at + LENGTH]) for at in range(len(kinds) - LENGTH + 1))


def _in_order(tree: ast.AST) -> Iterable[ast.AST]:
    """Nodes in the order of the text."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        yield from _in_order(child)


def similar_pairs(course: Path, at_least: float = 0.8) -> list[Pair]:
    """Pairs of answers in ``graded/`` that are alike, the most similar first; the published solution is one, too."""
    answers: dict[tuple[str, str], dict[str, frozenset[tuple[str, ...]]]] = {}
    for path in sorted(course.glob("graded/*/*/*.ipynb")):
        _collect(path, _student_of(path), answers)
    for assignment in {assignment for assignment, _ in answers}:
        _collect(course / "source" / assignment / f"{assignment}.ipynb", PUBLISHED, answers)
    found: list[Pair] = []
    for (assignment, question), by_student in answers.items():
        long = {student: parts for student, parts in by_student.items() if len(parts) >= MIN_PIECES}
        for (first, ours), (second, theirs) in itertools.combinations(long.items(), 2):
            share = len(ours & theirs) / len(ours | theirs)
            if share >= at_least:
                found.append(Pair(assignment, question, first, second, share))
    return sorted(found, key=lambda pair: -pair.share)


def _student_of(path: Path) -> str:
    """Student of a graded notebook."""
    result = path.parent / "result.json"
    return json.loads(result.read_text(encoding="utf-8"))["student"] if result.is_file() else path.parent.parent.name


def _collect(path: Path, student: str, answers: dict[tuple[str, str], dict[str, frozenset[tuple[str, ...]]]]) -> None:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        marks = cell["metadata"]["nbgrader"]
        if cell["cell_type"] == "code" and marks["solution"] and not marks["grade_id"].startswith("own_"):
            source = "".join(cell["source"])
            answers.setdefault((path.stem, marks["grade_id"]), {})[student] = pieces(source)


def write_similar(pairs: Iterable[Pair], path: Path) -> None:
    """Write the pairs as a table."""
    write_table(path, [Pair._fields, *([*pair[:-1], f"{pair.share:.2f}"] for pair in pairs)])
