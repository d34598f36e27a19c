"""Observers of a training run: each looks on and does one thing with what it sees.

:class:`~polygrad_edu.runs.training.Training` calls them after every step in the order of its list. The order matters:
losses are checked before anything is written, and the line of an evaluation is on the disk before the checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import nn

from ..files.metrics_log import append_metrics, drop_later_metrics
from ..imagination_loop import ImaginationLoop
from .checkpoint import save_checkpoint
from .finite_check import FiniteCheck

METRICS = "metrics.jsonl"  # in the run directory: a line for each evaluation
PROGRESS = "progress.jsonl"  # in that of a supervised run: a finer record
REFRESH_EVERY = 25  # environment steps between looks at the losses, which wait for the device
SHOWN = ("world_model_loss", "action_std", "policy_std", "critic_loss", "value", "guidance_scale", "exploded")


@dataclass
class RunView:
    """A run as its observers see it.

    Attributes:
        latest: the losses that were fetched last, by name.
        wall_seconds: time of training up to the end of the latest step, with earlier parts of the run.
        saved_step: real steps at the last checkpoint; 0 before the first.
    """

    directory: Path
    loop: ImaginationLoop
    console: Console
    latest: dict[str, float] = field(default_factory=dict)
    wall_seconds: float = 0.0
    saved_step: int = 0

    def progress_line(self) -> dict[str, Any]:
        """Step, time and the latest losses, as one line of JSON."""
        return {"env_step": self.loop.env_step, "wall_seconds": round(self.wall_seconds, 1)} | self.latest

    def evaluation_line(self, metrics: dict[str, Any]) -> dict[str, Any]:
        """The line that metrics.jsonl holds for an evaluation."""
        line: dict[str, Any] = {"env_step": self.loop.env_step, "wall_seconds": round(self.wall_seconds, 1)}
        line |= {name: metrics[name] for name in ("eval_return", "best_return")}
        line["episode_return"] = None if math.isnan(self.loop.last_return) else self.loop.last_return
        return line | self.latest


class Observer:
    """Base of the observers: does nothing at any of the moments at which it is called."""

    def begin(self, run: RunView) -> None:
        """The run starts, or goes on from its last checkpoint."""

    def after_step(self, run: RunView, metrics: dict[str, Any]) -> None:
        """A step was taken.

        Args:
            metrics: what the loop yielded for it, with an ``eval_return`` after an evaluation. Its tensors were not
                waited for.
        """

    def end(self, run: RunView, result: dict[str, Any] | None) -> None:
        """The run has ended; ``result`` is what result.json holds, None if the run was stopped and can go on."""


class LatestLosses(Observer):
    """Fetches the losses after each evaluation and every ``every`` steps, and checks that none went wrong."""

    def __init__(self, every: int):
        self.every = every
        self.finite_check = FiniteCheck()

    def begin(self, run: RunView) -> None:
        self.finite_check.begin(run.latest)

    def after_step(self, run: RunView, metrics: dict[str, Any]) -> None:
        self.finite_check.add(run.loop.env_step, metrics)
        if "eval_return" in metrics or run.loop.times_due(self.every):
            self.fetch(run, metrics)

    def fetch(self, run: RunView, metrics: dict[str, Any]) -> None:
        """Wait for the losses.

        Raises:
            NotFiniteError: a loss or a weight is not finite, or absurd; the run ends here.
        """
        networks: dict[str, nn.Module] = {
            "the world model": run.loop.world_model.network,
            "the actor-critic": run.loop.actor_critic,
        }
        self.finite_check.check(networks, run.loop.env_step)
        run.latest |= {name: float(metrics[name]) for name in SHOWN if name in metrics}


class MetricsLog(Observer):
    """Writes the line of each evaluation to metrics.jsonl."""

    def begin(self, run: RunView) -> None:
        for name in (METRICS, PROGRESS):
            drop_later_metrics(run.directory / name, run.loop.env_step)

    def after_step(self, run: RunView, metrics: dict[str, Any]) -> None:
        if "eval_return" in metrics:
            append_metrics(run.directory / METRICS, run.evaluation_line(metrics))


class ProgressLine(Observer):
    """Shows a bar with the latest numbers, refreshed every ``every`` steps, and a line for each evaluation.

    Attributes:
        bar: is shown within ``with progress_line.bar:``.
    """

    def __init__(self, console: Console, every: int):
        self.every = every
        self.bar = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[shown]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )

    def begin(self, run: RunView) -> None:
        total = run.loop.preset.loop.env_steps
        self.task: TaskID = self.bar.add_task("training", total=total, completed=run.loop.env_step, shown="")

    def after_step(self, run: RunView, metrics: dict[str, Any]) -> None:
        evaluated = "eval_return" in metrics
        if evaluated or run.loop.times_due(self.every):
            self.bar.update(self.task, completed=run.loop.env_step, shown=summary(run))
        if evaluated:
            self.bar.console.print(f"step {run.loop.env_step:>7,}  {summary(run)}", soft_wrap=True)


class Checkpoints(Observer):
    """Writes a checkpoint when one is due, and after the last step."""

    def __init__(self, losses: LatestLosses):
        self.losses = losses

    def after_step(self, run: RunView, metrics: dict[str, Any]) -> None:
        settings = run.loop.preset
        if run.loop.env_step >= settings.loop.env_steps or run.loop.times_due(settings.run.checkpoint_every):
            self.save(run, metrics)

    def save(self, run: RunView, metrics: dict[str, Any]) -> None:
        """Write a checkpoint of this step."""
        self.losses.fetch(run, metrics)  # never save what has gone wrong
        save_checkpoint(run.directory, run.loop, run.wall_seconds, run.latest)
        run.saved_step = run.loop.env_step


def summary(run: RunView) -> str:
    """The latest numbers, for the progress line."""

    def shown(name: str, form: str) -> str:
        return format(run.latest[name], form) if name in run.latest else "-"

    evaluation = run.loop.last_eval
    words = [
        f"return {'-' if math.isnan(evaluation) else format(evaluation, '.0f')}",
        f"model loss {shown('world_model_loss', '.3f')}",
        f"on-policy std {shown('action_std', '.2f')}",
    ]
    if run.latest.get("exploded"):
        words.append(f"exploded {shown('exploded', '.0f')}")
    return "  ".join(words)
