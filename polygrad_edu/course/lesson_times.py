"""Times of lessons: the computing that a lesson's header promises, beside what it took.

A header says, in the line of its minutes, ``15 seconds of it computing`` or ``one minute of it computing``: how long
the lesson's cells take from the first to the last, at full length, on two CPU cores with nothing else to do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import nbformat

FACTOR = 1.5  # a header may be off by this, either way
FORGIVEN = 30.0  # seconds; where header and clock both stay below, nobody waits
ALL_LESSONS = 12 * 60.0  # seconds that all lessons together may take

_WORDS = {"one": 1, "two": 2, "three": 3, "half a": 0.5}
_PROMISE = re.compile(r"(half a|[\w.]+)\s+(second|minute)s?\s+of\s+it\s+computing")


def promised_seconds(notebook: nbformat.NotebookNode) -> float | None:
    """Read the seconds of computing from the header, a notebook's first cell.

    Returns:
        None for a notebook whose first cell promises nothing, such as an assignment.

    Raises:
        ValueError: a number in words that is not known here.
    """
    found = _PROMISE.search(notebook.cells[0].source) if notebook.cells else None
    if found is None:
        return None
    number, unit = found.groups()
    return float(_WORDS.get(number) or number) * (60 if unit == "minute" else 1)


def is_off(promised: float, measured: float) -> bool:
    """Decide whether a header misleads; both times in seconds."""
    shorter, longer = sorted((promised, measured))
    return longer > FORGIVEN and longer > FACTOR * shorter


def complaint(times: Mapping[str, tuple[float, float]], all_of_them: bool) -> str:
    """Say in one line what is wrong with the times of lessons; nothing if all is well.

    Args:
        times: promised and measured seconds of each lesson, by its name.
        all_of_them: these are all lessons, so that their sum counts too.
    """
    wrong = [
        f"{name} took {measured:.0f} s and its header says {promised:.0f}"
        for name, (promised, measured) in times.items()
        if is_off(promised, measured)
    ]
    together = sum(measured for _, measured in times.values())
    if all_of_them and together > ALL_LESSONS:
        wrong.append(f"all together took {together:.0f} s and may take {ALL_LESSONS:.0f}")
    return "; ".join(wrong)
