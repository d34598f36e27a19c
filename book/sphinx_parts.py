"""Sphinx extension: the ``$...$`` of docstrings becomes mathematics, and no page waits for a kernel elsewhere."""

from __future__ import annotations

import re
from typing import Any


def convert(text: str) -> str:
    r"""``$x_0$`` as reStructuredText says it: :math:`x_0`."""
    return re.sub(r"(?<![\w`$])\$([^$\n]+?)\$(?![\w`$])", r":math:`\1`", text)


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = convert("\n".join(lines)).split("\n")


def without_thebe(app: Any) -> None:
    """Jupyter Book always loads sphinx-thebe, whose scripts want the network and declare a constant twice."""
    for listeners in app.events.listeners.values():
        listeners[:] = [one for one in listeners if not one.handler.__module__.startswith("sphinx_thebe")]


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process)
    app.connect("builder-inited", without_thebe, priority=0)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
