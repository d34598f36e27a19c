"""Tables for spreadsheets and platforms, in which no cell is a formula, whatever students call themselves."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with these a spreadsheet begins to compute


def write_table(path: Path, rows: Iterable[Iterable[str]]) -> None:
    """Write a CSV file; a cell that begins like a formula gets an apostrophe before it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([no_formula(cell) for cell in row] for row in rows)


def no_formula(text: str) -> str:
    """Text that no spreadsheet evaluates."""
    return f"'{text}" if text.startswith(FORMULA) else text


def as_it_was(text: str) -> str:
    """Text of a cell as it was before :func:`no_formula`."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA) else text
