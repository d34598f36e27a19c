"""Pace of a lesson: full computations, or smaller ones for a reader (or a test) in a hurry."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")


def quick(full: T, small: T) -> T:
    """Choose ``small`` if the environment variable POLYGRAD_QUICK is set to anything but 0, else ``full``."""
    return small if os.environ.get("POLYGRAD_QUICK", "0") not in ("", "0") else full
