"""Run a notebook's answers and tests in a sandboxed kernel that may print, hang or die; attest each test."""

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
PATIENCE = 5  # on a busy machine a cell may wait this many times its seconds, while it has not computed for them
MAX_OUTPUT_BYTES = 200_000  # of one cell
MAX_SCRATCH_BYTES = 256 * 2**20  # of all files together
MAX_RESTARTS = 3


class SandboxedKernels(AsyncKernelManager):
    """Kernel manager that starts kernels through ``sandbox.py``, in a folder and an environment of their own."""

    def prepare(self, scratch: Path, namespaces: list[str]) -> None:
        """Set the command of the next kernel.

        Args:
            scratch: the only folder that the kernel may write to.
            namespaces: command prefix of :func:`.sandbox.namespaces`.
        """
        argv = [*namespaces, sys.executable, str(Path(sandbox.__file__)), str(scratch), "-f", "{connection_file}"]
        self._kernel_spec = KernelSpec(argv=argv, display_name="sandboxed", language="python", interrupt_mode="message")
        self.transport = "ipc"
        self.connection_file = str(scratch / "kernel.json")
        self.shutdown_wait_time = 1.0

    def cpu_seconds(self) -> float:
        """Processor time that the kernel has used so far."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.provisioner.pid if isinstance(self.provisioner, LocalProvisioner) else None)
            return sum(sum(each.cpu_times()[:2]) for each in [process, *process.children(recursive=True)])
        return 0.0

    def kill(self) -> None:
        """End the kernel at once, from any thread."""
        if isinstance(self.provisioner, LocalProvisioner) and self.provisioner.process:
            self.provisioner.process.kill()


def environment(scratch: Path) -> dict[str, str]:
    """Environment variables of a kernel: where Python is, and ``scratch`` as the place for all its files."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "VIRTUAL_ENV") if name in os.environ}
    own = {name: str(scratch) for name in ("HOME", "TMPDIR", "IPYTHONDIR", "MPLCONFIGDIR", "JUPYTER_CONFIG_DIR")}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    return kept | own | threads | {"JUPYTER_RUNTIME_DIR": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"}


class NotebookRunner(Execute):
    """nbgrader's executor with limited output, kernels that may die, and an attestation after each test.

    Args:
        checks: module of the assignment's checks, ``"assignment_1"``.
        namespaces: command prefix of :func:`.sandbox.namespaces`.
        cell_seconds: time limit of one cell.

    Attributes:
        problems: by cell, what went wrong in it beyond its own output.
        reports: by test cell, the signed report after it; ``None`` if there was none.
    """

    def __init__(self, checks: str, namespaces: list[str], cell_seconds: int = CELL_SECONDS):
        super().__init__(
            kernel_manager_class=SandboxedKernels, timeout=cell_seconds, iopub_timeout=10, startup_timeout=180
        )
        self.raise_on_iopub_timeout = False
        self.shutdown_kernel = "immediate"
        self.checks = checks
        self.namespaces = namespaces
        self.problems: dict[str, str] = {}
        self.reports: dict[str, dict[str, Any] | None] = {}
        self.printed = 0  # characters, by the cell that runs

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Keep the first ``MAX_OUTPUT_BYTES`` of a cell's output; interrupt a cell that prints more."""
        if msg["msg_type"] in ("stream", "display_data", "execute_result", "error"):
            self.printed += len(json.dumps(msg["content"], default=str))
            if self.printed > MAX_OUTPUT_BYTES:
                if "printed" not in self.problems.get(_name(cell), ""):
                    self.problems[_name(cell)] = f"it printed more than {MAX_OUTPUT_BYTES // 1000} kB"
                    self.interrupting = asyncio.ensure_future(ensure_async(self.kernels.interrupt_kernel()))
                return None
        return super().process_message(msg, cell, cell_index)

    async def _async_handle_timeout(self, timeout: int, cell: NotebookNode | None = None) -> dict[str, Any] | None:
        """Interrupt a cell that has used its seconds of processor time; wait on for one that a busy machine delays."""
        self.waited += 1
        if self.waited < PATIENCE and self.kernels.cpu_seconds() - self.cpu_before < 0.8 * timeout:
            return None
        return await super()._async_handle_timeout(timeout, cell)

    def run(self, notebook: NotebookNode) -> NotebookNode:
        """Run set-up, answers and tests of ``notebook`` in place; fills :attr:`reports` and :attr:`problems`."""
        cells = [cell for cell in notebook.cells if cell.cell_type == "code" and _is_run(cell)]
        self.ends = time.monotonic() + ALL_SECONDS
        done = 0
        for _ in range(MAX_RESTARTS + 1):
            done = self._run_from(notebook, cells, done)
            if done == len(cells):
                break
        for cell in cells[done:]:
            self.problems.setdefault(_name(cell), "the kernel ended too often before it was reached")
        return notebook

    def _run_from(self, notebook: NotebookNode, cells: list[NotebookNode], done: int) -> int:
        """Continue with cell number ``done`` in a new kernel; return the number of cells done when that one ends."""
        with tempfile.TemporaryDirectory(prefix="sandbox-", ignore_cleanup_errors=True) as name:
            scratch = Path(name).resolve()
            self.nb = notebook
            self.resources = {"metadata": {"path": str(scratch)}}
            self.km = self.kernels = SandboxedKernels()
            self.kernels.prepare(scratch, self.namespaces)
            self.reset_execution_trackers()
            place = -1
            over = threading.Event()
            threading.Thread(target=self._limit_disk_use, args=(scratch, self.kernels, over), daemon=True).start()
            try:
                with self.setup_kernel(env=environment(scratch), cwd=str(scratch)):
                    self.key = secrets.token_hex(16)
                    self._attest(f"begin({self.key!r}, {self.checks!r})")
                    for place, cell in enumerate(cells):
                        if place < done and (cell.metadata.nbgrader.grade or _name(cell) in self.problems):
                            continue  # known already; after a restart only what later cells need is run again
                        if time.monotonic() > self.ends:
                            self.problems.setdefault(_name(cell), f"the time for all of it, {ALL_SECONDS} s, was over")
                            continue
                        self._run_cell(cell, notebook.cells.index(cell))
                return len(cells)
            except (DeadKernelError, RuntimeError, CellTimeoutError) as error:
                if place < 0:
                    raise RuntimeError(f"no kernel could be started ({error})") from None
                self.problems.setdefault(_name(cells[place]), "it ended the kernel")
                return max(place + 1, done)
            finally:
                over.set()

    def _limit_disk_use(self, scratch: Path, kernels: SandboxedKernels, over: threading.Event) -> None:
        """Kill a kernel that fills the disk: the size of a file is limited already, the number of files is not."""
        while not over.wait(1):
            with contextlib.suppress(OSError):  # files come and go
                if sum(path.lstat().st_size for path in scratch.rglob("*")) > MAX_SCRATCH_BYTES:
                    self.problems[self.running] = f"it wrote more than {MAX_SCRATCH_BYTES // 2**20} MiB of files"
                    kernels.kill()
                    return

    def _run_cell(self, cell: NotebookNode, index: int) -> None:
        """Run one cell; after a test, read its attestation."""
        self.running = _name(cell)
        self._begin_cell()
        self.execute_cell(cell, index)
        if any(output.get("ename") == "CellTimeoutError" for output in cell.outputs):
            self.problems[_name(cell)] = f"it had not ended after {self.timeout} s of computing"
        if cell.metadata.nbgrader.grade:
            nonce = secrets.token_hex(8)
            printed = self._attest(f"report({nonce!r})")
            self.reports[_name(cell)] = attestation.read_report(printed, self.key, nonce)
        elif _name(cell) in self.problems:
            self._attest("report('')")  # raises if the kernel does not come back from an interrupt

    def _begin_cell(self) -> None:
        """Reset the counters of output and time."""
        self.printed = 0
        self.waited = 0
        self.cpu_before = self.kernels.cpu_seconds()

    def error_message(self, answer: str, error: NotebookNode) -> str:
        """Error of a test in words, or the error of the answer's own cell, if that stopped first."""
        own = next((cell for cell in self.nb.cells if _name(cell) == answer), None)
        before = [output for output in own.outputs if output.output_type == "error"] if own else []
        if before:
            return f"Your cell stopped with {before[0].ename}: {before[0].evalue}"[:500]
        return f"{error.ename}: {error.evalue}"[:500]

    def _attest(self, call: str) -> str:
        """Run a call of the attestation module in the kernel, without a trace in the notebook; return its output."""
        module = attestation.__name__
        cell = nbformat.v4.new_code_cell(f"__import__({module!r}, fromlist=['begin']).{call}")
        cell.metadata["nbgrader"] = {"grade_id": "attestation"}
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


def _is_run(cell: NotebookNode) -> bool:
    """True for set-up, answers and tests; pictures and explanations in between are not run."""
    marks = cell.metadata.nbgrader
    return marks.solution or marks.grade or marks.grade_id.startswith("setup")
