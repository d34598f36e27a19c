"""Scores of guesses, and their calibration: does the reader know how much they know?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

NEAR = 0.7  # points from which on a guess is called near


def points(guess: float | str, actual: float | str, between: Sequence[float] | None = None) -> float:
    """Score a guess from 1 (right) down to 0, by the kind of its question.

    Args:
        guess: the guess.
        actual: the result.
        between: the range that the question offers, such as 0 to 1 for a share. A guess that is off by a quarter of it
            scores 0.

    Returns:
        1 or 0 for words. In a range, the distance counts. Other numbers may be of any size, so large ones are judged by
        the factor they are off by (ten or more scores 0) and small ones by the difference: the inverse hyperbolic sine
        is a logarithm for large numbers and straight near zero.
    """
    if isinstance(actual, str) or isinstance(guess, str):
        return float(guess == actual)
    if between:
        return max(0.0, 1 - 4 * abs(guess - actual) / (between[1] - between[0]))
    return max(0.0, 1 - abs(math.asinh(guess) - math.asinh(actual)) / math.log(10))


def verdict(scored: float) -> str:
    """Say in a word or two how good a score is."""
    if scored > 0.95:
        return "Right."
    return "Near." if scored > NEAR else "Off; worth a moment's thought why."


def calibration(compared: Iterable[dict[str, Any]]) -> list[str]:
    """Lines that set how sure the reader was beside how often they were near, and say to which side their numbers err.

    Args:
        compared: entries with ``guess``, ``actual``, ``points`` and perhaps ``sure``, a percentage. Late ones are left
            out.
    """
    fair = [entry for entry in compared if not entry.get("late")]
    lines: list[str] = []
    for sure in sorted({entry["sure"] for entry in fair if "sure" in entry}):
        alike = [entry["points"] > NEAR for entry in fair if entry.get("sure") == sure]
        share = 100 * sum(alike) / len(alike)
        lines.append(f"{sure:g}% sure: {sum(alike)} of {len(alike)} near ({share:.0f}%)")
    numbers = [entry for entry in fair if not isinstance(entry["guess"], str)]
    if numbers:
        high = sum(entry["guess"] > entry["actual"] for entry in numbers)
        low = sum(entry["guess"] < entry["actual"] for entry in numbers)
        lines.append(f"Of {len(numbers)} numbers, {high} were guessed too high and {low} too low.")
    return lines
