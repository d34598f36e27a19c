"""Test cells of an assignment: read, never run.

A cell asks for the judgement on one question. ``credit`` gives points for the properties that hold, and its last line
says how many there are; ``require`` is all or nothing.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..files.input_error import InputError


class Call(NamedTuple):
    """One call of ``credit`` or ``require`` in a test cell."""

    exercise: str
    answers: list[str]
    seed: int
    in_parts: bool  # True for ``credit``


def required_calls(test: str) -> list[Call]:
    """Calls of ``credit`` and ``require`` in a test cell, in order."""
    calls = [node for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Call)]
    calls.sort(key=lambda call: call.lineno)
    found: list[Call] = []
    for call in calls:
        if not isinstance(call.func, ast.Name) or call.func.id not in ("credit", "require"):
            continue
        exercise, *answers = call.args
        seed = next((ast.literal_eval(word.value) for word in call.keywords if word.arg == "seed"), 0)
        names = [ast.unparse(answer) for answer in answers]
        found.append(Call(ast.literal_eval(exercise), names, seed, call.func.id == "credit"))
    return found


def check_tests(sources: Mapping[str, Path]) -> None:
    """Check that every test can be graded, and gives the same points wherever it is run.

    Raises:
        InputError: a test asks nothing, mixes questions, or says other points than its metadata.
    """
    for path in sources.values():
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            marks = cell["metadata"]["nbgrader"]
            if marks["grade"] and not marks["solution"]:
                fault = _fault("".join(cell["source"]), marks["points"])
                if fault:
                    raise InputError(f"{path}, cell {marks['grade_id']}: {fault}")


def _fault(test: str, points: float) -> str:
    """Reason why a test cannot be graded; empty if it can."""
    try:
        calls = required_calls(test)
    except (SyntaxError, ValueError) as error:
        return f"a test holds nothing but calls of credit or require ({error})"
    if not calls:
        return "it calls neither credit nor require"
    if len({(call.exercise, call.in_parts) for call in calls}) > 1:
        return "all calls of a test are for one question, and all credit or all require"
    told = _told_points(test)
    if calls[0].in_parts and told != points:
        return f"its metadata gives {points:g} points; end it with held.points(of={points:g})"
    return ""


def _told_points(test: str) -> Any:
    """Number in the last line of a test with credit, ``held.points(of=NUMBER)``."""
    last = ast.parse(test).body[-1]
    if not isinstance(last, ast.Expr) or not isinstance(last.value, ast.Call):
        return None
    words = {word.arg: word.value for word in last.value.keywords}
    return ast.literal_eval(words["of"]) if "of" in words else None
