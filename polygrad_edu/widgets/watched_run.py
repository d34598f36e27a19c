"""Watched run: a training run in a process of its own that a notebook can start, pause and resume.

Pausing closes the run's standard input: the run writes a checkpoint at the step it has reached and ends. So nothing is
lost, nothing waits in memory, and it works on every system with pipes. Resuming is ``polygrad-edu train --resume``,
which continues from that checkpoint, equal to the last bit.
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
    """Status of a run: ``new``, ``training``, ``saving``, ``paused``, ``finished``, or ``failed`` with its reason."""

    name: str
    reason: str = ""


class WatchedRun:
    """Run directory, and the process that trains in it while there is one.

    Args:
        directory: of the run; it need not exist yet.
        preset, seed: of the run; default: those of a run in the directory, else inverted-pendulum and 0.
        settings: settings of the preset that differ, by name.

    Raises:
        ValueError: the preset or a setting is unknown, or ``directory`` holds another run or something else.
    """

    def __init__(self, directory: Path, preset: str | None = None, seed: int | None = None, **settings: Any):
        self.directory = Path(directory)
        words = _as_words(settings)
        if (self.directory / "config.json").exists():
            self.preset_name, self.preset, self.seed = read_config(self.directory)
            self.check(preset, seed, **settings)
        elif self.directory.exists() and (not self.directory.is_dir() or any(self.directory.iterdir())):
            raise ValueError(f"{self.directory} is there already and no run; name a directory that is new")
        else:
            self.preset_name = preset or "inverted-pendulum"
            self.seed = seed or 0
            self.preset = get_preset(self.preset_name).with_overrides(words)
        self._options = [part for name, value in words.items() for part in (f"--{name.replace('_', '-')}", value)]
        self.watchers: weakref.WeakSet[object] = weakref.WeakSet()  # when the last one goes, the run ends
        self._process: subprocess.Popen[Any] | None = None
        self._lock = threading.RLock()

    def check(self, preset: str | None = None, seed: int | None = None, **settings: Any) -> None:
        """Check that this run has the wanted preset, seed and settings; ``None`` matches any.

        Raises:
            ValueError: it does not; the message names the first difference.
        """
        wanted = self.preset.with_overrides(_as_words(settings)).to_json()
        found = self.preset.to_json()
        pairs: dict[str, tuple[Any, Any]] = {"preset": (preset, self.preset_name), "seed": (seed, self.seed)}
        pairs |= {name: (wanted[name], found[name]) for name in settings}
        for name, (wish, held) in pairs.items():
            if wish is not None and wish != held:
                raise ValueError(f"{self.directory} holds a run with {name} {held}, not {wish}; name another directory")

    @property
    def log(self) -> Path:
        """File with the output of the process, beside the run."""
        return self.directory.with_name(self.directory.name + ".log")

    @property
    def status(self) -> Status:
        """Current status of the run, from its process and its directory."""
        with self._lock:
            process = self._process
            code = None if process is None else process.poll()
            if process is not None and code is None:
                return Status("saving" if process.stdin and process.stdin.closed else "training")
            if (self.directory / "result.json").exists():
                return Status("finished")
            if code:
                return Status("failed", self._reason(code))
            return Status("paused" if list_checkpoints(self.directory) else "new")

    def start(self) -> None:
        """Start the run, or resume it from its last checkpoint.

        Raises:
            ValueError: it is training already or finished, or the directory holds a run without a checkpoint.
        """
        with self._lock:
            status = self.status.name
            if status in ("training", "saving", "finished"):
                raise ValueError(f"the run in {self.directory} is {status}; it cannot be started")
            command = [sys.executable, "-m", "polygrad_edu", "train", "--supervised"]
            if list_checkpoints(self.directory):
                command += ["--resume", str(self.directory)]
            elif self.directory.exists() and any(self.directory.iterdir()):
                raise ValueError(f"{self.directory} holds a run without a checkpoint; name a directory that is new")
            else:
                command += [self.preset_name, "--seed", str(self.seed), "--out", str(self.directory), *self._options]
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 2) - 1))} | os.environ  # leave a core
            environment.pop("FORCE_COLOR", None)  # set by kernels, and wrong for a log
            with self.log.open("ab") as log:
                pipes = {"stdin": subprocess.PIPE, "stdout": log, "stderr": log}
                self._process = subprocess.Popen(command, env=environment, **pipes, **_own_group())

    def pause(self) -> None:
        """Let the run write a checkpoint and end; return at once, with the status ``saving`` until it has ended."""
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()

    def wait(self, seconds: float) -> int | None:
        """Wait for the process to end; return its exit status, or ``None`` after that many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return None if self._process is None else self._process.wait(seconds)

    def _reason(self, code: int) -> str:
        """Reason of a failure: the signal that ended the process, or the last line of its output."""
        if code < 0:
            return f"the training process was ended by {signal.Signals(-code).name}"
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        said = lines[-1].removeprefix("polygrad-edu: ") if lines else "it said nothing"
        return f"the training process ended with status {code}: {said}"


def _own_group() -> dict[str, Any]:
    """Options for a process group of its own, since an interrupt of the notebook's cell goes to the whole group."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _as_words(settings: dict[str, Any]) -> dict[str, str]:
    """Settings as words of the command line."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in settings.items()}
