"""Student's process seen from outside: started in the sandbox, watched, interrupted, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from .bubblewrap import with_folder
from .exposed import may_use
from .link import Link

CELL_SECONDS = 60
START_SECONDS = 180
PATIENCE = 5  # by the clock the checks wait for a cell this many times its seconds, while it has not computed for them
GRACE_SECONDS = 5  # between the interrupt of a cell and the end of its process
MAX_OUTPUT_BYTES = 200_000  # of one cell
MAX_SCRATCH_BYTES = 256 * 2**20  # of all files together


def environment(scratch: Path) -> dict[str, str]:
    """Environment variables of the process: where Python is, and ``scratch`` as the place for all its files."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "VIRTUAL_ENV") if name in os.environ}
    own = {name: str(scratch) for name in ("HOME", "TMPDIR", "MPLCONFIGDIR")}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    return kept | own | threads | {"PYTHONDONTWRITEBYTECODE": "1"}


class Step(NamedTuple):
    """Step that the process is at: one cell or test."""

    seconds: int  # that it may compute
    waited_before: float  # by the checks for the process
    cpu_before: float


class StudentProcess:
    """One process for a student's code.

    Args:
        scratch: the only folder that it may write to.
        namespaces: command prefix of :func:`.sandbox.namespaces`.
        cell_seconds: computing time of one cell, or of one test.

    Attributes:
        link: to the process.
        problem: reason why the present step was interrupted; empty if it was not.
        by_clock: True if that was the clock, and not computing time or output: perhaps no fault of the answer.
    """

    def __init__(self, scratch: Path, namespaces: list[str], cell_seconds: int = CELL_SECONDS):
        self.scratch = scratch
        self.cell_seconds = cell_seconds
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        module = f"{__package__}.student"
        own = with_folder(namespaces, scratch)
        command = [*own, sys.executable, "-m", module, str(scratch), str(theirs_in), str(theirs_out)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs_in, theirs_out),
            cwd=scratch,
            env=environment(scratch),
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.pipes = (ours_in, ours_out)
        self.link = Link("checks", ours_in, ours_out, may_use)
        self.problem = ""
        self.by_clock = False
        self.output = bytearray()
        self.present: Step | None = None
        self.interrupted_at = 0.0
        self.lock = threading.Lock()  # a step is stopped while it is the present one, or not at all
        self.over = threading.Event()
        self.threads = [threading.Thread(target=each, daemon=True) for each in (self._read_output, self._watch)]
        for thread in self.threads:
            thread.start()

    def close(self) -> None:
        """End the process at once."""
        self.over.set()
        self.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join()
        for pipe in self.pipes:
            os.close(pipe)

    @contextlib.contextmanager
    def step(self, seconds: int | None = None) -> Generator[None, None, None]:
        """Context of one cell or test, which is interrupted when its time or its output is used up."""
        step = Step(seconds or self.cell_seconds, self.link.seconds_waited(), self._cpu_seconds())
        with self.lock:
            self.problem = ""
            self.by_clock = False
            self.output.clear()
            self.interrupted_at = 0.0
            self.present = step
        try:
            yield
        finally:
            with self.lock:
                self.present = None

    def printed(self) -> str:
        """Output of the present step so far."""
        time.sleep(0.01)  # the thread that reads it may still be at it
        return bytes(self.output[:MAX_OUTPUT_BYTES]).decode(errors="replace")

    def _stop(self, step: Step, problem: str, by_clock: bool = False) -> None:
        """Interrupt a step, unless it is over; if it does not come back, :meth:`_watch` ends the process."""
        with self.lock:
            if self.present is not step or self.problem:
                return
            self.problem = problem
            self.by_clock = by_clock
            self.interrupted_at = time.monotonic()
            with contextlib.suppress(psutil.Error, OSError):
                self._innermost().send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End the process and its namespaces."""
        with contextlib.suppress(psutil.Error, OSError):
            self._innermost().kill()
        with contextlib.suppress(OSError):
            self.process.kill()

    def _innermost(self) -> psutil.Process:
        """Python's process, which the programs that make its namespaces started."""
        process = psutil.Process(self.process.pid)
        return (process.children(recursive=True) or [process])[-1]

    def _cpu_seconds(self) -> float:
        with contextlib.suppress(psutil.Error):
            return sum(self._innermost().cpu_times()[:2])
        return 0.0

    def _read_output(self) -> None:
        pipe: Any = self.process.stdout
        while part := os.read(pipe.fileno(), 65_536):
            step = self.present
            if len(self.output) <= MAX_OUTPUT_BYTES:
                self.output += part
            elif step is not None and not self.interrupted_at:
                self._stop(step, f"it printed more than {MAX_OUTPUT_BYTES // 1000} kB")
        pipe.close()

    def _watch(self) -> None:
        """Look at the present step five times a second."""
        while not self.over.wait(0.2):
            step = self.present
            if step is None:
                continue
            if self.interrupted_at:
                if time.monotonic() - self.interrupted_at > GRACE_SECONDS:
                    self._kill_at(step, self.problem)
                continue
            computed = self._cpu_seconds() - step.cpu_before
            waited = self.link.seconds_waited() - step.waited_before
            if computed > step.seconds:
                self._stop(step, f"it had not ended after {step.seconds} s of computing")
            elif waited > PATIENCE * step.seconds:
                told = f"it had not ended after {waited:.0f} s, of which it computed {computed:.0f} s"
                self._stop(step, told, by_clock=True)
            elif self._bytes_of_files() > MAX_SCRATCH_BYTES:
                self._kill_at(step, f"it wrote more than {MAX_SCRATCH_BYTES // 2**20} MiB of files")

    def _kill_at(self, step: Step, problem: str) -> None:
        """End the process at a step, unless that is over."""
        with self.lock:
            if self.present is step:
                self.problem = problem
                self.kill()

    def _bytes_of_files(self) -> int:
        with contextlib.suppress(OSError):  # files come and go
            return sum(path.lstat().st_size for path in self.scratch.rglob("*"))
        return 0
