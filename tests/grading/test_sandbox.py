"""The sandbox around a student's code: a real kernel, each attempt, and what comes of it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from polygrad_edu.grading import sandbox
from polygrad_edu.grading.run_notebook import SandboxedKernels, environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")
ROOT = Path(__file__).parents[2]
# what is tried, and the words that end it; nothing for what a submission may do
ATTEMPTS = [
    ("open('own.txt', 'w').write('x'); open('own.txt').read()", ""),
    ("import torch; torch.ones(3).sum()", ""),
    ("import threading; t = threading.Thread(target=print); t.start(); t.join()", ""),
    ("from polygrad_edu import course; course.shipped('hopper-cpu')", ""),
    (f"open({str(ROOT / 'notebooks' / 'assignments' / 'README.md')!r})", "Permission denied"),
    (f"open({str(ROOT / 'tests' / 'conftest.py')!r})", "Permission denied"),
    (f"open({str(ROOT / 'polygrad_edu' / '__init__.py')!r}, 'a')", "Permission denied"),
    ("import os; os.listdir('/root')", "Permission denied"),
    ("import os; os.remove(os.__file__)", "Permission denied"),
    ("import os; os.fork()", "Operation not permitted"),
    ("import subprocess; subprocess.run(['true'])", "Operation not permitted"),
    ("import socket; socket.create_connection(('127.0.0.1', 9))", "Operation not permitted"),
    ("import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "Operation not permitted"),
    ("import torch; torch.ones(2 * 10**9)", "can't allocate memory"),
    ("open('big', 'wb').write(bytes(2**27))", "File too large"),
    ("files = [open('own.txt') for _ in range(2000)]", "Too many open files"),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What each attempt printed or was told, in one kernel after another attempt."""
    scratch = tmp_path_factory.mktemp("scratch").resolve()
    kernels = SandboxedKernels()
    kernels.prepare(scratch, sandbox.namespaces())
    notebook = new_notebook(cells=[new_code_cell(code) for code, _ in ATTEMPTS])
    client = NotebookClient(notebook, km=kernels, timeout=60, allow_errors=True)
    with client.setup_kernel(env=environment(scratch), cwd=str(scratch)):
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
    return [[output for output in cell.outputs if output.output_type == "error"] for cell in notebook.cells]


@pytest.mark.parametrize("number", range(len(ATTEMPTS)), ids=[code for code, _ in ATTEMPTS])
def test_an_attempt_comes_to_nothing_and_work_goes_on(outcomes, number):
    words, errors = ATTEMPTS[number][1], outcomes[number]
    assert bool(errors) == bool(words), errors
    assert not errors or words in errors[0].evalue


def test_this_machine_promises_what_no_privileges_are_needed_for():
    """Namespaces are the one thing that some systems refuse; the feedback says so, and the other walls hold."""
    promised = sandbox.protections()
    assert promised.pop("namespaces of its own") == bool(sandbox.namespaces())
    assert all(promised.values()), promised


def test_an_installed_package_keeps_its_notebooks_to_itself(tmp_path, monkeypatch):
    site = tmp_path / "lib" / "site-packages"
    for name in ("polygrad_edu/grading/sandbox.py", "polygrad_edu/notebooks/a.ipynb", "torch/x.py", "../os.py"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("")
    monkeypatch.setattr(sandbox, "__file__", str(site / "polygrad_edu" / "grading" / "sandbox.py"))
    monkeypatch.setattr(sandbox.sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sandbox.sys, "base_prefix", str(tmp_path))
    monkeypatch.setattr(sandbox.sysconfig, "get_paths", lambda: {"purelib": str(site)})
    readable = sandbox.readable()
    hidden = site / "polygrad_edu" / "notebooks"
    assert not any(hidden == path or hidden.is_relative_to(path) for path in readable)
    for name in ("polygrad_edu/grading/sandbox.py", "torch/x.py", "../os.py"):
        assert any((site / name).resolve().is_relative_to(path) for path in readable), name


def test_a_kernel_dies_with_its_grader(tmp_path):
    code = f"""
import time
from pathlib import Path
from polygrad_edu.grading import sandbox
from polygrad_edu.grading.run_notebook import SandboxedKernels, environment
from jupyter_client.utils import run_sync
scratch = Path({str(tmp_path)!r})
kernels = SandboxedKernels()
kernels.prepare(scratch, sandbox.namespaces())
run_sync(kernels.start_kernel)(env=environment(scratch), cwd=str(scratch))
print(kernels.provisioner.process.pid, flush=True)
time.sleep(60)
"""
    grader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    kernel = int(grader.stdout.readline())
    os.kill(kernel, 0)
    grader.send_signal(signal.SIGKILL)
    grader.wait()
    for _ in range(100):
        if not Path(f"/proc/{kernel}").exists() or "Z" in Path(f"/proc/{kernel}/stat").read_text().split()[2]:
            return
        time.sleep(0.1)
    raise AssertionError("the kernel lives on")
