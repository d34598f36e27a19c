"""A student's process watched: what takes too long, prints too much or fills the disk is stopped, and work goes on."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from polygrad_edu.grading import sandbox, student_process
from polygrad_edu.grading.student_process import MAX_OUTPUT_BYTES, StudentProcess, environment
from polygrad_edu.grading.wire import BrokenWireError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")


@pytest.fixture
def student(tmp_path):
    student = StudentProcess(tmp_path.resolve(), sandbox.namespaces(), cell_seconds=2)
    student.link.request("forget")
    yield student
    student.close()


def run(student, source):
    with student.step():
        student.link.request("run", source, "cell")


def stopped(student, source):
    """Name of the error that a cell stops with."""
    try:
        run(student, source)
    except Exception as error:
        return type(error).__name__
    return ""


def test_an_endless_loop_and_a_flood_are_interrupted_and_the_process_lives_on(student, monkeypatch):
    monkeypatch.setattr(student_process, "PATIENCE", 100)  # however busy the machine is
    run(student, "x = 3\nprint('hello')")
    assert student.printed() == "hello\n"
    assert student.problem == ""
    assert stopped(student, "while True:\n    pass") == "KeyboardInterrupt"
    assert student.problem == "it had not ended after 2 s of computing"
    assert not student.by_clock
    assert stopped(student, "while True:\n    print('x' * 1000)") == "KeyboardInterrupt"
    assert student.problem == "it printed more than 200 kB"
    assert len(student.printed()) <= MAX_OUTPUT_BYTES
    assert student.link.request("fetch", "x") == 3


def test_what_only_waits_is_stopped_by_the_clock_and_that_is_told(student, monkeypatch):
    monkeypatch.setattr(student_process, "PATIENCE", 1)
    assert stopped(student, "import time\ntime.sleep(10**6)") == "KeyboardInterrupt"
    assert student.problem == "it had not ended after 2 s, of which it computed 0 s"
    assert student.by_clock
    run(student, "x = 1")
    assert (student.problem, student.by_clock) == ("", False)


def test_a_step_that_is_over_is_not_stopped_for_what_was_measured_in_it(student, monkeypatch):
    measuring, over = threading.Event(), threading.Event()

    def slowly():
        measuring.set()
        over.wait()
        return 1e9

    with student.step():
        monkeypatch.setattr(student, "_cpu_seconds", slowly)
        assert measuring.wait(10)
    over.set()
    time.sleep(0.5)
    assert student.problem == ""
    monkeypatch.undo()
    run(student, "x = 1")
    assert student.problem == ""


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
            "had not ended after",
        ),
        ("for i in range(99):\n    open(str(i), 'wb').write(bytes(2**24))\n    x = sum(range(10**6))", "MiB of files"),
        ("import os\nos._exit(0)", ""),
    ],
)
def test_what_cannot_be_interrupted_is_ended(student, source, problem, monkeypatch):
    monkeypatch.setattr(student_process, "GRACE_SECONDS", 1)
    monkeypatch.setattr(student_process, "MAX_SCRATCH_BYTES", 2**26)
    with pytest.raises(BrokenWireError):
        run(student, source)
    assert problem in student.problem


def test_it_is_told_where_python_is_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("PATH", "/somewhere")
    told = environment(tmp_path)
    assert "SECRET_TOKEN" not in told
    assert told["PATH"] == "/somewhere"
    assert told["HOME"] == told["TMPDIR"] == str(tmp_path)


def test_it_dies_with_its_grader(tmp_path):
    code = f"""
import time
from pathlib import Path
from polygrad_edu.grading import sandbox
from polygrad_edu.grading.student_process import StudentProcess
student = StudentProcess(Path({str(tmp_path.resolve())!r}), sandbox.namespaces())
student.link.request("forget")
print(student._innermost().pid, flush=True)
time.sleep(60)
"""
    grader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    process = int(grader.stdout.readline())
    os.kill(process, 0)
    grader.send_signal(signal.SIGKILL)
    grader.wait()
    for _ in range(100):
        status = Path(f"/proc/{process}/stat")
        if not status.exists() or "Z" in status.read_text().split()[2]:
            return
        time.sleep(0.1)
    raise AssertionError("the process lives on")
