"""The sandbox around a student's code: a real process, each attempt, and what comes of it."""

import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from polygrad_edu.cli.main import main
from polygrad_edu.grading import bubblewrap, grade_all, sandbox
from polygrad_edu.grading.student_process import StudentProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")
ROOT = Path(__file__).parents[2]
DENIED = "Permission denied"
REFUSED = "Operation not permitted"
SHMGET = {"x86_64": 29, "aarch64": 194}[platform.machine()]
SHARED_MEMORY = f"import ctypes, os; made = ctypes.CDLL(None, use_errno=True).syscall({SHMGET}, 0, 2**20, 0o1600)"
# what is tried, and the words that end it; nothing for what a submission may do
ATTEMPTS = [
    ("open('own.txt', 'w').write('x'); open('own.txt').read()", ""),
    ("import torch; torch.ones(3).sum()", ""),
    ("import threading; t = threading.Thread(target=print); t.start(); t.join()", ""),
    ("from polygrad_edu import course; course.shipped('hopper-cpu')", ""),
    ("import scipy.stats, matplotlib.pyplot; matplotlib.pyplot.figure().savefig('own.png')", ""),
    (f"open({str(ROOT / 'notebooks' / 'assignments' / 'README.md')!r})", DENIED),
    (f"open({str(ROOT / 'tests' / 'conftest.py')!r})", DENIED),
    (f"open({str(ROOT / 'polygrad_edu' / '__init__.py')!r}, 'a')", DENIED),
    ("import os; os.listdir('/root')", DENIED),
    ("import os; os.listdir('/etc')", DENIED),
    ("open('/etc/passwd')", DENIED),
    ("open('/proc/PID/status')", DENIED),
    ("import os; os.listdir('/usr/bin')", DENIED),
    ("import os; os.remove(os.__file__)", DENIED),
    ("import os; os.fork()", REFUSED),
    ("import subprocess; subprocess.run(['true'])", REFUSED),
    ("import os; os.execv('/bin/true', ['true'])", REFUSED),
    ("import socket; socket.create_connection(('127.0.0.1', 9))", REFUSED),
    ("import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", REFUSED),
    ("import socket; socket.socket(socket.AF_UNIX).connect('SOCKET')", REFUSED),
    ("import socket; socket.socket(socket.AF_NETLINK)", REFUSED),
    ("import socket; socket.socketpair()", REFUSED),
    ("import os; os.kill(PID, 9)", REFUSED),
    ("import os, signal; signal.pidfd_send_signal(os.pidfd_open(PID), 9)", REFUSED),
    ("import os; os.memfd_create('x')", REFUSED),
    ("from multiprocessing.shared_memory import SharedMemory as S; S('x', create=True, size=9)", DENIED),
    (f"{SHARED_MEMORY}; assert made >= 0, os.strerror(ctypes.get_errno())", REFUSED),
    ("import torch; torch.ones(2 * 10**9)", "can't allocate memory"),
    ("open('big', 'wb').write(bytes(2**27))", "File too large"),
    ("files = [open('own.txt') for _ in range(2000)]", "Too many open files"),
]


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory):
    """Another process of the same user, and a socket that one listens on."""
    canary = subprocess.Popen(["sleep", "600"])
    path = tmp_path_factory.mktemp("sockets") / "listening"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        yield canary, path
    assert canary.poll() is None, "it was killed"
    canary.kill()
    canary.wait()


def prefix(kind):
    """Command prefix of this kind of namespaces, whatever else is installed."""
    with pytest.MonkeyPatch.context() as patch:
        if kind == "namespaces":
            patch.setattr(bubblewrap, "PROGRAM", "a program that is not installed")
            bubblewrap.prefix.cache_clear()
        found = [] if kind == "none" else sandbox.namespaces()
    bubblewrap.prefix.cache_clear()
    return found


@pytest.fixture(scope="module", params=["bubblewrap", "namespaces", "none"])
def outcomes(request, tmp_path_factory, neighbours):
    """Words of the error of each attempt, one after the other in one process, in namespaces and without."""
    canary, path = neighbours
    namespaces = prefix(request.param)
    if request.param == "bubblewrap" and namespaces[:1] != [bubblewrap.PROGRAM]:
        pytest.skip("bubblewrap is not installed, or not allowed here")
    student = StudentProcess(tmp_path_factory.mktemp("scratch").resolve(), namespaces)
    words = []
    try:
        for source, _ in ATTEMPTS:
            with student.step():
                try:
                    student.link.request(
                        "run", source.replace("PID", str(canary.pid)).replace("SOCKET", str(path)), "x"
                    )
                    words.append("")
                except Exception as error:
                    words.append(str(error) or type(error).__name__)
    finally:
        student.close()
    return words


@pytest.mark.parametrize("number", range(len(ATTEMPTS)), ids=[code for code, _ in ATTEMPTS])
def test_an_attempt_comes_to_nothing_and_work_goes_on(outcomes, number):
    expected, told = ATTEMPTS[number][1], outcomes[number]
    assert bool(told) == bool(expected), told
    # in a namespace of its own other processes are not there, and with bubblewrap no files but those it may read
    hidden = expected == DENIED and ("No such file" in told or "Read-only file system" in told)
    assert expected in told or hidden


def test_this_machine_has_the_walls_that_no_privileges_are_needed_for():
    assert sandbox.missing_walls() == []


@pytest.mark.parametrize(
    ("missing", "words"),
    [("landlock_version", "change grades"), ("has_filter", "send what it reads to others")],
)
def test_a_missing_wall_is_told_and_grading_refused(missing, words, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sandbox, missing, lambda: 0)
    monkeypatch.setattr(bubblewrap, "prefix", lambda readable: ())
    (wall,) = sandbox.missing_walls()
    assert words in wall
    monkeypatch.setattr(sys, "argv", ["polygrad-edu", "course", "grade", str(tmp_path), "--course", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert words in told
    assert "--without-walls" in told
    assert told.count("\n") == 1
    with pytest.raises(ValueError, match="is not a course"):  # it goes on to the next thing
        grade_all.grade(tmp_path, tmp_path, without_walls=True)


def test_a_machine_of_another_kind_has_no_filter(monkeypatch):
    monkeypatch.setattr(sandbox.platform, "machine", lambda: "riscv64")
    assert not sandbox.has_filter()


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
