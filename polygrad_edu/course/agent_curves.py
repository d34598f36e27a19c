"""Our agents' evaluations, as shipped in a table, beside what others published after as many real steps."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..studies.figures import COLOURS, draw_published
from ..tasks.published_curves import best_published, published_curves
from .paths import find_shared

LINE_STYLES = ("-", "--", ":")  # of a task's presets
PANELS_ABREAST = 3
STEPS = (10_000, 20_000, 30_000)  # real steps at which tables compare


def agent_evaluations(path: Path | None = None) -> list[dict[str, str]]:
    """Rows of ``results/agents/evaluations.csv``: preset, env_id, seed, env_step, minutes, eval_return.

    A preset that has changed since has its former runs under another name: "hopper-pathwise, before".

    Args:
        path: another table; none there yet has no rows.
    """
    path = path or find_shared("results") / "agents" / "evaluations.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def draw_agents(rows: list[dict[str, str]], figure: Figure) -> None:
    """Draw returns by real steps: a panel for each task, a line for each seed; grey are published curves.

    Tasks that others have published curves of stand first.
    """
    tasks = sorted(dict.fromkeys(row["env_id"] for row in rows), key=lambda task: not published_curves(task))
    panels = list(figure.subplots(*panel_grid(len(tasks)), squeeze=False).flat)
    for empty in panels[len(tasks) :]:
        empty.set_axis_off()
    for axes, task in zip(panels, tasks, strict=False):
        of_task = [row for row in rows if row["env_id"] == task]
        longest = max(int(row["env_step"]) for row in of_task)
        draw_published(axes, task, max(30_000, longest))
        presets = sorted({row["preset"] for row in of_task})
        one_preset = len({preset.partition(", ")[0] for preset in presets}) == 1
        for preset, seed in dict.fromkeys((row["preset"], row["seed"]) for row in of_task):
            run = [row for row in of_task if (row["preset"], row["seed"]) == (preset, seed)]
            colour = COLOURS[int(seed) % len(COLOURS)]
            steps, returns = [int(row["env_step"]) for row in run], [float(row["eval_return"]) for row in run]
            style = LINE_STYLES[presets.index(preset) % len(LINE_STYLES)]
            name = preset.partition(", ")[2] if one_preset else preset  # the task's title says it already
            label = f"{name}, seed {seed}" if name else f"seed {seed}"
            axes.plot(steps, returns, style, color=colour, linewidth=1.8, label=label)
        axes.set(title=task.removeprefix("polygrad_edu/"), xlabel="real steps")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.margins(x=0.15)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    for axes in panels[::PANELS_ABREAST]:
        axes.set_ylabel("return at that step")


def panel_grid(n_tasks: int) -> tuple[int, int]:
    """Rows and columns of panels, at most three abreast."""
    return math.ceil(n_tasks / PANELS_ABREAST), min(n_tasks, PANELS_ABREAST)


def print_agents(rows: list[dict[str, str]], steps: tuple[int, ...] = STEPS) -> None:
    """Print returns at equal real steps: ours over the seeds that got so far, and the best published mean.

    Few seeds are shown whole, from the lowest to the highest: an interval for their mean would promise too much.
    """
    print(f"{'after so many real steps':<24}{'':>7}{'mean':>7}{'seeds':>6}{'from':>7}{'to':>7}{'published':>15}")
    for preset, task in dict.fromkeys((row["preset"], row["env_id"]) for row in rows):
        for step in steps:
            asked = preset, task, str(step)
            ours = [
                float(row["eval_return"]) for row in rows if (row["preset"], row["env_id"], row["env_step"]) == asked
            ]
            theirs = best_published(task, step)
            if ours:
                best = f"{theirs.mean:,.0f} {theirs.method}" if theirs else "-"
                numbers = f"{mean(ours):>7,.0f}{len(ours):>6}{min(ours):>7,.0f}{max(ours):>7,.0f}"
                print(f"{preset:<24}{step:>7,}{numbers}{best:>15}")
