"""Sphinx extension: the ``$...$`` of docstrings becomes mathematics, and no page waits for a kernel elsewhere."""

from __future__ import annotations

import re
from typing import Any


def convert(text: str) -> str:
    r"""Turn ``$x_0$`` into reStructuredText: :math:`x_0`."""
    return re.sub(r"(?<![\w`$])\$([^$\n]+?)\$(?![\w`$])", r":math:`\1`", text)


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Convert a docstring that autodoc has just read."""
    if lines and lines[0].startswith("Alias for field number"):  # Python's own words about a named tuple's field
        lines.clear()
    lines[:] = convert("\n".join(lines)).split("\n")


def without_thebe(app: Any) -> None:
    """Switch off sphinx-thebe: Jupyter Book loads it always, but it needs the network and declares a constant twice."""
    for listeners in app.events.listeners.values():
        listeners[:] = [one for one in listeners if not one.handler.__module__.startswith("sphinx_thebe")]


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process)
    app.connect("builder-inited", without_thebe, priority=0)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
