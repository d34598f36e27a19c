"""Trials: the runs of a study, driven to their ends by an engine, with one table for all of them.

The progress of a trial is read from its run directory alone, so it does not matter who trained it, where, or how often
it was interrupted. An engine (:mod:`polygrad_edu.studies.processes`, :mod:`polygrad_edu.studies.ray_cluster`) only adds
to the directories.
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

from ..files.input_error import InputError
from ..files.metrics_log import read_metrics
from ..files.safe_files import read_json
from ..runs.checkpoint import has_checkpoint, list_checkpoints
from ..runs.lock import RunLock
from ..runs.video import NO_VIDEO, VIDEO
from ..settings import Preset

MAX_LOSSES = 5  # times that a trial may lose its worker before it counts as failed


@dataclass(frozen=True)
class Trial:
    """One run of a study: a preset with changes, a seed, and a run directory.

    Attributes:
        preset: the settings with the changes.
        overrides: the changes as text, by setting, as on a command line.
        variant: name of the changes, among those that the study compares.
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
        """True if the run has written everything; the video comes last, or the reason why there is none."""
        film = any((self.directory / name).is_file() for name in (VIDEO, NO_VIDEO))
        return film and (self.directory / "result.json").is_file()

    @property
    def has_checkpoint(self) -> bool:
        """True if there is a checkpoint to go on from."""
        return has_checkpoint(self.directory)

    @property
    def log(self) -> Path:
        """File for the output of its processes, beside the run."""
        return self.directory.with_name(self.directory.name + ".log")

    def arguments(self) -> list[str]:
        """Arguments of ``polygrad-edu`` that train this from its beginning, except for the directory."""
        options = [part for name, value in self.overrides for part in (f"--{name.replace('_', '-')}", value)]
        return ["train", self.preset_name, "--seed", str(self.seed), "--device", self.device, *options]

    def command(self) -> str:
        """The command line that repeats this trial alone."""
        return shlex.join(["polygrad-edu", *self.arguments()])

    def result(self) -> dict[str, Any]:
        """Read its result.json."""
        return read_json(self.directory / "result.json")

    def metrics(self) -> list[dict[str, Any]]:
        """Read the evaluations so far, oldest first."""
        path = self.directory / "metrics.jsonl"
        return read_metrics(path) if path.exists() else []

    def returns_by_step(self) -> dict[int, float]:
        """The return at each evaluation so far, by real steps."""
        return {line["env_step"]: line["eval_return"] for line in self.metrics()}

    def forget_an_early_end(self) -> None:
        """Remove a run that ended before its first checkpoint: there is nothing to go on from.

        Raises:
            InputError: it has not ended; another process trains it.
        """
        if self.directory.exists() and not self.has_checkpoint:
            with RunLock(self.directory):
                shutil.rmtree(self.directory)


class Ending(NamedTuple):
    """The way in which a worker ended its work on a trial, and why.

    ``finished``: the run is done. ``paused``: it can go on at once. ``lost``: the worker or its machine was killed.
    ``failed``: the run ended by itself with an error.
    """

    kind: Literal["finished", "paused", "lost", "failed"]
    why: str = ""


class Engine(Protocol):
    """Trains trials, in processes here or on a cluster."""

    def slots(self) -> int:
        """Number of trials that it can train at a time, as of now."""
        ...

    def start(self, trial: Trial) -> None:
        """Start a trial, or continue it from its last checkpoint.

        Raises:
            InputError: another process trains it.
        """
        ...

    def ended(self) -> list[tuple[Trial, Ending]]:
        """Trials whose workers ended since the last call; waits for a moment if there are none."""
        ...

    def stop(self) -> None:
        """End all work at once, such that every run can go on."""
        ...


def run_trials(trials: list[Trial], engine: Engine, console: Console, failures: dict[str, str]) -> None:
    """Train every trial to its end and show the progress of each.

    A trial whose worker is lost goes on from its last checkpoint, at most ``MAX_LOSSES`` times.

    Args:
        trials: the finished ones among them are shown, not trained.
        failures: the reasons of trials that failed, by name. Trials in it are not tried; new failures are added.
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
                    try:
                        engine.start(trial)
                        running[trial.name] = trial
                    except InputError as error:
                        _fail(console, trial, str(error), failures)
                for trial, ending in engine.ended() if running else ():
                    del running[trial.name]
                    if ending.kind == "lost":
                        losses[trial.name] = losses.get(trial.name, 0) + 1
                        _print_loss(console, trial, ending, losses[trial.name])
                        if losses[trial.name] > MAX_LOSSES:
                            ending = Ending("failed", f"lost its worker {losses[trial.name]} times: {ending.why}")
                    if ending.kind == "failed":
                        _fail(console, trial, ending.why, failures)
                    elif ending.kind in ("lost", "paused"):
                        waiting.appendleft(trial)
                live.update(trial_table(trials, state, console))
    finally:
        console.line()
        engine.stop()


def _fail(console: Console, trial: Trial, why: str, failures: dict[str, str]) -> None:
    failures[trial.name] = why
    console.print(f"{trial.name} failed: {why}", soft_wrap=True, highlight=False, markup=False)


def _print_loss(console: Console, trial: Trial, ending: Ending, losses: int) -> None:
    checkpoints = list_checkpoints(trial.directory)
    where = f"from step {int(checkpoints[-1].stem[5:]):,}" if checkpoints else "from its beginning"
    again = f"and goes on {where}" if losses <= MAX_LOSSES else "once too often"
    console.print(f"{trial.name} lost its worker ({ending.why}) {again}", soft_wrap=True, highlight=False)


def trial_table(trials: list[Trial], state: Callable[[Trial], str], console: Console) -> Group:
    """Table of each trial's latest evaluation; if they do not fit, only of trials that are running or failed."""
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
            table.add_row(*cells, f"- of {trial.preset.loop.env_steps:,}", "-", "-", "-")
            continue
        latest = metrics[-1]
        table.add_row(
            *cells,
            f"{latest['env_step']:,} of {trial.preset.loop.env_steps:,}",
            f"{latest['eval_return']:.0f}",
            f"{latest['best_return']:.0f}",
            f"{latest['wall_seconds'] / 60:.1f}",
        )
    counts = [f"{list(states.values()).count(kind)} {kind}" for kind in ("finished", "running", "waiting", "failed")]
    return Group(table, f"{len(trials)} trials: " + ", ".join(counts))


def last_line(log: Path) -> str:
    """The last line of a run's output."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1].strip() if lines else "it ended without a word"
