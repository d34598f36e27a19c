"""Checks of the exercises: each says in words what is wrong with an answer, and never what would be right.

A check is a function of the answer that raises ``AssertionError`` with a sentence for the student. The checks of lesson
N are in ``lesson_NN.py``, those of assignment N in ``assignment_N.py``; :func:`verdict` and :func:`require` find them
by the exercise's name, ``"02/signal"`` or ``"a1/signal"``.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from types import FunctionType
from typing import Any

from torch import Tensor


def find(exercise: str) -> Callable[..., None]:
    """Find the check of an exercise.

    Raises:
        KeyError: there is no such exercise.
    """
    where, _, name = exercise.partition("/")
    module = f"assignment_{where[1:]}" if where.startswith("a") else f"lesson_{where}"
    try:
        return getattr(importlib.import_module(f"{__name__}.{module}"), f"check_{name}")
    except (ImportError, AttributeError):
        raise KeyError(f"there is no exercise {exercise!r}") from None


def verdict(exercise: str, *answer: Any, **options: Any) -> str:
    """Judge an answer: ``Right.``, or ``Not yet:`` with the property that broke and the input."""
    examine = find(exercise)
    try:
        examine(*answer, **options)
    except AssertionError as wrong:
        return f"Not yet: {wrong}"
    except Exception as error:  # the student's own code, which may fail in any way
        return f"Not yet: your code stopped with {type(error).__name__}: {error}{_line_of(error, answer)}"
    return "Right."


def _line_of(error: Exception, answer: tuple[Any, ...]) -> str:
    """Say at which of the answer's lines an error arose; empty if that is not known."""
    files = {inspect.unwrap(a).__code__.co_filename for a in answer if isinstance(a, FunctionType)}
    lines = [step for step in traceback.extract_tb(error.__traceback__) if step.filename in files and step.line]
    return f" (in line {lines[-1].lineno}: {lines[-1].line})" if lines else ""


def fault(exercise: str, *answer: Any, seed: int = 0) -> str:
    """Sentence about the property that broke, and where it is explained; empty if the answer is right.

    Args:
        exercise: ``"a1/signal"`` for the function ``signal`` of assignment 1.
        answer: the student's answer.
        seed: of the inputs that the answer is tried on.
    """
    found = verdict(exercise, *answer, seed=seed)
    if found == "Right.":
        return ""
    examine = find(exercise)
    lesson = getattr(sys.modules[examine.__module__], "LESSONS", {}).get(examine.__name__.removeprefix("check_"))
    return f"{found} (It is explained in {lesson}.)" if lesson else found


def require(exercise: str, *answer: Any, seed: int = 0) -> None:
    """Print ``Right.``, or raise the :func:`fault`, so that a grader gives the cell no points.

    Raises:
        AssertionError: the answer is not right; the message names the property that broke, and the input.
    """
    found = fault(exercise, *(_plain(a) if isinstance(a, FunctionType) else a for a in answer), seed=seed)
    if found:
        raise AssertionError(found)
    print("Right.")


def _plain(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``answer`` to refuse results of the student's own tensor class, whose comparisons cannot be trusted."""

    @functools.wraps(answer)
    def asked(*arguments: Any, **options: Any) -> Any:
        value = answer(*arguments, **options)
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, Tensor) and not type(part).__module__.startswith("torch"):
                raise AssertionError(f"return an ordinary torch tensor, not a {type(part).__name__}.")
        return value

    return asked


def given(value: Any, what: str) -> Any:
    """Return ``value``, or say that ``what`` has not been written yet."""
    if value is None or value is ...:
        raise AssertionError(f"{what} is empty so far; write it, then run this cell again.")
    return value
