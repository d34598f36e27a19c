"""House style of the lessons' figures: sharp on any screen, whole steps on the axes, and words for whoever sees none.

A lesson calls :func:`house_style` once. From then on ``plt.show()`` does the rest: figures are white, so that they can
be read on a dark page as well, and drawn in double resolution. Films of ``mediapy.show_video`` are never wider than the
column that they stand in.
"""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib as mpl
from IPython.core.getipython import get_ipython
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import AutoLocator, MaxNLocator

# Colours that most colour-blind readers tell apart (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
SHARPNESS = 2  # pixels drawn for each pixel of the page
# How mediapy styles a film and the table around it, and what makes both as narrow as a narrow column.
FITTED = {
    'style="object-fit:cover;"': 'style="object-fit:cover; display:block; max-width:100%; height:auto;"',
    'style="border-spacing:0px;"': 'style="border-spacing:0px; width:100%; table-layout:fixed;"',
}
_COUNTED = re.compile(r"\b(steps?|visits?|updates?|seeds?|evaluations?|room|ahead)\b")


def house_style() -> None:
    """Draw all figures from here on in the course's style; in a notebook, show them sharp and with a description."""
    mpl.rc("axes", prop_cycle=cycler(color=COLOURS), **{"spines.top": False, "spines.right": False})
    mpl.rc("figure", facecolor="white")
    mpl.rc("legend", frameon=False)
    shell: Any = get_ipython()
    if shell:
        shell.run_line_magic("matplotlib", "inline")
        shell.display_formatter.formatters["image/png"].for_type(Figure, as_output)
        shell.display_formatter.formatters["text/html"].for_type(HTML, lambda shown: fitted(shown.data))


def as_output(figure: Figure) -> tuple[bytes, dict[str, int | str]]:
    """Draw a figure as PNG, with its width on the page and a description (``alt``) beside it."""
    for axes in figure.axes:
        count_in_whole_numbers(axes)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=SHARPNESS * figure.dpi, bbox_inches="tight")
    png = file.getvalue()
    width = int.from_bytes(png[16:20], "big")  # where PNG's header keeps it
    return png, {"width": round(width / SHARPNESS), "alt": described(figure)}


def fitted(html: str) -> str:
    """HTML in which films shrink with their column, as figures do; all else stays as it is."""
    if "<video" in html:
        for before, after in FITTED.items():
            html = html.replace(before, after)
    return html


def count_in_whole_numbers(axes: Axes) -> None:
    """Set whole numbers on an axis that counts: steps, visits, updates; ticks that the author chose stay."""
    for axis in (axes.xaxis, axes.yaxis):
        if _COUNTED.search(axis.get_label_text()) and isinstance(axis.get_major_locator(), AutoLocator):
            axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))


def described(figure: Figure) -> str:
    """Describe a figure by its own words: titles, what is drawn against what, and the names in its legends.

    The description that its author gave (``figure.set_label``) is taken instead, if there is one.
    """
    if figure.get_label():
        return str(figure.get_label())
    title = figure.get_suptitle()
    panels = list(dict.fromkeys(filter(None, map(_panel, figure.axes))))
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    parts = [title, *panels, ", ".join(legends)]
    return "; ".join(" ".join(part.split()) for part in parts if part) or "A picture without words"


def _panel(axes: Axes) -> str:
    x, y, title = axes.get_xlabel(), axes.get_ylabel(), axes.get_title()
    drawn = f"{y} against {x}" if x and y else y or (f"along {x}" if x else "")
    legend = axes.get_legend()
    names = ", ".join(text.get_text() for text in legend.get_texts()) if legend else ""
    return ": ".join(part for part in (title, drawn, names) if part)
