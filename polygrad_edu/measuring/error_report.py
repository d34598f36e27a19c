"""The table and the figure of a comparison of world models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, Protocol

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from rich.table import Table

from ..files.safe_files import write_json
from ..settings import Preset
from ..world_model_error import Errors, Interval, OnPolicyness

# Okabe and Ito's palette, which colour-blind readers can tell apart; PolyGRAD's models in blues and black
COLOURS = {
    "polygrad": "#0072B2",
    "polygrad-causal": "#000000",
    "polygrad-delayed": "#882255",
    "polygrad-transformer": "#56B4E9",
    "autoregressive-diffusion": "#D55E00",
    "mlp-ensemble": "#009E73",
    "transformer": "#CC79A7",
    "recurrent": "#E69F00",
}
MARKERS = dict(zip(COLOURS, "osD^vPX*", strict=True))

MODELS_ABREAST = 7  # in 80 columns
FEWEST = 1 / 25  # of the trajectories still run in the simulator where a median of theirs says something


class Compared(NamedTuple):
    """The errors of one world model, with the training that it had.

    Attributes:
        by_seed: the same for each training seed, if there are several; all else are then their means, and the
            intervals reach from the lowest to the highest.
    """

    name: str
    preset: Preset
    updates: int
    training_seconds: float
    errors: Errors
    by_seed: tuple[Compared, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Errors and the training before them, without the settings."""
        written = {
            "updates": self.updates,
            "training_seconds": round(self.training_seconds, 1),
            **self.errors.to_json(),
        }
        return written | ({"by_seed": [one.to_json() for one in self.by_seed]} if self.by_seed else {})


def over_seeds(results: Sequence[Compared]) -> Compared:
    """One world model's results for several training seeds as one: means, and intervals from lowest to highest."""
    if len(results) == 1:
        return results[0]
    every = [result.errors for result in results]

    def spans(name: str) -> list[Interval]:
        """Mean, lowest and highest of a measure, by the number of steps ahead."""
        at_each_step = zip(*(getattr(errors, name) for errors in every), strict=True)
        return [_span([interval.value for interval in seeds]) for seeds in at_each_step]

    errors = Errors(
        every[0].steps_ahead,
        [sum(at_step) for at_step in zip(*(e.trajectories for e in every), strict=True)],
        spans("observation"),
        spans("reward"),
        spans("termination"),
        OnPolicyness(*np.mean([e.on_policyness for e in every], axis=0).tolist()),
        fmean(e.seconds_per_1000 for e in every),
    )
    return results[0]._replace(
        updates=round(fmean(result.updates for result in results)),
        training_seconds=fmean(result.training_seconds for result in results),
        errors=errors,
        by_seed=tuple(results),
    )


def _span(values: Sequence[float]) -> Interval:
    """The mean of ``values``, with the lowest and the highest of them."""
    return Interval(fmean(values), min(values), max(values))


class Report(NamedTuple):
    """A comparison of world models on one task.

    Attributes:
        trained_on: the data, in words.
    """

    env_id: str
    trained_on: str
    seed: int
    results: list[Compared]

    def rows(self) -> list[list[str]]:
        """Lines of the table: a name and a cell for each world model, with the interval in brackets."""
        errors = [result.errors for result in self.results]
        furthest = self.furthest_running()
        columns = [
            [shown(interval) if enough else "–" for interval, enough in zip(e.observation, _enough_run(e), strict=True)]
            for e in errors
        ]
        return [
            *([f"{h} ahead", *cells] for h, *cells in zip(errors[0].steps_ahead, *columns, strict=True)),
            ["reward", *(shown(e.reward[furthest]) for e in errors)],
            ["end", *(f"{100 * e.termination[-1].value:.0f}%" for e in errors)],
            ["mean a", *(f"{e.on_policyness.mean:.2f}" for e in errors)],
            ["std a", *(f"{e.on_policyness.std:.2f}" for e in errors)],
            ["KS a", *(f"{e.on_policyness.ks_distance:.3f}" for e in errors)],
            ["seconds", *(f"{e.seconds_per_1000:.2g}" for e in errors)],
            ["minutes", *(f"{result.training_seconds / 60:.1f}" for result in self.results)],
        ]

    def furthest_running(self) -> int:
        """Place, among the steps ahead, of the furthest at which enough trajectories of every model still run."""
        enough = np.all([_enough_run(result.errors) for result in self.results], axis=0)
        return int(np.flatnonzero(enough)[-1]) if enough.any() else 0

    def title(self) -> str:
        """The task and the quantity."""
        return f"{self.env_id}: median squared error of imagined observations (1 is their variance)"

    def legend(self) -> str:
        """The meaning of the table's lines."""
        steps = self.results[0].errors.steps_ahead
        seeds = len(self.results[-1].by_seed)
        brackets = f"the lowest and the highest of {seeds} training seeds" if seeds else "95% bootstrap intervals"
        return (
            f"Trained on {self.trained_on}. In brackets {brackets}; – where fewer than one trajectory in "
            f"{1 / FEWEST:.0f} still runs in the simulator. reward: its squared error in units of its variance, "
            f"{steps[self.furthest_running()]} steps ahead; end: share of trajectories of which model and simulator "
            f"disagree on whether the episode is over, {steps[-1]} steps ahead. a: the actions in units of the policy "
            "(on-policy: mean 0, std 1, and a Kolmogorov-Smirnov distance KS to N(0, 1) of 0). seconds: to imagine "
            "1,000 trajectories. minutes: of training."
        )

    def tables(self) -> list[Table]:
        """The table for a terminal, at most 80 columns wide: in parts, if there are too many models for one."""
        n_parts = math.ceil(len(self.results) / MODELS_ABREAST)
        size = math.ceil(len(self.results) / n_parts)
        return [self._table(first, first + size) for first in range(0, len(self.results), size)]

    def _table(self, first: int, end: int) -> Table:
        table = Table(box=None, padding=(0, 1, 0, 0))
        for name in ("", *(result.name for result in self.results[first:end])):
            breakable = name.replace("-", " ").replace("transformer", "trans- former").replace("autor", "auto- r")
            table.add_column(breakable.replace("regressive", "regres- sive"), justify="right" if name else "left")
        for name, *cells in self.rows():
            # the interval below its value, in a line for each end
            shown_cells = (cell.replace(" (", "\n").replace("–", "–\n").rstrip(")") for cell in cells[first:end])
            table.add_row(name, *shown_cells)
        return table

    def markdown(self) -> str:
        """The table for a page."""
        names = [result.name for result in self.results]
        return markdown_table(["", *names], self.rows(), self.legend())

    def to_json(self) -> dict[str, Any]:
        """The content of error.json."""
        models = {result.name: {"settings": result.preset.to_json(), **result.to_json()} for result in self.results}
        return {"env_id": self.env_id, "trained_on": self.trained_on, "seed": self.seed, "models": models}

    def draw(self, path: Path) -> None:
        """Draw the error by steps ahead, and beside it the time that each model takes."""
        figure = Figure(figsize=(11, 5.2), layout="constrained")
        by_steps, by_cost = figure.subplots(1, 2, width_ratios=[3, 2])
        steps = self.results[0].errors.steps_ahead
        running = steps[: self.furthest_running() + 1]
        measured = [h for h in running if all(np.isfinite(result.errors.at(h).value) for result in self.results)]
        reference = max((h for h in measured if h <= 10), default=steps[0])
        for result in self.results:
            colour, marker = COLOURS.get(result.name, "black"), MARKERS.get(result.name, "o")
            errors = result.errors
            values, low, high = np.where(_enough_run(errors), np.array(errors.observation).T, np.nan)
            by_steps.plot(steps, values, marker=marker, color=colour, label=result.name, markersize=5)
            by_steps.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
            at = errors.at(reference)
            by_cost.plot(errors.seconds_per_1000, at.value, marker, color=colour, markersize=9)
            by_cost.vlines(errors.seconds_per_1000, at.low, at.high, color=colour)
        by_steps.set(
            xscale="log",
            yscale="log",
            xticks=steps,
            xticklabels=steps,
            xlabel="steps ahead",
            ylabel="squared error of the imagined state\n(1 = the data's variance; lower is better)",
            title=f"{self.env_id}: how far imagination drifts from the simulator",
        )
        by_steps.minorticks_off()
        figure.legend(*by_steps.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=4)
        by_cost.set(
            xscale="log",
            yscale="log",
            xlabel="seconds to imagine 1,000 trajectories",
            ylabel=f"the same error {reference} step{'s' * (reference > 1)} ahead",
            title="and what that costs: best is bottom left",
        )
        by_cost.margins(0.2)
        for axis in (by_cost.xaxis, by_cost.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        for axes in (by_steps, by_cost):
            axes.spines[["top", "right"]].set_visible(False)
        FigureCanvasAgg(figure).print_png(path)


def _enough_run(errors: Errors) -> np.ndarray:
    """Mark the numbers of steps ahead at which enough trajectories still run in the simulator: [K] of bool."""
    counts = np.array(errors.trajectories)
    return counts >= max(1, FEWEST * counts[0])


def shown(interval: Interval) -> str:
    """An interval as text, for example ``0.012 (.010–.014)``, with two significant digits."""
    value, low, high = (f"{number:.2g}" for number in interval)
    return f"{value} ({low.removeprefix('0')}–{high.removeprefix('0')})"


def markdown_table(header: list[str], rows: list[list[str]], legend: str) -> str:
    """A table for a page, with its legend below."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{legend}\n"


class Written(Protocol):
    """A report that can be written."""

    def to_json(self) -> dict[str, Any]: ...
    def markdown(self) -> str: ...
    def draw(self, path: Path) -> None: ...


def write_report(report: Written, directory: Path, name: str) -> None:
    """Write a report's ``name``.json, .md and .png."""
    write_json(directory / f"{name}.json", report.to_json())
    (directory / f"{name}.md").write_text(report.markdown(), encoding="utf-8")
    report.draw(directory / f"{name}.png")
