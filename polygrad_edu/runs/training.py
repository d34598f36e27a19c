"""A training run from start to finish: live progress, metrics, checkpoints, the final report and its video."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from .. import environments
from ..acceleration import choose
from ..files.metrics_log import append_metrics, drop_later_metrics
from ..files.safe_files import one_line, write_json
from ..imagination_loop import REPORT_SEED, ImaginationLoop, NotFiniteError
from ..settings import Preset
from ..tasks.published_returns import reference_sentence
from .checkpoint import has_checkpoint, read_checkpoint, read_config, rebuild, remove_old, save_checkpoint, write_config
from .curves import Curves
from .finite_check import Watch, anomaly_detection
from .result_file import make_result
from .supervised import PROGRESS, Attendant
from .video import make_video

SHOWN = ("world_model_loss", "action_std", "policy_std", "critic_loss", "value", "guidance_scale", "exploded")
REFRESH_EVERY = 25  # environment steps between looks at the losses, which wait for the device


def start_run(run: Path, preset_name: str, preset: Preset, seed: int, device: str) -> Training:
    """A new run in the directory ``run``, which must be new or empty."""
    leftover = {"config.json.partial"}  # of a run that was killed before it had begun
    if run.exists() and (not run.is_dir() or {path.name for path in run.iterdir()} - leftover):
        raise ValueError(f"{run} is there already; continue it with --resume {run}, or choose another --out")
    preset, measured = settle(preset, seed, device)
    loop = ImaginationLoop(preset, seed, device)  # before anything is written: the task may not exist
    write_config(run, preset_name, preset, seed)
    return Training(run, preset_name, loop, note=measured)


def settle(preset: Preset, seed: int, device: str) -> tuple[Preset, str]:
    """``preset`` with its ``auto`` settings decided by a measurement here, and a sentence about it."""
    return choose(preset, lambda candidate: _piece_of_learning(candidate, seed, device), torch.device(device))


def _piece_of_learning(preset: Preset, seed: int, device: str) -> Callable[[], object]:
    """What a run does over and over, but for the number of sampling steps, with which both sides of it grow."""
    short = replace(
        preset, env_steps=1_000, prefill_steps=1, parallel_envs=1, sampling_steps=min(4, preset.sampling_steps)
    )
    loop = ImaginationLoop(short, seed, device)
    while loop.replay.n_starts < 2:
        loop.act()
    loop.replay.refresh_normaliser()
    return lambda: (loop.fit_world_model(), loop.improve_policy())


def continue_run(run: Path, device: str, overrides: dict[str, str]) -> Training:
    """The run in ``run``, from its last whole checkpoint on; from its beginning, if it was stopped before the first."""
    name, own, seed = read_config(run)
    preset = own.with_overrides(overrides)
    if has_checkpoint(run):
        stored = read_checkpoint(run)
        training = Training(run, name, rebuild(stored, preset, seed, device, own), float(stored.state["wall_seconds"]))
        training.latest = dict(stored.state["latest"])
    else:
        note = "It was stopped before its first checkpoint, so it starts from its beginning."
        training = Training(run, name, ImaginationLoop(preset, seed, device), note=note)
    if overrides:
        write_config(run, name, preset, seed)
    return training


class Training:
    """Drives an :class:`ImaginationLoop` to its end and keeps its run directory."""

    def __init__(self, run: Path, preset_name: str, loop: ImaginationLoop, wall_seconds: float = 0.0, note: str = ""):
        self.directory, self.preset_name, self.loop, self.note = run, preset_name, loop, note
        self.earlier_seconds = wall_seconds
        self.started = time.monotonic()
        self.latest: dict[str, float] = {}
        self.watch, self.look_every = Watch(), REFRESH_EVERY
        self.saved_step = loop.env_step
        self.curves = Curves(run)

    @property
    def wall_seconds(self) -> float:
        return self.earlier_seconds + time.monotonic() - self.started

    def run(
        self,
        console: Console,
        minutes: float = math.inf,
        detect_anomaly: bool = False,
        attendant: Attendant | None = None,
    ) -> dict[str, Any]:
        """Train to the end and write the result; returns what result.json holds.

        Args:
            minutes: stop after this slice of time, with a checkpoint to go on from; then the step is all that is told.
            detect_anomaly: find the line whose gradient becomes nan, at half the speed.
            attendant: is told how far the run is, and has it stop in the same way once nobody watches.

        Raises:
            NotFiniteError: a number went wrong; it says which, at what step, and the last good checkpoint.
            OSError: the disk is full or gone; what was saved is whole.
        """
        loop, preset = self.loop, self.loop.preset
        if detect_anomaly and preset.compile != "none":
            raise ValueError(
                f"--detect-anomaly follows each operation; use it with --compile none, not {preset.compile}"
            )
        self.look_every = 1 if detect_anomaly else REFRESH_EVERY
        console.print(
            f"Learning {preset.env_id} in the imagination of {preset.described}: {preset.env_steps:,} real steps, "
            f"seed {loop.seed}, on {loop.device}. Run directory: {self.directory}",
            soft_wrap=True,
        )
        if self.note:
            console.print(self.note, soft_wrap=True)
        try:
            for name in ("metrics.jsonl", PROGRESS):
                drop_later_metrics(self.directory / name, loop.env_step)
            self.curves.begin(console)
            with anomaly_detection() if detect_anomaly else contextlib.nullcontext():
                finished = self._train(console, minutes, attendant)
            if not finished:
                self._tell_stopped(console)
                return {"finished": False, "env_step": loop.env_step, "run": str(self.directory)}
            return self._finish(console)
        except KeyboardInterrupt:
            self._tell_stopped(console)
            raise
        except NotFiniteError as last:
            error = self.watch.cause() or last
            kept = f"the last good checkpoint is of step {self.saved_step}" if self.saved_step else "none was saved yet"
            raise NotFiniteError(f"{error}; {kept}") from None
        except OSError as error:
            raise OSError(f"{one_line(error)}. {self._kept()}; go on with: {self._resume_command}") from None
        finally:
            loop.collector.close()

    def _train(self, console: Console, minutes: float, attendant: Attendant | None) -> bool:
        """Take the steps that are left; whether all of them were taken, within ``minutes`` and while attended."""
        loop, preset = self.loop, self.loop.preset
        with self._progress(console) as progress:
            task = progress.add_task("training", total=preset.env_steps, completed=loop.env_step, shown="")
            for metrics in loop.steps():
                self._after_step(metrics, progress, task)
                if attendant and ("eval_return" in metrics or loop.multiples(REFRESH_EVERY)):
                    attendant.tell(self, "eval_return" in metrics)
                stop = time.monotonic() - self.started > 60 * minutes or (attendant and attendant.left)
                if stop and loop.env_step < preset.env_steps:
                    self._save(metrics)
                    return False
        return True

    @property
    def _resume_command(self) -> str:
        return f"polygrad-edu train --resume {self.directory}"

    def _kept(self) -> str:
        return f"Kept to step {self.saved_step:,}" if self.saved_step else "No checkpoint was written yet"

    def _tell_stopped(self, console: Console) -> None:
        self.curves.end()
        console.print(
            f"Stopped at step {self.loop.env_step:,}. {self._kept()}. Continue with: {self._resume_command}",
            soft_wrap=True,
        )

    def _progress(self, console: Console) -> Progress:
        return Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[shown]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )

    def _after_step(self, metrics: dict[str, Any], progress: Progress, task: TaskID) -> None:
        loop, preset = self.loop, self.loop.preset
        last = loop.env_step >= preset.env_steps
        evaluated = "eval_return" in metrics
        self.watch.add(loop.env_step, metrics)
        if evaluated or loop.multiples(self.look_every):
            self._look(metrics)
            progress.update(task, completed=loop.env_step, shown=self._summary())
        if evaluated:
            self._log(metrics)
            progress.console.print(f"step {loop.env_step:>7,}  {self._summary()}", soft_wrap=True)
        if last or loop.multiples(preset.checkpoint_every):
            self._save(metrics)

    def _save(self, metrics: dict[str, Any]) -> None:
        self._look(metrics)  # never save what has gone wrong
        save_checkpoint(self.directory, self.loop, self.wall_seconds, self.latest)
        self.saved_step = self.loop.env_step

    def _look(self, metrics: dict[str, Any]) -> None:
        """Fetch the latest losses; a number that went wrong ends the run here."""
        networks: dict[str, torch.nn.Module] = {
            "the world model": self.loop.world_model.network,
            "the actor-critic": self.loop.actor_critic,
        }
        self.watch.look(networks, self.loop.env_step)
        self.latest |= {name: float(metrics[name]) for name in SHOWN if name in metrics}

    def _summary(self) -> str:
        def shown(name: str, form: str) -> str:
            return format(self.latest[name], form) if name in self.latest else "-"

        eval_return = "-" if math.isnan(self.loop.last_eval) else f"{self.loop.last_eval:.0f}"
        return (
            f"return {eval_return}  model loss {shown('world_model_loss', '.3f')}  "
            f"on-policy std {shown('action_std', '.2f')}"
            + (f"  exploded {shown('exploded', '.0f')}" if self.latest.get("exploded") else "")
        )

    def _log(self, metrics: dict[str, Any]) -> None:
        line: dict[str, Any] = {"env_step": self.loop.env_step, "wall_seconds": round(self.wall_seconds, 1)}
        line |= {name: metrics[name] for name in ("eval_return", "best_return")}
        line["episode_return"] = None if math.isnan(self.loop.last_return) else self.loop.last_return
        append_metrics(self.directory / "metrics.jsonl", line | self.latest)
        self.curves.add(line | self.latest)

    def _finish(self, console: Console) -> dict[str, Any]:
        loop, preset = self.loop, self.loop.preset
        remove_old(self.directory, loop.env_step)  # where a crash came between saving and tidying up
        episodes = preset.final_episodes
        returns = environments.evaluate(loop.make_env, loop.best_policy, episodes, REPORT_SEED, loop.device)
        result = make_result(self.preset_name, loop, returns, self.wall_seconds)
        write_json(self.directory / "result.json", result)
        self.curves.end(result)
        make_video(loop, self.directory / "video.mp4")
        console.print(
            f"After {loop.env_step:,} steps in {preset.env_id} and {self.wall_seconds / 60:.1f} minutes the policy, "
            f"trained only in imagination, reaches a return of {returns.mean():.0f} ± {returns.std():.0f} over "
            f"{episodes} new episodes; the run and its video.mp4 lie in {self.directory}.",
            reference_sentence(preset.env_id),
            soft_wrap=True,
        )
        return result
