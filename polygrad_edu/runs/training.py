"""Training: a run from its first step to its result, with its run directory and its observers."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from .. import environments
from ..acceleration import choose
from ..files.input_error import InputError
from ..files.safe_files import one_line, write_json
from ..imagination_loop import REPORT_SEED, ImaginationLoop, NotFiniteError
from ..settings import Preset
from ..tasks.published_returns import reference_sentence
from .checkpoint import has_checkpoint, read_checkpoint, read_config, rebuild, remove_old, write_config
from .curves import Curves
from .finite_check import anomaly_detection
from .observers import REFRESH_EVERY, Checkpoints, LatestLosses, MetricsLog, Observer, ProgressLine, RunView
from .result_file import make_result
from .supervised import Supervision
from .video import make_video


def start_run(run: Path, preset_name: str, preset: Preset, seed: int, device: str) -> Training:
    """Start a run in the directory ``run``, which must be new or empty.

    Raises:
        InputError: ``run`` is taken, or the task or the device cannot be had.
    """
    leftover = {"config.json.partial"}  # of a run that was killed before it had begun
    if run.exists() and (not run.is_dir() or {path.name for path in run.iterdir()} - leftover):
        raise InputError(f"{run} is there already; continue it with --resume {run}, or choose another --out")
    preset, measured = settle(preset, seed, device)
    loop = ImaginationLoop(preset, seed, device)  # before anything is written: the task may not exist
    write_config(run, preset_name, preset, seed)
    return Training(run, preset_name, loop, note=measured)


def continue_run(run: Path, device: str, overrides: dict[str, str]) -> Training:
    """Continue the run in ``run`` from its last whole checkpoint, or from its beginning if there is none yet.

    Raises:
        InputError: ``run`` is not a run directory, is damaged, or belongs to other settings.
    """
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


def settle(preset: Preset, seed: int, device: str) -> tuple[Preset, str]:
    """Decide the ``auto`` settings of ``preset`` by a measurement here; returns it with a sentence about that."""
    return choose(preset, lambda candidate: _one_of_each_update(candidate, seed, device), torch.device(device))


def _one_of_each_update(preset: Preset, seed: int, device: str) -> Callable[[], object]:
    """One world-model and one policy update, with at most 4 sampling steps, for timing."""
    few = min(4, preset.sampler.sampling_steps)
    short = preset.with_overrides(env_steps=1_000, prefill_steps=1, parallel_envs=1, sampling_steps=few)
    loop = ImaginationLoop(short, seed, device)
    while loop.replay.n_starts < 2:
        loop.act()
    loop.replay.refresh_normaliser()
    return lambda: (loop.fit_world_model(), loop.improve_policy())


class Training:
    """Drives an :class:`ImaginationLoop` to its end and keeps its run directory.

    Args:
        run: the directory.
        wall_seconds: that earlier parts of the run took.
        note: a sentence to print when it begins.

    Attributes:
        latest: the losses that were fetched last, by name.
        curves: in TensorBoard and, if asked for, in Weights & Biases.
    """

    def __init__(self, run: Path, preset_name: str, loop: ImaginationLoop, wall_seconds: float = 0.0, note: str = ""):
        self.directory = run
        self.preset_name = preset_name
        self.loop = loop
        self.note = note
        self.earlier_seconds = wall_seconds
        self.started = time.monotonic()
        self.latest: dict[str, float] = {}
        self.curves = Curves(run)

    def run(
        self,
        console: Console,
        minutes: float = math.inf,
        detect_anomaly: bool = False,
        supervision: Supervision | None = None,
    ) -> dict[str, Any]:
        """Train to the end and write the result; returns the content of result.json.

        Args:
            minutes: stop after this slice of time, with a checkpoint to go on from; then only the step is returned.
            detect_anomaly: find the line whose gradient becomes nan, at half the speed.
            supervision: records the progress, and stops the run in the same way once its supervisor has left.

        Raises:
            NotFiniteError: a number went wrong; it says which, at what step, and the last good checkpoint.
            OSError: the disk is full or gone; what was saved is whole.
        """
        loop = self.loop
        env_steps = loop.preset.loop.env_steps
        compiled = loop.preset.acceleration.compile
        if detect_anomaly and compiled != "none":
            raise InputError(f"--detect-anomaly follows each operation; use it with --compile none, not {compiled}")
        view = RunView(self.directory, loop, console, self.latest, self.wall_seconds, saved_step=loop.env_step)
        losses = LatestLosses(every=1 if detect_anomaly else REFRESH_EVERY)
        progress = ProgressLine(console, losses.every)
        checkpoints = Checkpoints(losses)
        observers = [losses, MetricsLog(), self.curves, progress, checkpoints, *([supervision] if supervision else [])]
        self._announce(console)
        try:
            for observer in observers:
                observer.begin(view)
            with anomaly_detection() if detect_anomaly else contextlib.nullcontext(), progress.bar:
                for metrics in loop.steps():
                    view.wall_seconds = self.wall_seconds
                    for observer in observers:
                        observer.after_step(view, metrics)
                    stop = self._seconds > 60 * minutes or (supervision and supervision.supervisor_left)
                    if stop and loop.env_step < env_steps:
                        checkpoints.save(view, metrics)
                        break
            if loop.env_step < env_steps:
                self._stop(view, observers)
                return {"finished": False, "env_step": loop.env_step, "run": str(self.directory)}
            return self._finish(view, observers)
        except KeyboardInterrupt:
            self._stop(view, observers)
            raise
        except NotFiniteError as last:
            error = losses.finite_check.cause() or last
            kept = f"the last good checkpoint is of step {view.saved_step}" if view.saved_step else "none was saved yet"
            raise NotFiniteError(f"{error}; {kept}") from None
        except OSError as error:
            raise OSError(f"{one_line(error)}. {_kept(view)}; go on with: {self._resume_command}") from None
        finally:
            loop.collector.close()

    @property
    def wall_seconds(self) -> float:
        """Time of training so far, with earlier parts of the run."""
        return self.earlier_seconds + self._seconds

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def _resume_command(self) -> str:
        return f"polygrad-edu train --resume {self.directory}"

    def _announce(self, console: Console) -> None:
        preset = self.loop.preset
        console.print(
            f"Learning {preset.task.env_id} in the imagination of {preset.description}: {preset.loop.env_steps:,} "
            f"real steps, seed {self.loop.seed}, on {self.loop.device}. Run directory: {self.directory}",
            soft_wrap=True,
        )
        if self.note:
            console.print(self.note, soft_wrap=True)

    def _stop(self, view: RunView, observers: Sequence[Observer]) -> None:
        """End before the last step, and say how to go on."""
        for observer in observers:
            observer.end(view, None)
        view.console.print(
            f"Stopped at step {self.loop.env_step:,}. {_kept(view)}. Continue with: {self._resume_command}",
            soft_wrap=True,
        )

    def _finish(self, view: RunView, observers: Sequence[Observer]) -> dict[str, Any]:
        """Evaluate the best policy and write the result and the video."""
        loop = self.loop
        env_id = loop.preset.task.env_id
        episodes = loop.preset.run.final_episodes
        remove_old(self.directory, loop.env_step)  # where a crash came between saving and tidying up
        returns = environments.evaluate(loop.make_env, loop.best_policy, episodes, REPORT_SEED, loop.device)
        result = make_result(self.preset_name, loop, returns, self.wall_seconds)
        write_json(self.directory / "result.json", result)
        for observer in observers:
            observer.end(view, result)
        make_video(loop, self.directory / "video.mp4")
        view.console.print(
            f"After {loop.env_step:,} steps in {env_id} and {self.wall_seconds / 60:.1f} minutes the policy, "
            f"trained only in imagination, reaches a return of {returns.mean():.0f} ± {returns.std():.0f} over "
            f"{episodes} new episodes; the run and its video.mp4 lie in {self.directory}.",
            reference_sentence(env_id),
            soft_wrap=True,
        )
        return result


def _kept(view: RunView) -> str:
    return f"Kept to step {view.saved_step:,}" if view.saved_step else "No checkpoint was written yet"
