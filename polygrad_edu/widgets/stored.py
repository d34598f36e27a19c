"""Widgets in stored lessons, brought up to date without running the lessons.

A stored lesson holds its widgets' scripts beside their numbers. After a change of scripts alone:
``python -m polygrad_edu.widgets.stored notebooks/0*.ipynb``. Where the numbers change as well, the lesson has to
be run again (:mod:`..course.store_lessons`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat

from .. import widgets
from .base import HOLDS


def renew(path: Path) -> int:
    """Put the scripts of today into the stored widgets of the notebook at ``path``.

    Returns:
        The number of widgets that were not up to date; the file is written only if there is one.
    """
    notebook = nbformat.read(path, as_version=4)
    stale = 0
    for cell in notebook.cells:
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            page = data.get("text/html", "")
            if HOLDS in page:
                data["text/html"] = kind_of(data).renewed(page)
                stale += data["text/html"] != page
    if stale:
        path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    return stale


def kind_of(data: dict[str, Any]) -> type[widgets.LessonWidget]:
    """Class of a stored widget, which its plain text names: ``<SchedulePlayground>``."""
    return getattr(widgets, data["text/plain"].strip("<>"))


def main() -> None:
    """Bring the notebooks named on the command line up to date, or all lessons."""
    for path in [Path(name) for name in sys.argv[1:]] or sorted(Path("notebooks").glob("*.ipynb")):
        print(f"{path}: {renew(path)} renewed", flush=True)


if __name__ == "__main__":
    main()
