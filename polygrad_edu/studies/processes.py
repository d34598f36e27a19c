"""Trials on this machine, each in a process of its own, exactly as ``polygrad-edu train`` would run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from .trials import Ending, Trial, last_line

POLL_SECONDS = 0.5


class Processes:
    """Engine that trains side by side in processes; a process that is killed from outside is a lost worker.

    Args:
        jobs: processes at a time.
        threads: of each process, on a CPU; more threads than cores make all of them slower.
        keep_open: file descriptors that each process holds until it ends, such as a lock's.
        options: of ``polygrad-edu train`` that are no settings, for every process.
    """

    def __init__(self, jobs: int, threads: int = 1, keep_open: tuple[int, ...] = (), options: tuple[str, ...] = ()):
        self.jobs = jobs
        self.threads = threads
        self.keep_open = keep_open
        self.options = options
        self.running: dict[str, tuple[Trial, subprocess.Popen[bytes]]] = {}

    def slots(self) -> int:
        return self.jobs

    def start(self, trial: Trial) -> None:
        trial.forget_an_early_end()
        arguments = [*trial.arguments(), "--out", str(trial.directory)]
        if trial.has_checkpoint:
            arguments = ["train", "--resume", str(trial.directory), "--device", trial.device]
        environment = dict(os.environ)
        if trial.device == "cpu":
            environment["OMP_NUM_THREADS"] = str(self.threads)
        trial.directory.parent.mkdir(parents=True, exist_ok=True)
        with trial.log.open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "polygrad_edu", *arguments, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=self.keep_open,
            )
        self.running[trial.name] = trial, process

    def ended(self) -> list[tuple[Trial, Ending]]:
        over = [(trial, process) for trial, process in self.running.values() if process.poll() is not None]
        if not over:
            time.sleep(POLL_SECONDS)
        for trial, _ in over:
            del self.running[trial.name]
        return [(trial, _ending(trial, process.returncode)) for trial, process in over]

    def stop(self) -> None:
        """End the processes, and wait for them: the files that they are writing become whole."""
        for _, process in self.running.values():
            process.terminate()
        for _, process in self.running.values():
            process.wait()
        self.running.clear()


def _ending(trial: Trial, status: int) -> Ending:
    if status < 0:
        return Ending("lost", f"killed by {signal.Signals(-status).name}")
    return Ending("failed", last_line(trial.log)) if status else Ending("finished")
