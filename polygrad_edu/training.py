"""A training run from start to finish: live progress, metrics, checkpoints, the final report and its video."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from platform import python_version
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from . import __version__, environments
from .acceleration import choose
from .attendant import PROGRESS, Attendant
from .checkpoint import load_checkpoint, read_config, save_checkpoint, write_config, write_json
from .imagination_loop import REPORT_SEED, ImaginationLoop, NotFiniteError
from .reference_returns import reference_sentence
from .settings import Preset
from .video import make_video

SHOWN = ("world_model_loss", "action_std", "policy_std", "critic_loss", "value", "guidance_scale")
REFRESH_EVERY = 25  # environment steps between looks at the losses, which wait for the device


def versions() -> dict[str, str]:
    """What a result depends on."""
    return {
        "polygrad_edu": __version__,
        "python": python_version(),
        "torch": torch.__version__,
        "gymnasium": gymnasium.__version__,
        "mujoco": mujoco.__version__,
        "numpy": np.__version__,
    }


def start_run(run: Path, preset_name: str, preset: Preset, seed: int, device: str) -> Training:
    """A new run in the directory ``run``, which must be new or empty."""
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
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
    """The run in ``run``, from its last checkpoint on."""
    name, preset, seed = read_config(run)
    loop, wall_seconds = load_checkpoint(run, device, overrides)
    if overrides:
        write_config(run, name, preset.with_overrides(overrides), seed)
    return Training(run, name, loop, wall_seconds)


class Training:
    """Drives an :class:`ImaginationLoop` to its end and keeps its run directory."""

    def __init__(self, run: Path, preset_name: str, loop: ImaginationLoop, wall_seconds: float = 0.0, note: str = ""):
        self.directory, self.preset_name, self.loop, self.note = run, preset_name, loop, note
        self.earlier_seconds = wall_seconds
        self.started = time.monotonic()
        self.latest: dict[str, float] = {}
        self.saved_step = loop.env_step

    @property
    def wall_seconds(self) -> float:
        return self.earlier_seconds + time.monotonic() - self.started

    def run(self, console: Console, minutes: float = math.inf, attendant: Attendant | None = None) -> dict[str, Any]:
        """Train to the end and write the result; returns what result.json holds.

        Args:
            minutes: stop after this slice of time, with a checkpoint to go on from; then the step is all that is told.
            attendant: is told how far the run is, and has it stop in the same way once nobody watches.
        """
        loop, preset = self.loop, self.loop.preset
        console.print(
            f"Learning {preset.env_id} in the imagination of {described(preset)}: {preset.env_steps:,} real steps, "
            f"seed {loop.seed}, on {loop.device}. Run directory: {self.directory}",
            soft_wrap=True,
        )
        if self.note:
            console.print(self.note, soft_wrap=True)
        self._drop_later_metrics()
        try:
            with self._progress(console) as progress:
                task = progress.add_task("training", total=preset.env_steps, completed=loop.env_step, shown="")
                for metrics in loop.steps():
                    self._after_step(metrics, progress, task)
                    if attendant and ("eval_return" in metrics or loop.multiples(REFRESH_EVERY)):
                        attendant.tell(self, "eval_return" in metrics)
                    stop = time.monotonic() - self.started > 60 * minutes or (attendant and attendant.left)
                    if stop and loop.env_step < preset.env_steps:
                        self._save(metrics)
                        self._tell_stopped(console)
                        return {"finished": False, "env_step": loop.env_step, "run": str(self.directory)}
        except KeyboardInterrupt:
            self._tell_stopped(console)
            raise
        finally:
            loop.collector.close()
        return self._finish(console)

    def _tell_stopped(self, console: Console) -> None:
        kept = f"kept to step {self.saved_step:,}" if self.saved_step else "no checkpoint was written yet"
        console.print(
            f"Stopped at step {self.loop.env_step:,}; {kept}."
            + (f" Continue with: polygrad-edu train --resume {self.directory}" if self.saved_step else ""),
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

    def _after_step(self, metrics: dict[str, Any], progress: Progress, task) -> None:
        loop, preset = self.loop, self.loop.preset
        last = loop.env_step >= preset.env_steps
        evaluated = "eval_return" in metrics
        if evaluated or loop.multiples(REFRESH_EVERY):
            self._look(metrics)
            progress.update(task, completed=loop.env_step, shown=self._summary())
        if evaluated:
            self._log(metrics)
            progress.console.print(f"step {loop.env_step:>7,}  {self._summary()}", soft_wrap=True)
        if last or loop.multiples(preset.checkpoint_every):
            self._save(metrics)

    def _save(self, metrics: dict[str, Any]) -> None:
        self._look(metrics)  # never save what has gone wrong
        save_checkpoint(self.directory, self.loop, self.wall_seconds)
        self.saved_step = self.loop.env_step

    def _look(self, metrics: dict[str, Any]) -> None:
        """Fetch the latest losses; a number that went wrong ends the run here."""
        self.latest |= {name: float(metrics[name]) for name in SHOWN if name in metrics}
        for name, value in self.latest.items():
            if not math.isfinite(value):
                raise NotFiniteError(
                    f"{name} became {value} at step {self.loop.env_step}; the last good checkpoint is of step "
                    f"{self.saved_step}. A smaller learning_rate or critic_learning_rate may prevent it"
                )

    def _summary(self) -> str:
        def shown(name: str, form: str) -> str:
            return format(self.latest[name], form) if name in self.latest else "-"

        eval_return = "-" if math.isnan(self.loop.last_eval) else f"{self.loop.last_eval:.0f}"
        return (
            f"return {eval_return}  model loss {shown('world_model_loss', '.3f')}  "
            f"on-policy std {shown('action_std', '.2f')}"
        )

    def _log(self, metrics: dict[str, Any]) -> None:
        line = {"env_step": self.loop.env_step, "wall_seconds": round(self.wall_seconds, 1)}
        line |= {name: metrics[name] for name in ("eval_return", "best_return")}
        line["episode_return"] = None if math.isnan(self.loop.last_return) else self.loop.last_return
        with (self.directory / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line | self.latest) + "\n")

    def _drop_later_metrics(self) -> None:
        """After a resume, forget lines written beyond the checkpoint: those steps are made again."""
        for path in (self.directory / name for name in ("metrics.jsonl", PROGRESS)):
            if path.exists():
                lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
                kept = [line for line in lines if _step_of(line) <= self.loop.env_step]
                path.write_text("".join(kept), encoding="utf-8")

    def _finish(self, console: Console) -> dict[str, Any]:
        loop, preset = self.loop, self.loop.preset
        episodes = preset.final_episodes
        returns = environments.evaluate(loop.make_env, loop.best_policy, episodes, REPORT_SEED, loop.device)
        result = {
            "preset": self.preset_name,
            "env_id": preset.env_id,
            "world_model": preset.world_model,
            "guidance": preset.guidance,
            "seed": loop.seed,
            "env_steps": loop.env_step,
            "return_mean": float(returns.mean()),
            "return_std": float(returns.std()),
            "episodes": episodes,
            "selection_return": loop.best_return,
            "wall_seconds": round(self.wall_seconds, 1),
            "device": str(loop.device),
            "threads": torch.get_num_threads(),
            "versions": versions(),
        }
        write_json(self.directory / "result.json", result)
        make_video(loop, self.directory / "video.mp4")
        console.print(
            f"After {loop.env_step:,} steps in {preset.env_id} and {self.wall_seconds / 60:.1f} minutes the policy, "
            f"trained only in imagination, reaches a return of {returns.mean():.0f} ± {returns.std():.0f} over "
            f"{episodes} new episodes; the run and its video.mp4 lie in {self.directory}.",
            reference_sentence(preset.env_id),
            soft_wrap=True,
        )
        return result


def described(preset: Preset) -> str:
    """The world model of a run in a few words."""
    return f"polygrad ({preset.guidance} guidance)" if preset.world_model == "polygrad" else preset.world_model


def _step_of(line: str) -> float:
    """The step of a line of metrics; a line cut short by a crash counts as later than any."""
    try:
        return json.loads(line)["env_step"]
    except (ValueError, KeyError, TypeError):
        return math.inf
