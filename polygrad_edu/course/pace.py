"""How much a lesson computes: all of it, or less where a reader (or a test) is in a hurry."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")


def quick(full: T, small: T) -> T:
    """``full``, or ``small`` where the environment variable POLYGRAD_QUICK is set to anything but 0."""
    return small if os.environ.get("POLYGRAD_QUICK", "0") not in ("", "0") else full
