"""Progress callbacks: the progress of long work, piece by piece."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]  # (what, done, total)


def tell_nobody(what: str, done: int, total: int) -> None:
    """Progress that nobody wants to see."""
