"""The table and the figure of a comparison of futures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

from ..settings import Preset
from .distribution_error import Branches
from .error_report import COLOURS, markdown_table

# Names of columns that are too wide for a table of 80 characters.
BREAKABLE = {
    "autoregressive-diffusion": "auto- regres- sive dif- fusion",
    "transformer": "trans- former",
    "recurrent": "recur- rent",
}


class FutureErrors(NamedTuple):
    """Distances of imagined futures from real ones; a list has one number for each of ``steps_ahead``.

    Attributes:
        spread: of the way that the hidden drift moved the mass, over the true spread; 1 is right.
        crps: of a coordinate of the position, metres.
        energy_distance: of the position, metres; 0 is right.
        path_energy_distance: of all positions together, metres; 0 is right.
        share_within: of the hidden drift's variance, within a trajectory: 0 for a constant, 1 for noise.
        branches: at a fork.
    """

    steps_ahead: list[int]
    spread: list[float]
    crps: list[float]
    energy_distance: list[float]
    path_energy_distance: float
    share_within: float
    branches: Branches | None

    def to_json(self) -> dict[str, Any]:
        """The same for JSON, which knows no NaN (nothing hidden has acted yet)."""
        spreads = [value if np.isfinite(value) else None for value in self.spread]
        return self._asdict() | {"spread": spreads, "branches": self.branches and self.branches._asdict()}


class Measured(NamedTuple):
    """The futures of one world model, with the training that it had; of the truth, which has no preset."""

    name: str
    preset: Preset | None
    updates: int
    training_seconds: float
    errors: FutureErrors


class FutureReport(NamedTuple):
    """A comparison of futures in one hidden world; the first result is the truth's own, drawn again."""

    world: str
    seed: int
    starts: int
    futures: int
    results: list[Measured]

    def header(self) -> list[str]:
        """Names of the table's columns."""
        errors = self.results[0].errors
        columns = ["", *(f"spread {h}" for h in errors.steps_ahead), "within", "CRPS", "energy", "path"]
        if errors.branches is not None:
            columns += ["one side", "up", "bang", "bang fits"]
        return [*columns, "updates", "minutes"]

    def rows(self) -> list[list[str]]:
        """Lines of the table: a model each."""
        lines: list[list[str]] = []
        for result in self.results:
            errors = result.errors
            line = [result.name, *(f"{value:.2f}" if np.isfinite(value) else "–" for value in errors.spread)]
            line += [f"{100 * errors.share_within:.1f}%", f"{errors.crps[-1]:.3f}"]
            line += [f"{errors.energy_distance[-1]:.3f}", f"{errors.path_energy_distance:.3f}"]
            line += [f"{100 * share:.0f}%" for share in errors.branches or ()]
            trained = result.preset is not None
            line += [f"{result.updates:,}", f"{result.training_seconds / 60:.1f}"] if trained else ["–", "–"]
            lines.append(line)
        return lines

    def title(self) -> str:
        """The world and the question."""
        return f"{self.world}: are the imagined futures spread as the real ones, and is each of them one future?"

    def legend(self) -> str:
        """The meaning of the table's columns."""
        furthest = self.results[0].errors.steps_ahead[-1]
        fork = (
            " one side: trajectories that drift to one and the same side in every step behind the fork; up: those that "
            "drift up; bang: those with one; bang fits: down with a bang or up without."
            if self.results[0].errors.branches is not None
            else ""
        )
        return (
            f"{self.futures} futures from each of {self.starts} first observations, imagined and real; truth: the real "
            "ones, drawn again. spread: of the hidden drift's way so many steps ahead, over the true spread. within: "
            "share of the drift's variance within a trajectory (0% for a constant, 100% for noise). CRPS of a "
            f"coordinate and energy distance of the position {furthest} steps ahead, and energy distance of the whole "
            f"path, in metres.{fork} minutes: of training, of the processor's time."
        )

    def table(self) -> Table:
        """The table for a terminal: a model in each column, so that it fits."""
        names = [row[0] for row in self.rows()]
        table = Table(box=None, padding=(0, 1, 0, 0))
        for name in ("", *names):
            table.add_column(BREAKABLE.get(name, name.replace("-", " ")), justify="right" if name else "left")
        for place, column in enumerate(self.header()):
            if place:
                table.add_row(column, *(row[place] for row in self.rows()))
        return table

    def markdown(self) -> str:
        """The table for a page."""
        return markdown_table(self.header(), self.rows(), self.legend())

    def to_json(self) -> dict[str, Any]:
        """The content of futures.json."""
        models = {
            result.name: {
                "settings": result.preset and result.preset.to_json(),
                "updates": result.updates,
                "training_seconds": round(result.training_seconds, 1),
                **result.errors.to_json(),
            }
            for result in self.results
        }
        about = {"world": self.world, "seed": self.seed, "starts": self.starts, "futures": self.futures}
        return about | {"models": models}

    def draw(self, path: Path) -> None:
        """Draw the spread by steps ahead, and beside it the share of the drift's variance within a trajectory."""
        figure = Figure(figsize=(11, 4.4), layout="constrained")
        by_steps, by_share = figure.subplots(1, 2, width_ratios=[3, 2])
        for place, result in enumerate(self.results):
            errors = result.errors
            colour = COLOURS.get(result.name.split(" ")[0], "grey")
            line = "--" if result.preset is None else "-"
            by_steps.plot(errors.steps_ahead, errors.spread, f"o{line}", color=colour, label=result.name, markersize=4)
            by_share.barh(place, 100 * errors.share_within, color=colour)
        by_steps.set(
            ylim=(0, None),
            xticks=self.results[0].errors.steps_ahead,
            xlabel="steps ahead",
            ylabel="spread of the hidden drift's way,\nover the true spread",
            title=f"{self.world}:\nare the futures spread as widely as the real ones?",
        )
        by_steps.legend(frameon=False, fontsize=9)
        by_share.set(
            yticks=range(len(self.results)),
            yticklabels=[result.name for result in self.results],
            xlabel="% of the drift's variance within a trajectory",
            title="and is each of them one future?",
        )
        by_share.invert_yaxis()
        for axes in (by_steps, by_share):
            axes.spines[["top", "right"]].set_visible(False)
        FigureCanvasAgg(figure).print_png(path)
