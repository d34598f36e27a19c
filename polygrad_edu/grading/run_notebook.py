"""Run a notebook's answers and tests in a jailed kernel that may print, hang and die; a witness follows each test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import nbformat
import psutil
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbclient.util import ensure_async
from nbformat import NotebookNode
from nbgrader.preprocessors import Execute

from ..checks import attestation
from . import sandbox

CELL_SECONDS = 60
ALL_SECONDS = 900
PATIENCE = 5  # so many times a cell's seconds may pass on a busy machine, as long as it has not computed for them
OUTPUT_BYTES = 200_000  # of one cell
SCRATCH_BYTES = 256 * 2**20  # of all files together
RESTARTS = 3


class JailedKernels(AsyncKernelManager):
    """Starts kernels by way of ``sandbox.py``, in a folder of their own, with nothing of the grader's environment."""

    def prepare(self, scratch: Path, namespaces: list[str]) -> None:
        argv = [*namespaces, sys.executable, str(Path(sandbox.__file__)), str(scratch), "-f", "{connection_file}"]
        self._kernel_spec = KernelSpec(argv=argv, display_name="jailed", language="python", interrupt_mode="message")
        self.transport = "ipc"
        self.connection_file = str(scratch / "kernel.json")
        self.shutdown_wait_time = 1.0

    def computed(self) -> float:
        """Seconds that the kernel has computed so far."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.provisioner.pid if isinstance(self.provisioner, LocalProvisioner) else None)
            return sum(sum(each.cpu_times()[:2]) for each in [process, *process.children(recursive=True)])
        return 0.0

    def kill(self) -> None:
        """End the kernel at once, from any thread."""
        if isinstance(self.provisioner, LocalProvisioner) and self.provisioner.process:
            self.provisioner.process.kill()


def environment(scratch: Path) -> dict[str, str]:
    """What a kernel is told of the machine: where Python is, and to keep everything in the scratch folder."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "VIRTUAL_ENV") if name in os.environ}
    own = {name: str(scratch) for name in ("HOME", "TMPDIR", "IPYTHONDIR", "MPLCONFIGDIR", "JUPYTER_CONFIG_DIR")}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    return kept | own | threads | {"JUPYTER_RUNTIME_DIR": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"}


class Marker(Execute):
    """nbgrader's executor, with output that ends, kernels that may die, and a witness after each test."""

    def __init__(self, checks: str, namespaces: list[str], cell_seconds: int = CELL_SECONDS):
        super().__init__(
            kernel_manager_class=JailedKernels, timeout=cell_seconds, iopub_timeout=10, startup_timeout=180
        )
        self.raise_on_iopub_timeout, self.shutdown_kernel = False, "immediate"
        self.checks, self.namespaces = checks, namespaces
        self.words: dict[str, str] = {}  # cell -> what went wrong in it, beyond what it printed
        self.reports: dict[str, dict[str, Any] | None] = {}
        self.printed = 0

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Keep the first part of what a cell prints; whoever prints more is interrupted."""
        if msg["msg_type"] in ("stream", "display_data", "execute_result", "error"):
            self.printed += len(json.dumps(msg["content"], default=str))
            if self.printed > OUTPUT_BYTES:
                if "printed" not in self.words.get(_name(cell), ""):
                    self.words[_name(cell)] = f"it printed more than {OUTPUT_BYTES // 1000} kB"
                    self.interrupting = asyncio.ensure_future(ensure_async(self.kernels.interrupt_kernel()))
                return None
        return super().process_message(msg, cell, cell_index)

    async def _async_handle_timeout(self, timeout: int, cell: NotebookNode | None = None) -> dict[str, Any] | None:
        """Interrupt a cell that has computed for its time; wait on for one that a busy machine only keeps waiting."""
        self.waited += 1
        if self.waited < PATIENCE and self.kernels.computed() - self.before < 0.8 * timeout:
            return None
        return await super()._async_handle_timeout(timeout, cell)

    def mark(self, notebook: NotebookNode) -> NotebookNode:
        """Run set-up, answers and tests of ``notebook``; afterwards :attr:`reports` and :attr:`words` tell the rest."""
        cells = [cell for cell in notebook.cells if cell.cell_type == "code" and _counts(cell)]
        self.ends = time.monotonic() + ALL_SECONDS
        done = 0
        for _ in range(RESTARTS + 1):
            done = self._run(notebook, cells, done)
            if done == len(cells):
                break
        for cell in cells[done:]:
            self.words.setdefault(_name(cell), "the kernel ended too often before it was reached")
        return notebook

    def _run(self, notebook: NotebookNode, cells: list[NotebookNode], done: int) -> int:
        """Go on from cell ``done`` in a new kernel; returns the cell to go on from when that has died too."""
        with tempfile.TemporaryDirectory(prefix="jail-", ignore_cleanup_errors=True) as name:
            scratch = Path(name).resolve()
            self.nb, self.resources = notebook, {"metadata": {"path": str(scratch)}}
            self.km = self.kernels = JailedKernels()
            self.kernels.prepare(scratch, self.namespaces)
            self.reset_execution_trackers()
            place, over = -1, threading.Event()
            threading.Thread(target=self._watch, args=(scratch, self.kernels, over), daemon=True).start()
            try:
                with self.setup_kernel(env=environment(scratch), cwd=str(scratch)):
                    self.key = secrets.token_hex(16)
                    self._silently(f"begin({self.key!r}, {self.checks!r})")
                    for place, cell in enumerate(cells):
                        if place < done and (cell.metadata.nbgrader.grade or _name(cell) in self.words):
                            continue  # known already: only what later cells stand on is run again
                        if time.monotonic() > self.ends:
                            self.words.setdefault(_name(cell), f"the time for all of it, {ALL_SECONDS} s, was over")
                            continue
                        self._run_cell(cell, notebook.cells.index(cell))
                return len(cells)
            except (DeadKernelError, RuntimeError, CellTimeoutError) as error:
                if place < 0:
                    raise RuntimeError(f"no kernel could be started ({error})") from None
                self.words.setdefault(_name(cells[place]), "it ended the kernel")
                return max(place + 1, done)
            finally:
                over.set()

    def _watch(self, scratch: Path, kernels: JailedKernels, over: threading.Event) -> None:
        """End a kernel that fills the disk; single files are limited already, their number is not."""
        while not over.wait(1):
            with contextlib.suppress(OSError):  # files come and go
                if sum(path.lstat().st_size for path in scratch.rglob("*")) > SCRATCH_BYTES:
                    self.words[self.running] = f"it wrote more than {SCRATCH_BYTES // 2**20} MiB of files"
                    kernels.kill()
                    return

    def _run_cell(self, cell: NotebookNode, index: int) -> None:
        self.running = _name(cell)
        self._begin_cell()
        self.execute_cell(cell, index)
        if any(output.get("ename") == "CellTimeoutError" for output in cell.outputs):
            self.words[_name(cell)] = f"it had not ended after {self.timeout} s of computing"
        if cell.metadata.nbgrader.grade:
            nonce = secrets.token_hex(8)
            told = self._silently(f"report({nonce!r})")
            self.reports[_name(cell)] = attestation.read_report(told, self.key, nonce)
        elif _name(cell) in self.words:
            self._silently("report('')")  # a kernel that does not come back from an interrupt is dead

    def _begin_cell(self) -> None:
        self.printed, self.waited, self.before = 0, 0, self.kernels.computed()

    def told(self, answer: str, error: NotebookNode) -> str:
        """An error in words, with that of the answer's own cell, which it often comes from."""
        own = next((cell for cell in self.nb.cells if _name(cell) == answer), None)
        before = [output for output in own.outputs if output.output_type == "error"] if own else []
        if before:
            return f"Your cell stopped with {before[0].ename}: {before[0].evalue}"[:500]
        return f"{error.ename}: {error.evalue}"[:500]

    def _silently(self, call: str) -> str:
        """Let the witness speak; what it printed."""
        module = attestation.__name__
        cell = nbformat.v4.new_code_cell(f"__import__({module!r}, fromlist=['begin']).{call}")
        cell.metadata["nbgrader"] = {"grade_id": "witness"}
        self._begin_cell()
        kept = self.timeout
        self.nb.cells.append(cell)
        try:
            self.timeout = 60
            self.execute_cell(cell, len(self.nb.cells) - 1, store_history=False)
        finally:
            self.timeout = kept
            self.nb.cells.pop()
        if any(output.get("ename") == "CellTimeoutError" for output in cell.outputs):
            raise DeadKernelError("the kernel does not answer any more")
        return "".join(output.get("text", "") for output in cell.outputs if output.output_type == "stream")


def _name(cell: NotebookNode) -> str:
    return cell.metadata.nbgrader.grade_id


def _counts(cell: NotebookNode) -> bool:
    """Set-up, answers and tests; pictures and talk in between are not run."""
    marks = cell.metadata.nbgrader
    return marks.solution or marks.grade or marks.grade_id.startswith("setup")
