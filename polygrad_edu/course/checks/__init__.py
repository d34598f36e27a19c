"""Checks of the exercises: each says in words what is wrong with an answer, and never what would be right.

A check is a function of the answer that raises ``AssertionError`` with a sentence for the student. Those of lesson
N stand in ``lesson_NN.py``; :func:`verdict` finds them by the exercise's name, ``"02/signal"``.
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
    lesson, _, name = exercise.partition("/")
    try:
        return getattr(importlib.import_module(f"{__name__}.lesson_{lesson}"), f"check_{name}")
    except (ImportError, AttributeError):
        raise KeyError(f"there is no exercise {exercise!r}") from None


def verdict(exercise: str, *answer: Any) -> str:
    """``Right.``, or ``Not yet:`` and which property broke, on which input."""
    examine = find(exercise)
    try:
        examine(*answer)
    except AssertionError as wrong:
        return f"Not yet: {wrong}"
    except Exception as error:  # the student's own code, which may fail in any way
        return f"Not yet: your code stopped with {type(error).__name__}: {error}"
    return "Right."


def check(exercise: str, *answer: Any) -> None:
    """Print the :func:`verdict` on an answer."""
    print(verdict(exercise, *answer))


def given(value: Any, what: str) -> Any:
    """``value``, unless the student has not written it yet."""
    if value is None or value is ...:
        raise AssertionError(f"{what} is empty so far; write it, then run this cell again.")
    return value
