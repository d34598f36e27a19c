"""Trials: training runs that belong together, driven to their ends by an engine, with one table for all of them.

What a trial has reached is read off its run directory alone, so it does not matter who trained it, where, or how
often that was interrupted. An engine (:mod:`trial_processes`, :mod:`sweep_ray`) only makes directories grow.
"""

from __future__ import annotations

import shlex
import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from ..files.metrics_log import read_metrics
from ..files.safe_files import read_json
from ..settings import Preset

MOST_LOSSES = 5  # times that a trial may lose its worker before it counts as failed


@dataclass(frozen=True)
class Trial:
    """One run of a study: a preset with changes, a seed, and the directory that the run lives in.

    Attributes:
        overrides: the changes as text, by setting, as on a command line.
        preset: the settings with these changes.
        variant: its name among those that a study compares.
    """

    name: str
    directory: Path
    preset_name: str
    preset: Preset
    overrides: tuple[tuple[str, str], ...]
    seed: int
    device: str
    variant: str = ""

    @property
    def finished(self) -> bool:
        """The video is the last thing that a run writes."""
        return all((self.directory / name).is_file() for name in ("result.json", "video.mp4"))

    @property
    def has_checkpoint(self) -> bool:
        return any((self.directory / "checkpoint").glob("step-*.json"))

    @property
    def log(self) -> Path:
        return self.directory.with_name(self.directory.name + ".log")

    def arguments(self) -> list[str]:
        """What ``polygrad-edu`` has to be told to train this from its beginning, but for the directory."""
        options = [part for name, value in self.overrides for part in (f"--{name.replace('_', '-')}", value)]
        return ["train", self.preset_name, "--seed", str(self.seed), "--device", self.device, *options]

    def command(self) -> str:
        """The line that repeats this trial alone."""
        return shlex.join(["polygrad-edu", *self.arguments()])

    def result(self) -> dict[str, Any]:
        return read_json(self.directory / "result.json")

    def metrics(self) -> list[dict[str, Any]]:
        """The evaluations so far, oldest first."""
        path = self.directory / "metrics.jsonl"
        return read_metrics(path) if path.exists() else []

    def forget_an_early_end(self) -> None:
        """Remove a run that ended before its first checkpoint: there is nothing to go on from."""
        if self.directory.exists() and not self.has_checkpoint:
            shutil.rmtree(self.directory)


class Ending(NamedTuple):
    """How a worker came back from a trial, and why.

    ``paused`` ones want to go on; a ``lost`` worker was killed, or its machine was; ``failed`` is the run's own word.
    """

    kind: Literal["finished", "paused", "lost", "failed"]
    why: str = ""


class Engine(Protocol):
    """Something that trains: here in processes, or on a cluster."""

    def slots(self) -> int:
        """How many trials it can train at a time, as of now."""
        ...

    def start(self, trial: Trial) -> None:
        """Begin a trial, or go on from its last checkpoint."""
        ...

    def ended(self) -> list[tuple[Trial, Ending]]:
        """Those that came back since the last call; waits for a moment if there are none."""
        ...

    def stop(self) -> None:
        """End everything at once; directories stay such that their runs can go on."""
        ...


def run_trials(trials: list[Trial], engine: Engine, console: Console, failures: dict[str, str]) -> None:
    """Drive every trial to its end and show how far each has come.

    Args:
        trials: the finished ones among them are shown, not trained.
        failures: why trials failed, by name; those that are in it are not tried, and those that fail are added.

    A trial whose worker is lost goes on from its last checkpoint, at most ``MOST_LOSSES`` times.
    """
    waiting = deque(trial for trial in trials if not trial.finished and trial.name not in failures)
    running: dict[str, Trial] = {}
    losses: dict[str, int] = {}

    def state(trial: Trial) -> str:
        if trial.name in failures:
            return "failed"
        return "running" if trial.name in running else "finished" if trial.finished else "waiting"

    try:
        with Live(console=console, refresh_per_second=2, redirect_stdout=False) as live:
            live.update(trial_table(trials, state, console))
            while waiting or running:
                while waiting and len(running) < engine.slots():
                    trial = waiting.popleft()
                    engine.start(trial)
                    running[trial.name] = trial
                for trial, ending in engine.ended():
                    del running[trial.name]
                    if ending.kind == "lost":
                        losses[trial.name] = losses.get(trial.name, 0) + 1
                        _tell(console, trial, ending, losses[trial.name])
                        if losses[trial.name] > MOST_LOSSES:
                            ending = Ending("failed", f"lost its worker {losses[trial.name]} times: {ending.why}")
                    if ending.kind == "failed":
                        failures[trial.name] = ending.why
                        console.print(f"{trial.name} failed: {ending.why}", soft_wrap=True, highlight=False)
                    elif ending.kind in ("lost", "paused"):
                        waiting.appendleft(trial)
                live.update(trial_table(trials, state, console))
    finally:
        console.line()
        engine.stop()


def _tell(console: Console, trial: Trial, ending: Ending, losses: int) -> None:
    steps = sorted((trial.directory / "checkpoint").glob("step-*.json"))
    where = f"from step {int(steps[-1].stem[5:]):,}" if steps else "from its beginning"
    again = f"and goes on {where}" if losses <= MOST_LOSSES else "once too often"
    console.print(f"{trial.name} lost its worker ({ending.why}) {again}", soft_wrap=True, highlight=False)


def trial_table(trials: list[Trial], state: Callable[[Trial], str], console: Console) -> Group:
    """How far each trial has come, by its latest evaluation; where they are too many, those that are at work."""
    states = {trial.name: state(trial) for trial in trials}
    shown = trials
    if len(trials) > console.height - 6:
        shown = [trial for trial in trials if states[trial.name] in ("running", "failed")]
    table = Table(box=None)
    table.add_column("trial", overflow="fold")
    table.add_column("state")
    for name in ("step", "return", "best so far", "minutes"):
        table.add_column(name, justify="right")
    for trial in shown:
        cells = [trial.name, states[trial.name]]
        metrics = trial.metrics()
        if not metrics:
            table.add_row(*cells, f"- of {trial.preset.env_steps:,}", "-", "-", "-")
            continue
        latest = metrics[-1]
        table.add_row(
            *cells,
            f"{latest['env_step']:,} of {trial.preset.env_steps:,}",
            f"{latest['eval_return']:.0f}",
            f"{latest['best_return']:.0f}",
            f"{latest['wall_seconds'] / 60:.1f}",
        )
    counts = [f"{list(states.values()).count(kind)} {kind}" for kind in ("finished", "running", "waiting", "failed")]
    return Group(table, f"{len(trials)} trials: " + ", ".join(counts))


def last_line(log: Path) -> str:
    """What a run said last."""
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return said[-1].strip() if said else "it ended without a word"
