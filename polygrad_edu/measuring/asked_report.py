"""The table and the figure of futures that were asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

from ..settings import Preset
from .distribution_error import Branches
from .error_report import COLOURS, markdown_table
from .future_report import BREAKABLE

PATHS_DRAWN = 8


class AnswerErrors(NamedTuple):
    """Distances of answers from what was asked.

    Attributes:
        miss: median distance of the end from the one asked for in metres, or of the return that the path earns.
        share_within: of the hidden part's variance, within a trajectory: 0 for one future, 1 for a new one each step.
        sides: at a fork.
    """

    miss: float
    share_within: float
    sides: Branches | None


class Asked(NamedTuple):
    """The answers of one world model to one kind of question, with the training that it had.

    Attributes:
        asked: ``end`` or ``return``.
        way: ``conditioned`` or ``shooting``.
        candidates: imagined for each question, of which the nearest was kept.
        milliseconds: for each question, of the processor's time.
        paths: [S, M, H, 2] the places of the answers.
    """

    name: str
    asked: str
    way: str
    candidates: int
    milliseconds: float
    preset: Preset
    updates: int
    training_seconds: float
    errors: AnswerErrors
    paths: np.ndarray


class AskedReport(NamedTuple):
    """Answers of several world models in one hidden world.

    Attributes:
        paths: [S, M, H, 2] real futures, whose ends or returns were asked for.
    """

    world: str
    seed: int
    paths: np.ndarray
    results: list[Asked]

    def header(self) -> list[str]:
        """Names of the table's columns."""
        columns = ["asked", "model", "way", "tries", "miss", "within"]
        if self.results[0].errors.sides is not None:
            columns += ["one side", "bang fits"]
        return [*columns, "ms"]

    def rows(self) -> list[list[str]]:
        """Lines of the table: the answers of a model to a kind of question each."""
        return [
            [
                result.asked,
                result.name,
                result.way,
                str(result.candidates),
                f"{result.errors.miss:.3f}",
                f"{100 * result.errors.share_within:.1f}%",
                *_shares(result.errors.sides),
                f"{result.milliseconds:.2f}",
            ]
            for result in sorted(self.results, key=lambda result: result.asked)
        ]

    def title(self) -> str:
        """The world and the question."""
        return f"{self.world}: who finds the way to what was asked for?"

    def legend(self) -> str:
        """The meaning of the table's columns."""
        starts, each = self.paths.shape[:2]
        fork = (
            " one side: answers that drift to one and the same side in every step behind the fork; bang fits: down "
            "with a bang or up without."
            if self.results[0].errors.sides is not None
            else ""
        )
        return (
            f"{each} real futures from each of {starts} first observations gave the ends and the returns. conditioned: "
            "asked for directly; shooting: the nearest of so many tries, as many as can be imagined in the time that "
            "polygrad takes when it is conditioned. miss: median distance of the end in metres, or of the return "
            "that the path earns. within: share of the hidden part's variance within a trajectory (0%: one future, "
            f"100%: a new one in each step).{fork} ms: for each question, of the processor's time."
        )

    def table(self) -> Table:
        """The table for a terminal."""
        table = Table(box=None, padding=(0, 1, 0, 0))
        for column in self.header():
            table.add_column(column, justify="left" if column in ("asked", "model", "way") else "right")
        for asked, name, *others in self.rows():
            table.add_row(asked, BREAKABLE.get(name, name.replace("-", " ")), *others)
        return table

    def markdown(self) -> str:
        """The table for a page."""
        return markdown_table(self.header(), self.rows(), self.legend())

    def to_json(self) -> dict[str, Any]:
        """The content of asked.json."""
        answers = [
            {
                "model": result.name,
                "asked": result.asked,
                "way": result.way,
                "candidates": result.candidates,
                "milliseconds": round(result.milliseconds, 3),
                "updates": result.updates,
                "training_seconds": round(result.training_seconds, 1),
                "settings": result.preset.to_json(),
                **result.errors._asdict(),
                "sides": result.errors.sides and result.errors.sides._asdict(),
            }
            for result in self.results
        ]
        starts, each = self.paths.shape[:2]
        return {"world": self.world, "seed": self.seed, "starts": starts, "each": each, "answers": answers}

    def draw(self, path: Path) -> None:
        """Draw, for each model, some answers from one first observation, with rings around what was asked for."""
        asked = self.results[0].asked
        shown = [result for result in self.results if result.asked == asked]
        columns = min(4, len(shown))
        rows = -(-len(shown) // columns)
        figure = Figure(figsize=(3.1 * columns, 3.1 * rows), layout="constrained")
        grid = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
        for axes, result in zip(grid, shown, strict=False):
            self._draw_answers(axes, result)
        for axes in grid[len(shown) :]:
            axes.axis("off")
        figure.suptitle(f"{self.world}: {PATHS_DRAWN} answers from one place; rings: the {asked}s asked for")
        FigureCanvasAgg(figure).print_png(path)

    def _draw_answers(self, axes: Axes, result: Asked) -> None:
        colours = [f"C{number}" for number in range(PATHS_DRAWN)]
        for colour, real, found in zip(colours, self.paths[0], result.paths[0], strict=False):
            axes.plot(*found.T, ".-", color=colour, linewidth=1, markersize=3)
            axes.plot(*real[-1], "o", color=colour, markersize=9, markerfacecolor="none")
        axes.plot(*self.paths[0, 0, 0], "ks", markersize=5)
        axes.set_title(f"{result.name}\n{result.way}", color=COLOURS.get(result.name, "black"), fontsize=9)
        axes.set_aspect("equal")
        axes.spines[["top", "right"]].set_visible(False)


def _shares(sides: Branches | None) -> list[str]:
    return [] if sides is None else [f"{100 * share:.0f}%" for share in (sides.one_side, sides.bang_fits)]
