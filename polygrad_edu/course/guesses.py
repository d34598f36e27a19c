"""Guesses: predictions of the reader, stored before an experiment, scored after it, summed up at the end.

A prediction that nobody writes down is remembered as right. These are stored as JSON beside the lessons.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

FILE = "my_guesses.json"
_NOT_YET = "Write your guess in place of the dots and run this cell again; then read on."


def _path() -> Path:
    return Path(os.environ.get("POLYGRAD_GUESSES", FILE))


def _read() -> dict[str, Any]:
    try:
        book = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or edited into something else: start a new one
        return {}
    return book if isinstance(book, dict) else {}


def _write(book: dict[str, Any]) -> None:
    partial = _path().with_name(_path().name + ".partial")
    partial.write_text(json.dumps(book, indent=2, sort_keys=True), encoding="utf-8")
    partial.replace(_path())


def predict(key: str, guess: Any = ..., choices: tuple[str, ...] = ()) -> None:
    """Store a guess before the experiment; print why if it is none.

    Args:
        key: name of the question, lesson first: ``"02/half"``.
        guess: a number, or one of ``choices``. The dots of an unanswered cell are not a guess.
        choices: the possible answers, if the question does not ask for a number.
    """
    if guess is ...:
        print(_NOT_YET + (f" The choices: {', '.join(choices)}." if choices else ""))
        return
    if choices and guess not in choices:
        print(f"{guess!r} is none of the choices: {', '.join(choices)}.")
        return
    if not choices and (isinstance(guess, bool) or not isinstance(guess, int | float) or not math.isfinite(guess)):
        print(f"This question asks for a number, not {guess!r}.")
        return
    book = _read()
    book[key] = {"guess": guess}
    _write(book)
    print(f"Noted: {guess}. Now see what happens.")


def reveal(key: str, actual: float | str) -> None:
    """Print the result of the experiment beside the stored guess, and store its points.

    Args:
        key: name of the question, as given to :func:`predict`.
        actual: the result.
    """
    shown = actual if isinstance(actual, str) else f"{actual:.3g}"
    book = _read()
    entry = book.get(key)
    if not isinstance(entry, dict) or "guess" not in entry:
        print(f"It is {shown}. (No guess of yours was noted; a few cells up is the place for it.)")
        return
    entry |= {"actual": actual, "points": points(entry["guess"], actual)}
    _write(book)
    print(f"You guessed {entry['guess']}; it is {shown}. {_verdict(entry['points'])}")


def points(guess: float | str, actual: float | str) -> float:
    """Score a guess from 1 (right) down to 0 (off by a factor of ten or more, or of the wrong sign)."""
    if isinstance(actual, str) or isinstance(guess, str):
        return float(guess == actual)
    if guess == actual:
        return 1.0
    if guess * actual <= 0:
        return 0.0
    return max(0.0, 1 - abs(math.log10(guess / actual)))


def _verdict(scored: float) -> str:
    if scored > 0.95:
        return "Right."
    return "Near." if scored > 0.7 else "Off; worth a moment's thought why."


def scorecard() -> None:
    """Print all guesses of the course beside the results, and the sum of their points."""
    book = {key: entry for key, entry in sorted(_read().items()) if isinstance(entry, dict) and "points" in entry}
    if not book:
        print("No guesses have been noted yet: each lesson asks for some with predict().")
        return
    for key, entry in book.items():
        actual = entry["actual"] if isinstance(entry["actual"], str) else f"{entry['actual']:.3g}"
        print(f"{key:<24} guessed {entry['guess']!s:<12} it was {actual:<12} {entry['points']:.2f}")
    total = sum(entry["points"] for entry in book.values())
    print(f"{'':<24} {total:.1f} points for {len(book)} guesses")
