"""Progress callbacks: the progress of a measurement, piece by piece."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]  # (what, done, total)
