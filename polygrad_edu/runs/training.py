"""Training: a run from its first step to its result, with its run directory and its observers."""

from __future__ import annotations

import contextlib
import math
import random
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from .. import environments
from ..acceleration import choose, computable_on
from ..files.input_error import InputError
from ..files.progress import OnProgress, tell_nobody
from ..files.safe_files import one_line, write_json, write_whole
from ..imagination_loop import REPORT_SEED, ImaginationLoop, NotFiniteError, check_seed
from ..settings import Preset
from ..tasks.published_returns import reference_sentence
from .checkpoint import (
    Stored,
    check_is_run,
    has_checkpoint,
    read_checkpoint,
    read_config,
    rebuild,
    remove_old,
    write_config,
)
from .curves import Curves
from .finite_check import anomaly_detection
from .lock import LOCK, RunLock
from .observers import REFRESH_EVERY, Checkpoints, LatestLosses, MetricsLog, Observer, ProgressLine, RunView
from .result_file import make_result, read_result
from .supervised import Supervision
from .video import NO_VIDEO, VIDEO, make_video, try_to_film


def start_run(
    run: Path, preset_name: str, preset: Preset, seed: int, device: str, on_progress: OnProgress = tell_nobody
) -> Training:
    """Start a run in the directory ``run``, which must be new or empty. It seeds the process.

    Args:
        on_progress: told of the measurement that settles ``auto``, where there is one.

    Raises:
        InputError: ``run`` is taken, or the task or the device cannot be had; then nothing was written.
    """
    _check_is_free(run)
    check_seed(seed)
    preset, measured = settle(preset, seed, device, on_progress)
    seed_process(seed)
    with contextlib.ExitStack() as undone:
        loop = ImaginationLoop(preset, seed, device)  # before anything is written: the task may not exist
        undone.callback(loop.collector.close)
        run.mkdir(parents=True, exist_ok=True)
        lock = undone.enter_context(RunLock(run))
        _check_is_free(run)  # for another process may have taken it meanwhile
        write_config(run, preset_name, preset, seed)
        training = Training(run, preset_name, loop, lock, note=measured)
        undone.pop_all()
    return training


def _check_is_free(run: Path) -> None:
    leftover = {"config.json.partial", LOCK}  # of a run that was killed before it had begun
    if run.exists() and (not run.is_dir() or {path.name for path in run.iterdir()} - leftover):
        raise InputError(
            f"{run} is there already; continue it with --resume {shlex.quote(str(run))}, or choose another --out"
        )


def continue_run(run: Path, device: str, overrides: dict[str, str]) -> Training:
    """Continue the run in ``run`` from its last whole checkpoint, or from its beginning if there is none yet.

    It seeds the process.

    Raises:
        InputError: ``run`` is not a run directory, is damaged, belongs to other settings, or is being trained by
            another process.
    """
    check_is_run(run)
    with contextlib.ExitStack() as undone:
        lock = undone.enter_context(RunLock(run))
        name, own, seed = read_config(run)
        stored = read_checkpoint(run) if has_checkpoint(run) else None
        preset = _prolonged(own, overrides, stored)
        seed_process(seed + _step_of(stored))
        if stored:
            loop = rebuild(stored, preset, seed, device, own)
        else:
            loop = ImaginationLoop(computable_on(preset, device), seed, device)
        undone.callback(loop.collector.close)
        if stored:
            training = Training(run, name, loop, lock, float(stored.state["wall_seconds"]))
            training.latest = dict(stored.state["latest"])
        else:
            note = "It was stopped before its first checkpoint, so it starts from its beginning."
            training = Training(run, name, loop, lock, note=note)
        if overrides:
            write_config(run, name, preset, seed)
        undone.pop_all()
    return training


def _prolonged(own: Preset, overrides: dict[str, str], stored: Stored | None) -> Preset:
    """The settings of a run that goes on, with another number of steps.

    Raises:
        InputError: it has taken more steps already.
    """
    asked = own.with_overrides({"prefill_steps": 1} | overrides).loop.env_steps
    taken = min(_step_of(stored), own.loop.env_steps)  # environments side by side may take some more
    if asked < taken:
        raise InputError(f"the run is at step {taken:,} already; --env-steps must be at least {taken}, not {asked}")
    return own.with_overrides(overrides)


def _step_of(stored: Stored | None) -> int:
    """The step of a stored checkpoint, 0 where there is none; one that says none is refused later, with its reason."""
    step = stored.state["counters"].get("env_step") if stored else 0
    return step if isinstance(step, int) else 0


def seed_process(seed: int) -> None:
    """Seed Python, NumPy and torch, for tasks by others that draw from them.

    Runs of the command line own their process. Nothing else may call this: a library seeds nobody else's generators.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - for tasks that still draw from it
    torch.manual_seed(seed)


def settle(preset: Preset, seed: int, device: str, on_progress: OnProgress = tell_nobody) -> tuple[Preset, str]:
    """Decide the ``auto`` settings of ``preset`` by a measurement here; returns it with a sentence about that."""
    return choose(
        preset, lambda candidate: _one_of_each_update(candidate, seed, device), torch.device(device), on_progress
    )


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
        lock: of the directory; it is released when the training has ended.
        wall_seconds: that earlier parts of the run took.
        note: a sentence to print when it begins.

    Attributes:
        latest: the losses that were fetched last, by name.
        curves: in TensorBoard and, if asked for, in Weights & Biases.
    """

    def __init__(
        self,
        run: Path,
        preset_name: str,
        loop: ImaginationLoop,
        lock: RunLock,
        wall_seconds: float = 0.0,
        note: str = "",
    ):
        self.directory = run
        self.preset_name = preset_name
        self.loop = loop
        self.lock = lock
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
            self.lock.release()

    @property
    def wall_seconds(self) -> float:
        """Time of training so far, with earlier parts of the run."""
        return self.earlier_seconds + self._seconds

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def _resume_command(self) -> str:
        return f"polygrad-edu train --resume {shlex.quote(str(self.directory))}"

    def _announce(self, console: Console) -> None:
        preset = self.loop.preset
        self._print(
            console,
            f"Learning {preset.task.env_id} in the imagination of {preset.description}: {preset.loop.env_steps:,} "
            f"real steps, seed {self.loop.seed}, on {self.loop.device}. Run directory: {self.directory}",
        )
        if self.note:
            self._print(console, self.note)

    def _stop(self, view: RunView, observers: Sequence[Observer]) -> None:
        """End before the last step, and say how to go on."""
        for observer in observers:
            observer.end(view, None)
        self._print(
            view.console,
            f"Stopped at step {self.loop.env_step:,}. {_kept(view)}. Continue with: {self._resume_command}",
        )

    def _finish(self, view: RunView, observers: Sequence[Observer]) -> dict[str, Any]:
        """Evaluate the best policy, write the result and the video, and say so; of a finished run, what is missing."""
        loop = self.loop
        remove_old(self.directory, loop.env_step)  # where a crash came between saving and tidying up
        found = self._result_of_this_step()
        result = found or self._evaluate()
        for observer in observers:
            observer.end(view, result)
        reached = f"a return of {result['return_mean']:.0f} ± {result['return_std']:.0f} over {result['episodes']}"
        no_video = self._film()
        where = f"the run {'and its video.mp4 lie' if not no_video else 'lies'} in {self.directory}."
        if found:
            said = (
                f"The run was finished already: {loop.env_step:,} steps, {reached} episodes; {where} To go on, ask for "
                f"more steps: {self._resume_command} --env-steps {2 * loop.preset.loop.env_steps}"
            )
        else:
            env_id = loop.preset.task.env_id
            said = (
                f"After {loop.env_step:,} steps in {env_id} and {self.wall_seconds / 60:.1f} minutes the policy, "
                f"trained only in imagination, reaches {reached} new episodes; {where} {reference_sentence(env_id)}"
            )
        self._print(view.console, said.rstrip())
        if no_video:
            self._print(view.console, f"There is no video: {no_video.rstrip('.')}.")
        return result

    def _result_of_this_step(self) -> dict[str, Any] | None:
        """The content of result.json, if it tells of the step that the run is at."""
        try:
            result = read_result(self.directory / "result.json")
        except InputError:  # none yet, or a damaged one
            return None
        return result if result["env_steps"] == self.loop.env_step else None

    def _evaluate(self) -> dict[str, Any]:
        """Evaluate the best policy in new episodes, and write the result."""
        loop = self.loop
        episodes = loop.preset.run.final_episodes
        returns = environments.evaluate(loop.make_env, loop.best_policy, episodes, REPORT_SEED, loop.device)
        result = make_result(self.preset_name, loop, returns, self.wall_seconds)
        for name in (VIDEO, NO_VIDEO):  # of an earlier end, if the run was prolonged
            (self.directory / name).unlink(missing_ok=True)
        write_json(self.directory / "result.json", result)
        return result

    def _film(self) -> str:
        """Make the run's video if there is none; returns the reason where it cannot be made, and keeps it in a file.

        Raises:
            OSError: not even the reason could be written.
        """
        if (self.directory / VIDEO).is_file():
            return ""
        why = try_to_film(lambda: make_video(self.loop, self.directory / VIDEO))
        if why:
            write_whole(self.directory / NO_VIDEO, f"{why}\n".encode())
        else:
            (self.directory / NO_VIDEO).unlink(missing_ok=True)
        return why

    @staticmethod
    def _print(console: Console, text: str) -> None:
        """Print a sentence as it is: a path may hold brackets, which would be taken for markup."""
        console.print(text, soft_wrap=True, markup=False)


def _kept(view: RunView) -> str:
    return f"Kept to step {view.saved_step:,}" if view.saved_step else "No checkpoint was written yet"
