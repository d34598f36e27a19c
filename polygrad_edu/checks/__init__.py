"""Checks of the exercises: each says in words what is wrong with an answer, and never what would be right.

A check is a function of the answer that raises ``AssertionError`` with a sentence for the student. The checks of lesson
N are in ``lesson_NN.py``, those of assignment N in ``assignment_N.py``; :func:`judge` finds them by the exercise's
name, ``"02/signal"`` or ``"a1/signal"``. An assignment's check tells which properties hold, and what each is worth
(:mod:`.parts`).
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

from .arguments import guarded
from .parts import Judgement, declared, trial_of


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


def judge(exercise: str, *answer: Any, **options: Any) -> Judgement:
    """Judge an answer: which of the properties that its check asks for hold, and what is wrong, in sentences."""
    examine = find(exercise)

    def tell(error: Exception) -> str:
        if isinstance(error, AssertionError):
            return f"Not yet: {error}"
        # the student's own code, which may fail in any way
        return f"Not yet: your code stopped with {type(error).__name__}: {error}{_line_of(error, answer)}"

    properties = declared(examine)
    name = exercise.partition("/")[2]
    tried = [guarded(each, name) for each in answer] if properties else answer
    end = ""
    with trial_of(properties, tell) as trial:
        try:
            examine(*tried, **options)
        except Exception as error:
            end = tell(error)
    return trial.judgement(end)


def verdict(exercise: str, *answer: Any, **options: Any) -> str:
    """Judge an answer: ``Right.``, or ``Not yet:`` with the property that broke and the input."""
    return judge(exercise, *answer, **options).message or "Right."


def _line_of(error: Exception, answer: tuple[Any, ...]) -> str:
    """Say at which of the answer's lines an error arose; empty if that is not known."""
    files = {inspect.unwrap(a).__code__.co_filename for a in answer if isinstance(a, FunctionType)}
    lines = [step for step in traceback.extract_tb(error.__traceback__) if step.filename in files and step.line]
    return f" (in line {lines[-1].lineno}: {lines[-1].line})" if lines else ""


def nothing(exercise: str, message: str) -> Judgement:
    """Judgement on an answer that could not be tried at all."""
    with trial_of(declared(find(exercise)), str) as trial:
        return trial.judgement(message)


def explained(exercise: str, *answer: Any, seed: int = 0) -> Judgement:
    """Judgement on an answer whose message ends with the place where it is explained.

    Args:
        exercise: ``"a1/signal"`` for the function ``signal`` of assignment 1.
        answer: the student's answer.
        seed: of the inputs that the answer is tried on.
    """
    found = judge(exercise, *answer, seed=seed)
    examine = find(exercise)
    lesson = getattr(sys.modules[examine.__module__], "LESSONS", {}).get(examine.__name__.removeprefix("check_"))
    if not found.message or not lesson:
        return found
    return found._replace(message=f"{found.message} (It is explained in {lesson}.)")


def require(exercise: str, *answer: Any, seed: int = 0) -> None:
    """Print ``Right.``, or raise all that is wrong, so that a grader gives the cell no points: all or nothing.

    Raises:
        AssertionError: the answer is not right; the message names the property that broke, and the input.
    """
    found = _judged_here(exercise, answer, seed).all_or_nothing()
    if found.message:
        raise AssertionError(found.message)
    print("Right.")


def credit(exercise: str, *answer: Any, seed: int = 0) -> Judgement:
    """Print ``Right.``, or all that is wrong and the properties that hold; return the judgement.

    Raises:
        AssertionError: none of the properties holds.
    """
    found = _judged_here(exercise, answer, seed)
    if not found.share:
        raise AssertionError(found.message)
    print(found.message or "Right.")
    if found.message:
        for row in found.table(of=100):
            print(f"{row['points']:3.0f} of {row['max_points']:3.0f} %: {row['words']}")
    return found


def _judged_here(exercise: str, answer: tuple[Any, ...], seed: int) -> Judgement:
    """Judgement on an answer that lives in this process."""
    return explained(exercise, *(_plain(a) if isinstance(a, FunctionType) else a for a in answer), seed=seed)


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
