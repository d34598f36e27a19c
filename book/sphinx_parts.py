"""Sphinx extension: docstrings' mathematics, questions that hide their answers, and no kernel that a page waits for."""

from __future__ import annotations

import re
from typing import Any

from polygrad_edu.course.guess_widget import SCRIPT, STYLE


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


def with_questions(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give a page that asks for guesses what hides their answers and opens them."""
    if "guess-place" in context.get("body", ""):
        context["metatags"] = context.get("metatags", "") + f"<style>\n{STYLE}</style>\n"
        app.add_js_file(None, body=f"{SCRIPT}\nbringToLife();", type="module")


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process)
    app.connect("builder-inited", without_thebe, priority=0)
    app.connect("html-page-context", with_questions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
