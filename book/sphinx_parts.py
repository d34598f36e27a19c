"""Sphinx extension: mathematics in docstrings, no page that waits for a kernel elsewhere, and pictures for links."""

from __future__ import annotations

import html
import re
from typing import Any

PICTURE = "link_picture.png"  # in book/vendor, which is copied beside the pages


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


def open_graph(title: str, address: str, page: str) -> str:
    """Tags by which a link to a page is shown with its title and a picture (Open Graph).

    Args:
        address: of the published book, ending in a slash; such tags need whole addresses.
        page: name of the page's file.
    """
    parts = {
        "og:type": "article",
        "og:title": title,
        "og:url": address + page,
        "og:image": address + PICTURE,
        "og:image:alt": "Ten hoppers side by side: out of random poses the steps of one motion appear",
    }
    return "".join(f'<meta property="{name}" content="{html.escape(text)}" />\n' for name, text in parts.items())


def add_open_graph(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Add the tags to a page of a book whose address is known."""
    if app.config.html_baseurl and context.get("title"):
        title = re.sub("<[^>]*>", "", context["title"])
        tags = open_graph(html.unescape(title), app.config.html_baseurl, f"{page}.html")
        context["metatags"] = context.get("metatags", "") + tags


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process)
    app.connect("builder-inited", without_thebe, priority=0)
    app.connect("html-page-context", add_open_graph)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
