"""Keep runs' evaluations in a table, draw them beside published curves: ``python book/agents_picture.py [RUN ...]``.

Each run named adds its evaluations to ``results/agents/evaluations.csv``, or replaces those it has there. Then
``book/images/agents.png`` is drawn from the whole table: the return by real steps, a panel for each task, a line for
each seed. Grey are published curves (:mod:`polygrad_edu.tasks.published_curves`).
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from polygrad_edu.course.agent_curves import agent_evaluations, draw_agents, panel_grid
from polygrad_edu.files.metrics_log import read_metrics
from polygrad_edu.runs.checkpoint import read_config

BOOK = Path(__file__).parent
TABLE = BOOK.parent / "results" / "agents" / "evaluations.csv"
PICTURE = BOOK / "images" / "agents.png"
COLUMNS = ("preset", "env_id", "seed", "env_step", "minutes", "eval_return")


def evaluations_of(run: Path) -> list[dict[str, str]]:
    """Rows of the table for one run directory."""
    name, preset, seed = read_config(run)
    return [
        {
            "preset": name,
            "env_id": preset.task.env_id,
            "seed": str(seed),
            "env_step": str(line["env_step"]),
            "minutes": f"{line['wall_seconds'] / 60:.1f}",
            "eval_return": f"{line['eval_return']:.1f}",
        }
        for line in read_metrics(run / "metrics.jsonl")
    ]


def add_runs(runs: list[Path], path: Path = TABLE) -> None:
    """Put the evaluations of ``runs`` into the table, in the place of any that it has of the same seeds."""
    new = [row for run in runs for row in evaluations_of(run)]
    replaced = {(row["preset"], row["seed"]) for row in new}
    kept = [row for row in agent_evaluations(path) if (row["preset"], row["seed"]) not in replaced]
    rows = sorted(kept + new, key=lambda row: (row["preset"], int(row["seed"]), int(row["env_step"])))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def draw(rows: list[dict[str, str]], path: Path = PICTURE) -> None:
    """Draw the table, a panel for each task."""
    n_rows, n_columns = panel_grid(len({row["env_id"] for row in rows}))
    figure = Figure(figsize=(4.8 * n_columns, 4.4 * n_rows), layout="constrained")
    draw_agents(rows, figure)
    FigureCanvasAgg(figure).print_png(path)


def main(runs: list[Path]) -> None:
    add_runs(runs)
    draw(agent_evaluations(TABLE))


if __name__ == "__main__":
    main([Path(run) for run in sys.argv[1:]])
