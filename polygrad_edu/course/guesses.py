"""Guesses: kept as JSON beside the lessons, compared with what happened, summed up at the end.

A prediction that nobody writes down is remembered as right. The first guess counts; one that comes after the answer was
seen is late, and scores nothing.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from .scoring import calibration, points, verdict

FILE = "my_guesses.json"


def _path() -> Path:
    return Path(os.environ.get("POLYGRAD_GUESSES", FILE))


def read_all() -> dict[str, dict[str, Any]]:
    """Read what is noted, by question."""
    try:
        book = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or edited into something else: start a new one
        return {}
    return {key: entry for key, entry in book.items() if isinstance(entry, dict)} if isinstance(book, dict) else {}


def _change(key: str, **news: Any) -> dict[str, Any]:
    """Add to what is noted about a question and return all of that."""
    book = read_all()
    entry = book.setdefault(key, {})
    entry |= news
    partial = _path().with_name(_path().name + ".partial")
    partial.write_text(json.dumps(book, indent=2, sort_keys=True), encoding="utf-8")
    partial.replace(_path())
    return entry


def noted(key: str) -> dict[str, Any]:
    """Read what is noted about a question: its ``guess``, how ``sure``, whether the answer was ``seen`` without one."""
    return read_all().get(key, {})


def settled(key: str) -> bool:
    """True if the question was guessed at or given up, so that its answer may be shown."""
    entry = noted(key)
    return "guess" in entry or bool(entry.get("seen"))


def said_of(key: str) -> str:
    """Say how a question was settled; empty if it waits."""
    entry = noted(key)
    if "guess" in entry:
        return f"Your first guess counts: {readable(entry['guess'])}."
    return "No guess: the answer is open." if entry.get("seen") else ""


def objection(
    guess: Any, choices: tuple[str, ...] = (), between: tuple[float, float] | None = None, sure: Any = None
) -> str | None:
    """Say what is wrong with a guess, in a sentence; None if nothing is."""
    if choices and guess not in choices:
        return f"{guess!r} is none of the choices: {', '.join(choices)}."
    if not choices and not _is_number(guess):
        return f"This question asks for a number, not {guess!r}."
    if between and not between[0] <= guess <= between[1]:
        return f"This question asks for a number from {between[0]:g} to {between[1]:g}, not {guess:g}."
    if sure is not None and not (_is_number(sure) and 0 <= sure <= 100):
        return f"sure is a percentage, 0 to 100, not {sure!r}."
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def readable(value: float | str) -> str:
    """Write a guess or a result with three digits, or all those before the decimal point."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def lock(key: str, guess: float | str, between: tuple[float, float] | None = None, sure: float | None = None) -> str:
    """Note a guess, unless there is one: the first counts.

    Args:
        key: name of the question.
        guess: one to which :func:`objection` has none.
        between: the range that the question offers, by which the guess will be judged.
        sure: how sure the reader is, in percent.

    Returns:
        A sentence that says what was noted.
    """
    entry = noted(key)
    if "guess" in entry:
        return said_of(key)
    news: dict[str, Any] = {"guess": guess}
    if between:
        news["between"] = list(between)
    if sure is not None:
        news["sure"] = sure
    if entry.get("seen"):
        _change(key, **news, late=True)
        return f"Noted: {readable(guess)}. The answer was there already, so it counts as late and scores nothing."
    _change(key, **news)
    return f"Noted: {readable(guess)}. Now see what happens."


def give_up(key: str) -> str:
    """Note that the answer was seen without a guess; return a sentence that says so."""
    if not settled(key):
        _change(key, seen=True)
    return said_of(key)


def compare(key: str, actual: float | str) -> str:
    """Note the result of an experiment and the guess's points; return a line that tells both."""
    entry = noted(key)
    if "guess" not in entry:
        _change(key, seen=True)
        return f"It is {readable(actual)}. (No guess of yours was noted; a few cells up is the place for it.)"
    scored = 0.0 if entry.get("late") else points(entry["guess"], actual, entry.get("between"))
    _change(key, actual=actual, points=scored)
    words = "It came late, and scores nothing." if entry.get("late") else verdict(scored)
    return f"You guessed {readable(entry['guess'])}; it is {readable(actual)}. {words}"


def scorecard() -> None:
    """Print all guesses of the course beside the results, their points, and how well the reader knows what is known."""
    book = read_all()
    compared = {key: entry for key, entry in sorted(book.items()) if "points" in entry}
    if not compared:
        print("No guesses have been compared yet: each lesson asks for some with predict().")
        return
    for key, entry in compared.items():
        guess, actual = readable(entry["guess"]), readable(entry["actual"])
        scored = "late" if entry.get("late") else f"{entry['points']:.2f}"
        print(f"{key:<24} guessed {guess:<12} it was {actual:<12} {scored}")
    total = sum(entry["points"] for entry in compared.values())
    print(f"{'':<24} {total:.1f} points for {len(compared)} guesses")
    given_up = sum(bool(entry.get("seen")) and "guess" not in entry for entry in book.values())
    if given_up:
        print(f"{'':<24} {given_up} answers seen without a guess")
    for line in calibration(list(compared.values())):
        print(line)
