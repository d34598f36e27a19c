"""A training run in a process of its own, which whoever watches it can start, pause, resume and stop.

To pause is to close the run's standard input: it writes a checkpoint at the step it has reached and ends, so nothing is
lost, nothing waits in memory, and it works wherever there are pipes. To resume is ``polygrad-edu train --resume``: it
goes on from that checkpoint to the last bit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any, NamedTuple

from ..presets import get_preset
from ..runs.checkpoint import list_checkpoints, read_config


class Status(NamedTuple):
    """What a run is doing: ``new``, ``training``, ``saving``, ``paused``, ``finished`` or ``failed``; and why."""

    name: str
    said: str = ""


class WatchedRun:
    """One run directory, and the process that trains in it while there is one.

    Args:
        directory: where the run lies, or will.
        preset, seed: of the run; default: those of a run that is there, else inverted-pendulum and 0.
        settings: of the preset, by name, where the run differs from it.

    Raises:
        ValueError: an unknown preset or setting, or a ``directory`` that holds another run or something else.
    """

    def __init__(self, directory: Path, preset: str | None = None, seed: int | None = None, **settings: Any):
        self.directory = Path(directory)
        words = _in_words(settings)
        if (self.directory / "config.json").exists():
            self.preset_name, self.preset, self.seed = read_config(self.directory)
            self.check(preset, seed, **settings)
        elif self.directory.exists() and (not self.directory.is_dir() or any(self.directory.iterdir())):
            raise ValueError(f"{self.directory} is there already and no run; name a directory that is new")
        else:
            self.preset_name, self.seed = preset or "inverted-pendulum", seed or 0
            self.preset = get_preset(self.preset_name).with_overrides(words)
        self._options = [part for name, value in words.items() for part in (f"--{name.replace('_', '-')}", value)]
        self.watchers: weakref.WeakSet[object] = weakref.WeakSet()  # when the last one goes, the run ends
        self._process: subprocess.Popen[Any] | None = None
        self._lock = threading.RLock()

    def check(self, preset: str | None = None, seed: int | None = None, **settings: Any) -> None:
        """Refuse a wish that this run does not fulfil.

        Raises:
            ValueError: naming the first setting that is another.
        """
        wanted = self.preset.with_overrides(_in_words(settings))
        pairs = {"preset": (preset, self.preset_name), "seed": (seed, self.seed)}
        pairs |= {name: (getattr(wanted, name), getattr(self.preset, name)) for name in settings}
        for name, (wish, found) in pairs.items():
            if wish is not None and wish != found:
                raise ValueError(
                    f"{self.directory} holds a run with {name} {found}, not {wish}; name another directory"
                )

    @property
    def log(self) -> Path:
        """What the process said, beside the run."""
        return self.directory.with_name(self.directory.name + ".log")

    @property
    def status(self) -> Status:
        """What the run is doing now, from its process and its directory."""
        with self._lock:
            process = self._process
            code = None if process is None else process.poll()
            if process is not None and code is None:
                return Status("saving" if process.stdin and process.stdin.closed else "training")
            if (self.directory / "result.json").exists():
                return Status("finished")
            if code:
                return Status("failed", self._why(code))
            return Status("paused" if list_checkpoints(self.directory) else "new")

    def start(self) -> None:
        """Begin, or go on from the last checkpoint.

        Raises:
            ValueError: it is training already, or finished.
        """
        with self._lock:
            status = self.status.name
            if status in ("training", "saving", "finished"):
                raise ValueError(f"the run in {self.directory} is {status}; it cannot be started")
            command = [sys.executable, "-m", "polygrad_edu", "train", "--attended"]
            if list_checkpoints(self.directory):
                command += ["--resume", str(self.directory)]
            elif self.directory.exists() and any(self.directory.iterdir()):
                raise ValueError(f"{self.directory} holds a run without a checkpoint; name a directory that is new")
            else:
                command += [self.preset_name, "--seed", str(self.seed), "--out", str(self.directory), *self._options]
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 2) - 1))} | os.environ  # leave a core
            environment.pop("FORCE_COLOR", None)  # a kernel's, and nothing for a log
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, **_own_group()
                )  # fmt: skip

    def pause(self) -> None:
        """Have it write a checkpoint and end; returns at once, and the status says ``saving`` until it has."""
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()

    def wait(self, seconds: float) -> int | None:
        """Return when the process ends, with its exit status, or after so many seconds, with none."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return None if self._process is None else self._process.wait(seconds)

    def _why(self, code: int) -> str:
        """The last line that the process said, or how it was ended."""
        if code < 0:
            return f"the training process was ended by {signal.Signals(-code).name}"
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        said = lines[-1].removeprefix("polygrad-edu: ") if lines else "it said nothing"
        return f"the training process ended with status {code}: {said}"


def _own_group() -> dict[str, Any]:
    """An interrupt of the notebook's cell is not for the run: a terminal or kernel sends it to a whole group."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _in_words(settings: dict[str, Any]) -> dict[str, str]:
    """As the command line has them."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in settings.items()}
