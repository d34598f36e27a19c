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
MOST_POINTS = 300  # of a curve
STATUSES = ("new", "training", "saving", "paused", "stopped", "finished", "failed")
_RUNS: dict[Path, WatchedRun] = {}  # a cell that is run again shows the run that it began


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file of metrics; none if there is no file. One that is being written is left out."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return [line for line in lines if isinstance(line, dict) and "env_step" in line]


def run_curves(run: Path) -> dict[str, Any]:
    """Return, world model's loss and on-policy std of a run directory, each [steps, values]."""
    evaluated = read_lines(run / "metrics.jsonl")
    fine = read_lines(run / PROGRESS) or evaluated  # a run that nobody watched has only its evaluations

    def curve(lines: list[dict[str, Any]], name: str) -> list[list[float]]:
        found = [(line["env_step"], line[name]) for line in lines if line.get(name) is not None]
        every = max(1, -(-len(found) // MOST_POINTS))
        kept = found[:-1:every] + found[-1:]
        return [[step for step, _ in kept], [value for _, value in kept]]

    return {
        "return": curve(evaluated, "eval_return"),
        "loss": curve(fine, "world_model_loss"),
        "std": curve(fine, "action_std"),
    }


def watcher_frame(run: Path, status: str, preset: str, env_steps: int) -> dict[str, Any]:
    """What :class:`TrainingWatcher` draws of a run directory.

    Args:
        run: the directory; it need not be there yet.
        status: of ``STATUSES``.
        preset: its name; the run of that name that comes with the course, if there is one, is drawn in grey.
        env_steps: real steps to the end.

    Raises:
        ValueError: no such status.
    """
    if status not in STATUSES:
        raise ValueError(f"status {status!r} is unknown; choose one of {', '.join(STATUSES)}")
    lines = read_lines(run / PROGRESS) or read_lines(run / "metrics.jsonl")
    last = lines[-1] if lines else {"env_step": 0, "wall_seconds": 0.0}
    step, kept_at = int(last["env_step"]), list_checkpoints(run)
    if status not in ("training", "saving"):  # what counts is where it would go on
        step = env_steps if status == "finished" else int(kept_at[-1].stem.split("-")[1]) if kept_at else 0
    if status in ("training", "saving"):
        toggle = "Pause"
    else:
        toggle = "Resume" if kept_at and status in ("paused", "failed") else "Start"
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
    """How it stands, in words; what changes from second to second is left to the picture."""
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
    """A training run with buttons, live curves and a film of its policy. Nothing is trained before Start is pressed.

    The run is a process of its own (``polygrad-edu train``), so the notebook stays free for other cells. Pause and Stop
    write a checkpoint; so does the run by itself when the kernel ends. A paused run can be resumed from any notebook.

    Args:
        preset, seed: what to train; default: as the run that is there, else inverted-pendulum and 0.
        directory: where; default ``runs/PRESET-watched``.
        settings: of the preset, by name, where the run shall differ from it.

    Raises:
        ValueError: an unknown preset or setting, or the directory holds something else.
    """

    title = "Training watcher"
    script = "training_watcher.js"
    entry = "renderWatcher"
    _run: WatchedRun
    film = traitlets.Unicode().tag(sync=True)  # the address of a small video, with the video in it

    def __init__(
        self, preset: str | None = None, seed: int | None = None, directory: str | Path | None = None, **settings: Any
    ):
        self._wanted = Path(directory or Path("runs") / f"{preset or 'inverted-pendulum'}-watched")
        self._choices: dict[str, Any] = {"preset": preset, "seed": seed, **settings}
        place = self._wanted.resolve()
        if place not in _RUNS:
            _RUNS[place] = WatchedRun(self._wanted, **self._choices)
        _RUNS[place].check(**self._choices)
        self._run, self._stopped = _RUNS[place], False
        self._run.watchers.add(self)
        self._lock = threading.RLock()
        self._filmed = 0  # when the film was made, in nanoseconds
        self._follower: threading.Thread | None = None
        self.compute = lambda: watcher_frame(self.run, self.status, self._run.preset_name, self._run.preset.env_steps)
        super().__init__([])
        self._follow()

    @property
    def run(self) -> Path:
        """The run's directory."""
        return self._run.directory

    @property
    def status(self) -> str:
        """One of ``STATUSES``."""
        name = self._run.status.name
        return "stopped" if self._stopped and name == "paused" else name

    def start(self) -> None:
        """Begin a run, or go on with one that is paused; after an end, in a new directory beside the old one."""
        if self._frame({})["data"]["buttons"]["toggle"] == "Start" and self.run.exists():
            self._run = WatchedRun(_free(self._wanted), **self._choices)
            self._run.watchers.add(self)
            _RUNS[self._wanted.resolve()] = self._run
        self._stopped = False
        self._run.start()
        self._follow()

    def pause(self) -> None:
        """Have the run write a checkpoint and end; :meth:`start` goes on from it."""
        self._run.pause()
        self.refresh()

    def stop(self) -> None:
        """The same, for good: the next :meth:`start` begins a new run."""
        self._stopped = True
        self.pause()

    def close(self) -> None:
        """Take the widget away; if no other shows its run, that is saved and ends."""
        if run := self.__dict__.get("_run"):  # there is none if it was never made
            run.watchers.discard(self)
            if not run.watchers:
                run.pause()
        super().close()

    def refresh(self) -> None:
        """Show what the run has come to. While it trains this happens every second by itself."""
        with self._lock:
            path = self.run / FILM
            made = path.stat().st_mtime_ns if path.is_file() else 0
            if made != self._filmed:
                self._filmed = made
                self.film = "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode() if made else ""
            self.frame = self._frame({})

    def _frame(self, state: dict[str, Any], number: int = 0, view: str = "") -> dict[str, Any]:
        frame = super()._frame(state, number, view)
        return frame | {"error": frame["error"] or self._run.status.said or None}

    def _follow(self) -> None:
        """Refresh by a thread of its own, which a busy kernel does not hold up, for as long as the run trains."""
        self.refresh()
        with self._lock:
            if self._follower is None:
                self._follower = threading.Thread(target=self._keep_refreshing, daemon=True)
                self._follower.start()

    def _keep_refreshing(self) -> None:
        while True:
            with self._lock:
                if self.status not in ("training", "saving"):
                    self._follower = None
                    return
            self._run.wait(REFRESH_SECONDS)
            self.refresh()

    def _asked(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """A button was pressed."""
        press = {"Start": self.start, "Resume": self.start, "Pause": self.pause, "Stop": self.stop}[content["press"]]
        try:
            press()
        except (ValueError, OSError) as error:
            self.frame = self.frame | {"error": str(error)}


def _free(directory: Path) -> Path:
    """``directory`` with the first number that is not taken."""
    number = 2
    while (free := directory.with_name(f"{directory.name}-{number}")).exists():
        number += 1
    return free
