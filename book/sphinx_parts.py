"""Sphinx extension: mathematics in docstrings, questions that hide answers, code in view, pictures for links.

A bibliography can be heard as a list, and no page waits for a kernel elsewhere.
"""

from __future__ import annotations

import html
import re
from typing import Any

from docutils import nodes
from sphinx import addnodes

from polygrad_edu.course.guess_widget import SCRIPT, STYLE
from polygrad_edu.course.source_view import source

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


def with_questions(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give a page that asks for guesses what hides their answers and opens them."""
    if "guess-place" in context.get("body", ""):
        context["metatags"] = context.get("metatags", "") + f"<style>\n{STYLE}</style>\n"
        app.add_js_file(None, body=f"{SCRIPT}\nbringToLife();", type="module")


def with_lines_of_today(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Put the package's lines as they are now in the place of those that a lesson was stored with."""
    stored = r'<details class="package-source" data-name="([^"]+)">.*?</details>'
    if "package-source" in context.get("body", ""):
        context["body"] = re.sub(stored, lambda found: source(found[1])._repr_html_(), context["body"], flags=re.S)


def with_code_pages(app: Any, doctree: Any, page: str) -> None:
    """Lead a link to a file of the package to the page that shows it, where there is one; else it is downloaded."""
    for link in list(doctree.findall(addnodes.download_reference)):
        found = re.fullmatch(r"(?:\.\./)*(polygrad_edu/.+?)(?:/__init__)?\.py", link.get("reftarget", ""))
        if found and getattr(app.env, "_viewcode_modules", {}).get(found[1].replace("/", ".")):
            address = app.builder.get_relative_uri(page, f"_modules/{found[1]}")
            link.replace_self(nodes.reference("", "", *link.children, internal=True, refuri=address))


def with_list_items(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Tell screen readers that a bibliography's entries are items of a list; Sphinx gives them a role no list holds."""
    context["body"] = context.get("body", "").replace('role="doc-biblioentry"', 'role="listitem"')


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
    app.connect("html-page-context", with_questions)
    app.connect("html-page-context", with_lines_of_today)
    app.connect("html-page-context", with_list_items)
    app.connect("doctree-resolved", with_code_pages)
    app.connect("html-page-context", add_open_graph)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
