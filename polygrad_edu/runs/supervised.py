"""A run that somebody watches: it tells how far it is and shows its policy, and ends well when the watcher leaves.

Whoever starts ``polygrad-edu train --attended`` holds the other end of its standard input. The moment that end is
closed, on purpose or because the process that held it is gone, the run writes a checkpoint and ends. An end of a pipe
is closed by every operating system however a process dies, so no run is left behind.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..drawing.rendering import draw_states
from ..environments import play_episode
from ..imagination_loop import REPORT_SEED
from .video import with_caption, write_video

if TYPE_CHECKING:
    from .training import Training

PROGRESS, FILM = "progress.jsonl", "policy.mp4"  # in the run directory
MOST_LINES = 1_000
FILM_FRAMES, FILM_SIZE, FILM_FPS = 60, (200, 150), 20


class Attendant:
    """Waits beside a run for its watcher to leave, and writes down what there is to see."""

    def __init__(self) -> None:
        self._left = threading.Event()
        self._told = -1
        threading.Thread(target=self._wait, args=(sys.stdin.fileno(),), daemon=True).start()

    def _wait(self, standard_input: int) -> None:
        while os.read(standard_input, 1024):  # not sys.stdin.read(), which would hold a lock at exit
            pass
        self._left.set()

    @property
    def left(self) -> bool:
        """Whether standard input has ended."""
        return self._left.is_set()

    def tell(self, training: Training, evaluated: bool) -> None:
        """Write a line of progress, at most ``MOST_LINES`` in a run, and a short film after each evaluation."""
        loop = training.loop
        if loop.env_step - self._told >= loop.preset.env_steps / MOST_LINES or evaluated:
            self._told = loop.env_step
            line = {"env_step": loop.env_step, "wall_seconds": round(training.wall_seconds, 1)} | training.latest
            with (training.directory / PROGRESS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        if evaluated:
            write_film(training, training.directory / FILM)


def write_film(training: Training, path: Path) -> None:
    """A small film of the kept policy's episode; it draws from no generator of the run's."""
    loop = training.loop
    env = loop.make_env()
    states = play_episode(env, loop.best_policy, REPORT_SEED, loop.device)
    shown = np.linspace(0, len(states) - 1, min(FILM_FRAMES, len(states))).round().astype(int)
    frames = draw_states(env, states[shown], *FILM_SIZE)
    env.close()
    captioned = [with_caption(frame, f"step {step}") for step, frame in zip(shown, frames, strict=True)]
    write_video(path, captioned, FILM_FPS)
