"""Training watcher: start, pause and stop a training run from a notebook, and see it learn."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path
from typing import Any

import traitlets

from ..course.paths import find_shared
from ..files.safe_files import read_json
from ..runs.checkpoint import list_checkpoints
from ..runs.supervised import FILM, PROGRESS
from .base import LessonWidget
from .watched_run import WatchedRun

REFRESH_SECONDS = 1.0
MAX_POINTS = 300  # of a curve
STATUSES = ("new", "training", "saving", "paused", "stopped", "finished", "failed")
_RUNS: dict[Path, WatchedRun] = {}  # so that a cell that is run again shows the run it started


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the complete lines of a file of metrics; none if there is no file."""
    lines: list[Any] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:  # a line that is being written
            continue
    return [line for line in lines if isinstance(line, dict) and "env_step" in line]


def run_curves(run: Path) -> dict[str, Any]:
    """Curves of a run directory, each [steps, values]: return, world model's loss, and on-policy std."""
    evaluated = read_lines(run / "metrics.jsonl")
    fine = read_lines(run / PROGRESS) or evaluated  # a run that was not watched has only its evaluations

    def curve(lines: list[dict[str, Any]], name: str) -> list[list[float]]:
        found = [(line["env_step"], line[name]) for line in lines if line.get(name) is not None]
        every = max(1, -(-len(found) // MAX_POINTS))
        kept = found[:-1:every] + found[-1:]
        return [[step for step, _ in kept], [value for _, value in kept]]

    return {
        "return": curve(evaluated, "eval_return"),
        "loss": curve(fine, "world_model_loss"),
        "std": curve(fine, "action_std"),
    }


def watcher_frame(run: Path, status: str, preset: str, env_steps: int) -> dict[str, Any]:
    """Compute the frame of :class:`TrainingWatcher` from a run directory.

    Args:
        run: the directory; it need not exist yet.
        status: one of ``STATUSES``.
        preset: its name; the run of that name that comes with the course, if there is one, is drawn in grey.
        env_steps: real steps of the whole run.

    Raises:
        ValueError: there is no such status.
    """
    if status not in STATUSES:
        raise ValueError(f"status {status!r} is unknown; choose one of {', '.join(STATUSES)}")
    lines = read_lines(run / PROGRESS) or read_lines(run / "metrics.jsonl")
    last = lines[-1] if lines else {"env_step": 0, "wall_seconds": 0.0}
    checkpoints = list_checkpoints(run)
    if status in ("training", "saving"):
        step = int(last["env_step"])
        toggle = "Pause"
    else:  # the step from which it would continue
        step = env_steps if status == "finished" else int(checkpoints[-1].stem.split("-")[1]) if checkpoints else 0
        toggle = "Resume" if checkpoints and status in ("paused", "failed") else "Start"
    kept = find_shared("results") / preset
    kept = kept if (kept / "metrics.jsonl").is_file() else None
    return {
        "run": run_curves(run),
        "kept": run_curves(kept) if kept else None,
        "progress": {"step": step, "of": env_steps, "seconds": round(float(last["wall_seconds"]))},
        "status": status,
        "buttons": {"toggle": toggle, "stop": status == "training" or toggle == "Resume"},
        "text": sentence(run, status, preset, env_steps, step, kept),
    }


def sentence(run: Path, status: str, preset: str, env_steps: int, step: int, kept: Path | None) -> str:
    """Sentence about the run's status; numbers that change every second are left to the picture."""
    if status == "finished":
        result = read_json(run / "result.json")
        return (
            f"Finished after {result['env_steps']:,} real steps and {result['wall_seconds']:.0f} seconds: a return of "
            f"{result['return_mean']:.0f} ± {result['return_std']:.0f} over {result['episodes']} new episodes. "
            f"The run and its video.mp4 lie in {run}."
        )
    if status == "new":
        words = f"Start trains {preset} for {env_steps:,} real steps, in a process of its own and in {run}."
        if kept is None:
            return words
        result = read_json(kept / "result.json")
        words += f" In grey, the run that comes with the course: {result['wall_seconds']:.0f} seconds to a return of "
        return words + f"{result['return_mean']:.0f}."
    where = {
        "training": f"{preset} is training.",
        "saving": "The run is writing its checkpoint.",
        "paused": f"Paused at step {step:,} of {env_steps:,}; it is kept in {run}, and Resume goes on from there.",
        "stopped": f"Stopped at step {step:,} of {env_steps:,}; it is kept in {run}. Start begins a new run.",
        "failed": "The run has failed.",
    }[status]
    evaluated = [line for line in read_lines(run / "metrics.jsonl") if line.get("eval_return") is not None]
    if not evaluated:
        return f"{where} The policy has not been evaluated yet."
    latest = evaluated[-1]
    words = f"{where} At step {latest['env_step']:,} the policy returned {latest['eval_return']:.0f}, at best "
    words += f"{latest['best_return']:.0f}"
    if "action_std" in latest:
        words += f"; the world model's loss was {latest['world_model_loss']:.3f} and the imagined actions' std "
        words += f"{latest['action_std']:.2f} of the policy's (1 is right)"
    return words + "."


class TrainingWatcher(LessonWidget):
    """Widget for a training run, with buttons, live curves and a film of its policy.

    Nothing is trained before Start is pressed. The run is a process of its own (``polygrad-edu train``), so the
    notebook stays free for other cells. Pause and Stop write a checkpoint; so does the run itself when the kernel ends.
    A paused run can be resumed from any notebook.

    Args:
        preset, seed: of the run; default: those of a run in the directory, else inverted-pendulum and 0.
        directory: of the run; default: ``runs/PRESET-watched``.
        settings: settings of the preset that differ, by name.

    Raises:
        ValueError: the preset or a setting is unknown, or the directory holds something else.
    """

    title = "Training watcher"
    script = "training_watcher.js"
    entry = "renderWatcher"
    _run: WatchedRun
    film = traitlets.Unicode().tag(sync=True)  # data URL of a small video

    def __init__(
        self, preset: str | None = None, seed: int | None = None, directory: str | Path | None = None, **settings: Any
    ):
        self._wanted = Path(directory or Path("runs") / f"{preset or 'inverted-pendulum'}-watched")
        self._choices: dict[str, Any] = {"preset": preset, "seed": seed, **settings}
        place = self._wanted.resolve()
        if place not in _RUNS:
            _RUNS[place] = WatchedRun(self._wanted, **self._choices)
        _RUNS[place].check(**self._choices)
        self._run = _RUNS[place]
        self._run.watchers.add(self)
        self._stopped = False
        self._lock = threading.RLock()
        self._filmed = 0  # time of the film shown, in nanoseconds
        self._follower: threading.Thread | None = None
        self.compute = lambda: watcher_frame(
            self.run, self.status, self._run.preset_name, self._run.preset.loop.env_steps
        )
        super().__init__([])
        self._follow()

    @property
    def run(self) -> Path:
        """Directory of the run."""
        return self._run.directory

    @property
    def status(self) -> str:
        """Status of the run, one of ``STATUSES``."""
        name = self._run.status.name
        return "stopped" if self._stopped and name == "paused" else name

    def start(self) -> None:
        """Start a run or resume a paused one; after its end, start a new one in a directory beside the old one."""
        if self._frame({})["data"]["buttons"]["toggle"] == "Start" and self.run.exists():
            self._run = WatchedRun(_free(self._wanted), **self._choices)
            self._run.watchers.add(self)
            _RUNS[self._wanted.resolve()] = self._run
        self._stopped = False
        self._run.start()
        self._follow()

    def pause(self) -> None:
        """Let the run write a checkpoint and end; :meth:`start` resumes from it."""
        self._run.pause()
        self.refresh()

    def stop(self) -> None:
        """Let the run write a checkpoint and end for good; the next :meth:`start` starts a new run."""
        self._stopped = True
        self.pause()

    def close(self) -> None:
        """Close the widget; a run that no other widget shows writes a checkpoint and ends."""
        if run := self.__dict__.get("_run"):  # missing if the constructor failed
            run.watchers.discard(self)
            if not run.watchers:
                run.pause()
        super().close()

    def refresh(self) -> None:
        """Show the run's latest state; while it trains this happens every second by itself."""
        with self._lock:
            path = self.run / FILM
            made = path.stat().st_mtime_ns if path.is_file() else 0
            if made != self._filmed:
                self._filmed = made
                self.film = "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode() if made else ""
            self.frame = self._frame({})

    def _frame(self, state: dict[str, Any], number: int = 0, view: str = "") -> dict[str, Any]:
        frame = super()._frame(state, number, view)
        return frame | {"error": frame["error"] or self._run.status.reason or None}

    def _follow(self) -> None:
        """Refresh while the run trains, in a thread of its own, which a busy kernel does not delay."""
        self.refresh()
        with self._lock:
            if self._follower is None:
                self._follower = threading.Thread(target=self._keep_refreshing, daemon=True)
                self._follower.start()

    def _keep_refreshing(self) -> None:
        """Refresh every second until the run no longer trains."""
        while True:
            with self._lock:
                if self.status not in ("training", "saving"):
                    self._follower = None
                    return
            self._run.wait(REFRESH_SECONDS)
            self.refresh()

    def _asked(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Handle a pressed button."""
        press = {"Start": self.start, "Resume": self.start, "Pause": self.pause, "Stop": self.stop}[content["press"]]
        try:
            press()
        except (ValueError, OSError) as error:
            self.frame = self.frame | {"error": str(error)}


def _free(directory: Path) -> Path:
    """``directory`` with the first number for which it does not exist."""
    number = 2
    while (free := directory.with_name(f"{directory.name}-{number}")).exists():
        number += 1
    return free
