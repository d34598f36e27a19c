"""Keep runs' evaluations in a table, draw them beside published curves: ``python book/agents_picture.py [RUN ...]``.

Each run named adds its evaluations to ``results/agents/evaluations.csv``, or replaces those it has there. A run that
came to its end also has a line in ``results/agents/runs.csv``: its minutes, its device, what its best policy earned in
new episodes, and the command that repeats it. Then ``book/images/agents.png`` is drawn from the whole table: the return
by real steps, a panel for each task, a line for each seed. Grey are published curves
(:mod:`polygrad_edu.tasks.published_curves`). What is printed is the table "Every task" of ``book/measured/agents.md``.
"""

from __future__ import annotations

import csv
import io
import statistics
import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from polygrad_edu.course.agent_curves import STEPS, agent_evaluations, draw_agents, panel_grid
from polygrad_edu.files.metrics_log import read_metrics
from polygrad_edu.files.safe_files import read_json
from polygrad_edu.presets import get_preset
from polygrad_edu.runs.checkpoint import read_config
from polygrad_edu.settings import Preset
from polygrad_edu.tasks.published_curves import best_published

BOOK = Path(__file__).parent
RESULTS = BOOK.parent / "results" / "agents"
TABLE = RESULTS / "evaluations.csv"
RUNS = RESULTS / "runs.csv"
PICTURE = BOOK / "images" / "agents.png"
IDENTITY = ("preset", "env_id", "seed")  # of a run, in both tables
COLUMNS = (*IDENTITY, "env_step", "minutes", "eval_return")
RUN_COLUMNS = (*IDENTITY, "env_steps", "minutes", "device", "best_return", "best_std", "episodes", "command")
N_COLOURS = 128  # of the picture


def identity(name: str, preset: Preset, seed: int) -> dict[str, str]:
    """The columns that tell a run from all others."""
    return dict(zip(IDENTITY, (name, preset.task.env_id, str(seed)), strict=True))


def evaluations_of(run: Path) -> list[dict[str, str]]:
    """Rows of the table of evaluations for one run directory."""
    name, preset, seed = read_config(run)
    return [
        identity(name, preset, seed)
        | {
            "env_step": str(line["env_step"]),
            "minutes": f"{line['wall_seconds'] / 60:.1f}",
            "eval_return": f"{line['eval_return']:.1f}",
        }
        for line in read_metrics(run / "metrics.jsonl")
    ]


def ends_of(run: Path) -> list[dict[str, str]]:
    """The row of the table of runs for one run directory; none if the run has not come to an end."""
    if not (run / "result.json").exists():
        return []
    name, preset, seed = read_config(run)
    result = read_json(run / "result.json")
    return [
        identity(name, preset, seed)
        | {
            "env_steps": str(result["env_steps"]),
            "minutes": f"{result['wall_seconds'] / 60:.1f}",
            "device": result["device"],
            "best_return": f"{result['return_mean']:.1f}",
            "best_std": f"{result['return_std']:.1f}",
            "episodes": str(result["episodes"]),
            "command": command_of(name, preset.with_overrides({"env_steps": result["env_steps"]}), seed),
        }
    ]


def command_of(name: str, preset: Preset, seed: int) -> str:
    """The command that makes such a run again, whatever the device."""
    usual = get_preset(name).to_json()
    changed = {key: value for key, value in preset.to_json().items() if value != usual[key] and key != "compile"}
    options = [f"--{key.replace('_', '-')} {value}" for key, value in changed.items()]
    return " ".join(["polygrad-edu train", name, *options, f"--seed {seed}"])


def add_rows(new: list[dict[str, str]], path: Path, columns: tuple[str, ...]) -> None:
    """Put rows into a table, in the place of all that it has of the same runs."""
    replaced = {run_of(row) for row in new}
    kept = [row for row in agent_evaluations(path) if run_of(row) not in replaced]
    steps = columns[len(IDENTITY)]
    rows = sorted(kept + new, key=lambda row: (row["preset"], row["env_id"], int(row["seed"]), int(row[steps])))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def run_of(row: dict[str, str]) -> tuple[str, ...]:
    """What tells a row's run from all others."""
    return tuple(row[column] for column in IDENTITY)


def add_runs(runs: list[Path], folder: Path = RESULTS) -> None:
    """Put ``runs`` into both tables of ``folder``."""
    add_rows([row for run in runs for row in evaluations_of(run)], folder / TABLE.name, COLUMNS)
    add_rows([row for run in runs for row in ends_of(run)], folder / RUNS.name, RUN_COLUMNS)


def draw(rows: list[dict[str, str]], path: Path = PICTURE) -> None:
    """Draw the table, a panel for each task."""
    n_rows, n_columns = panel_grid(len({row["env_id"] for row in rows}))
    figure = Figure(figsize=(4.8 * n_columns, 4.4 * n_rows), layout="constrained")
    draw_agents(rows, figure)
    drawn = io.BytesIO()
    FigureCanvasAgg(figure).print_png(drawn)
    # thin lines on white need few colours, and a page of thirteen panels should load fast
    picture = Image.open(drawn).convert("RGB")
    few = picture.quantize(N_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def summary(rows: list[dict[str, str]], runs: list[dict[str, str]]) -> list[list[str]]:
    """Cells of the page's table: a row for each task and preset of today, means over seeds with lowest and highest.

    Args:
        rows: of the table of evaluations.
        runs: of the table of runs.
    """
    table = []
    for preset, task in dict.fromkeys((row["preset"], row["env_id"]) for row in rows):
        if preset.endswith(", before"):
            continue
        of_task = [row for row in rows if (row["preset"], row["env_id"]) == (preset, task)]
        best = [float(row["best_return"]) for row in runs if (row["preset"], row["env_id"]) == (preset, task)]
        cells = [
            spread([float(row["eval_return"]) for row in of_task if row["env_step"] == str(step)]) for step in STEPS
        ]
        name = task.removeprefix("polygrad_edu/")
        theirs = best_published(task, STEPS[-1])
        published = f"{theirs.mean:,.0f} {theirs.method}" if theirs else ""
        table.append([name, f"`{preset}`", *cells, published, spread(best)])
    return table


def spread(values: list[float]) -> str:
    """A mean with the lowest and the highest value, and how many there are."""
    if not values:
        return ""
    mean, lowest, highest = (f"{value:,.0f}" for value in (statistics.mean(values), min(values), max(values)))
    if len(values) == 1:
        return mean
    ends = f"{lowest} to {highest}, " if lowest != highest else ""
    return f"{mean} ({ends}{len(values)} seeds)"


def main(runs: list[Path]) -> None:
    add_runs(runs)
    rows = agent_evaluations(TABLE)
    draw(rows)
    for cells in summary(rows, agent_evaluations(RUNS)):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main([Path(run) for run in sys.argv[1:]])
