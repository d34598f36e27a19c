"""The package's own lines, folded beside the formula that they compute, as they are installed here."""

from __future__ import annotations

import inspect
import pkgutil
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from ..files.input_error import InputError

# JupyterLab would break long lines in the middle of a word.
_STYLE = "<style>.jp-Cell .package-source pre { white-space: pre; overflow-x: auto; }</style>"


class Source(NamedTuple):
    """Lines of the package, shown folded in a notebook.

    Attributes:
        name: of what they define, such as ``score_guidance.guide_actions``.
        place: file and lines, such as ``score_guidance.py, lines 10 to 20``.
        code: the lines.
    """

    name: str
    place: str
    code: str

    def __repr__(self) -> str:
        return f"# {self.place}\n{self.code}"

    def _repr_html_(self) -> str:
        """The lines as HTML; the book's pages put the lines of the day in the place of stored ones."""
        words = f"<summary><code>{escape(self.name)}</code> in {escape(self.place)}</summary>"
        code = highlight(self.code, PythonLexer(), HtmlFormatter())
        return f'<details class="package-source" data-name="{escape(self.name)}">{_STYLE}{words}{code}</details>'


def source(name: str) -> Source:
    """Find the lines of a function, method or class of the package.

    Args:
        name: without the package, such as ``"score_guidance.guide_actions"``.

    Raises:
        InputError: the package has nothing of that name that is written in lines.
    """
    try:
        found: Any = pkgutil.resolve_name(f"polygrad_edu.{name}")
        found = inspect.unwrap(getattr(found, "fget", found))  # the function of a property, or inside a decorator
        lines, first = inspect.getsourcelines(found)
        file = Path(inspect.getsourcefile(found) or "")
    except (ImportError, AttributeError, TypeError, ValueError, OSError):
        raise InputError(f"the package has no function or class {name!r}") from None
    return Source(name, f"{file.name}, lines {first} to {first + len(lines) - 1}", "".join(lines))
