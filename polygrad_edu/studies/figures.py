"""The figures of a study's report: learning curves with bands, scores with intervals, performance profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..tasks.published_curves import published_curves
from .statistics import learning_curve, performance_profile
from .trials import Trial

# Okabe and Ito's palette, which colour-blind readers can tell apart
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def draw_curves(trials: list[Trial], path: Path) -> None:
    """Draw the return by real steps: a panel for each preset, a line with its band for each variant.

    Grey, where there are any: published curves of others' agents as far as ours reach.
    """
    presets = list(dict.fromkeys(trial.preset_name for trial in trials))
    variants = list(dict.fromkeys(trial.variant for trial in trials))
    columns = min(3, len(presets))
    rows = -(-len(presets) // columns)
    figure = Figure(figsize=(4.2 * columns + 0.6, 3.4 * rows + 0.3 * (len(variants) > 1)), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, name in zip(panels, presets, strict=False):
        for place, variant in enumerate(variants):
            by_step = [t.returns_by_step() for t in trials if (t.preset_name, t.variant) == (name, variant)]
            steps = sorted(set.intersection(*(set(run) for run in by_step))) if by_step else []
            if not steps:
                continue
            value, low, high = learning_curve(np.array([[run[step] for step in steps] for run in by_step]))
            colour = COLOURS[place % len(COLOURS)]
            axes.plot(steps, value, "o-", color=colour, markersize=3, label=variant)
            axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
        of_preset = [t.preset for t in trials if t.preset_name == name]
        draw_published(axes, of_preset[0].task.env_id, max(preset.loop.env_steps for preset in of_preset))
        axes.set(title=name, xlabel="real steps")
        axes.xaxis.set_major_formatter("{x:,.0f}")
    panels[0].set_ylabel("return")
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_visible(axes.has_data())
    if len(variants) > 1:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)
    FigureCanvasAgg(figure).print_png(path)


def draw_published(axes: Axes, env_id: str, longest: int) -> None:
    """Draw published curves of a task in grey, each named at its end; nothing for tasks that have none.

    Args:
        longest: real steps up to which they are drawn.
    """
    curves = published_curves(env_id, longest)
    gap = 0.045 * max((point.mean for points in curves.values() for point in points), default=0.0)
    heights: dict[int, float] = {}  # of the last name at each end: names stand above one another
    for method, points in sorted(curves.items(), key=lambda item: item[1][-1].mean):
        steps, means = [point.env_steps for point in points], [point.mean for point in points]
        axes.plot(steps, means, ".--", color="0.6", linewidth=0.8, markersize=4, zorder=1)
        end = steps[-1]
        heights[end] = max(means[-1], heights[end] + gap) if end in heights else means[-1]
        axes.annotate(f" {method}", (end, heights[end]), color="0.35", fontsize=6, va="center")


def draw_scores(scores: dict[str, np.ndarray], results: dict[str, Any], path: Path) -> None:
    """Draw interquartile means with their intervals, and performance profiles, of each variant's scores [N, M].

    Args:
        results: the numbers of the report, see :func:`polygrad_edu.studies.report.study_results`.
    """
    if not scores:
        path.unlink(missing_ok=True)
        return
    figure = Figure(figsize=(10, 3.2 + 0.25 * len(scores)), layout="constrained")
    means, profiles = figure.subplots(1, 2)
    everything = np.concatenate([values.ravel() for values in scores.values()])
    levels = np.linspace(min(0.0, everything.min()), max(1.0, everything.max()), 201)
    for place, (variant, values) in enumerate(scores.items()):
        colour = COLOURS[place % len(COLOURS)]
        row = results["scores"][variant]
        means.barh(place, row["high"] - row["low"], left=row["low"], height=0.5, color=colour, alpha=0.35)
        means.vlines(row["value"], place - 0.25, place + 0.25, color=colour, linewidth=2)
        share, low, high = performance_profile(values, levels)
        profiles.plot(levels, share, color=colour, label=variant)
        profiles.fill_between(levels, low, high, color=colour, alpha=0.2, linewidth=0)
    means.set(
        yticks=range(len(scores)),
        yticklabels=list(scores),
        xlabel="score (0: random actions, 1: the goal)",
        title="interquartile mean, 95% interval",
        ylim=(len(scores) - 0.4, -0.6),
    )
    means.margins(x=0.05)
    profiles.set(xlabel="score", ylabel="share of runs above it", title="performance profiles", ylim=(-0.02, 1.02))
    if len(scores) > 1:
        profiles.legend(frameon=False)
    for axes in (means, profiles):
        axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure).print_png(path)
