"""Checks of the exercises: each says in words what is wrong with an answer, and never what would be right.

A check is a function of the answer that raises ``AssertionError`` with a sentence for the student. Those of lesson
N stand in ``lesson_NN.py``, those of assignment N in ``assignment_N.py``; :func:`verdict` and :func:`require` find them
by the exercise's name, ``"02/signal"`` or ``"a1/signal"``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def find(exercise: str) -> Callable[..., None]:
    """The check of an exercise.

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
    """``Right.``, or ``Not yet:`` and which property broke, on which input."""
    examine = find(exercise)
    try:
        examine(*answer, **options)
    except AssertionError as wrong:
        return f"Not yet: {wrong}"
    except Exception as error:  # the student's own code, which may fail in any way
        return f"Not yet: your code stopped with {type(error).__name__}: {error}"
    return "Right."


def check(exercise: str, *answer: Any) -> None:
    """Print the :func:`verdict` on an answer."""
    print(verdict(exercise, *answer))


def require(exercise: str, *answer: Any, seed: int = 0) -> None:
    """Print ``Right.``, or stop with the verdict, so that a grader takes the cell's points away.

    Args:
        exercise: ``"a1/signal"`` for the function ``signal`` of assignment 1.
        answer: what the student wrote.
        seed: of the inputs that the answer is tried on. The tests that a student does not see use another.

    Raises:
        AssertionError: the answer is not right; the message says which property broke, on which input.
    """
    told = verdict(exercise, *answer, seed=seed)
    if told != "Right.":
        where, _, name = exercise.partition("/")
        lessons = importlib.import_module(f"{__name__}.assignment_{where[1:]}").LESSONS
        raise AssertionError(f"{told} (It is explained in {lessons[name]}.)")
    print(told)


def given(value: Any, what: str) -> Any:
    """``value``, unless the student has not written it yet."""
    if value is None or value is ...:
        raise AssertionError(f"{what} is empty so far; write it, then run this cell again.")
    return value
