"""Supervised runs: a run that writes down its progress for the process that started it, and stops when that is gone.

The supervisor, for example a notebook's widget, starts ``polygrad-edu train --supervised`` and holds the other end of
its standard input. When that end is closed, on purpose or because the supervisor has died, the run writes a checkpoint
and stops. Every operating system closes a pipe however a process ends, so no run is left behind.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from ..drawing.rendering import draw_states
from ..environments import play_episode
from ..imagination_loop import REPORT_SEED, ImaginationLoop
from .observers import PROGRESS, REFRESH_EVERY, Observer, RunView
from .video import try_to_film, with_caption, write_video

FILM = "policy.mp4"  # in the run directory
MAX_LINES = 1_000  # of progress.jsonl in a run, beside those of the evaluations
FILM_FRAMES = 60
FILM_SIZE = (200, 150)
FILM_FPS = 20


class Supervision(Observer):
    """Writes a run's progress for its supervisor, and notices when the supervisor has left."""

    def __init__(self) -> None:
        self._left = threading.Event()
        self._written = -1  # the step of the last line
        self._films = True  # until the first one that cannot be made
        threading.Thread(target=self._wait, args=(sys.stdin.fileno(),), daemon=True).start()

    def _wait(self, standard_input: int) -> None:
        while os.read(standard_input, 1024):  # not sys.stdin.read(), which would hold a lock at exit
            pass
        self._left.set()

    @property
    def supervisor_left(self) -> bool:
        """True if standard input has ended."""
        return self._left.is_set()

    def after_step(self, run: RunView, metrics: dict[str, Any]) -> None:
        evaluated = "eval_return" in metrics
        if not (evaluated or run.loop.times_due(REFRESH_EVERY)):
            return
        step = run.loop.env_step
        if evaluated or step - self._written >= run.loop.preset.loop.env_steps / MAX_LINES:
            self._written = step
            with (run.directory / PROGRESS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(run.progress_line()) + "\n")
        if evaluated and self._films:
            why = try_to_film(lambda: write_film(run.loop, run.directory / FILM))
            if why:
                self._films = False
                run.console.print(f"There are no films of this run: {why.rstrip('.')}.", soft_wrap=True, markup=False)


def write_film(loop: ImaginationLoop, path: Path) -> None:
    """Write a small film of an episode of the best policy; draws from none of the run's generators."""
    env = loop.make_env()
    states = play_episode(env, loop.best_policy, REPORT_SEED, loop.device)
    shown = np.linspace(0, len(states) - 1, min(FILM_FRAMES, len(states))).round().astype(int)
    frames = draw_states(env, states[shown], *FILM_SIZE)
    env.close()
    captioned = [with_caption(frame, f"step {step}") for step, frame in zip(shown, frames, strict=True)]
    write_video(path, captioned, FILM_FPS)
