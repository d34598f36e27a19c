"""Sandbox around a student's process: its files, network, processes, memory and time, limited by Linux itself.

It needs no privileges, and it is entered from inside, for good, before any of the student's code runs:

- Files: Landlock lets the process read Python and the packages, and write only to one empty folder.
- Network, signals and processes: a seccomp filter refuses every socket, every signal and every new process, and
  memory that no limit counts.
- Namespaces of its own, where the system allows them, hide other processes and the network a second time; with
  bubblewrap, where it is installed, also all files that the process may not read.
- Memory, time and file sizes: resource limits.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import shutil
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

from . import bubblewrap

MAX_MEMORY_BYTES = 5 * 2**30  # of address space; a kernel with torch uses about 1.5 GiB
MAX_CPU_SECONDS = 600
MAX_FILE_BYTES = 64 * 2**20
MAX_OPEN_FILES = 512

# system calls of Landlock, the same on all machines; their structures are in linux/landlock.h
CREATE_RULESET = 444
ADD_RULE = 445
RESTRICT_SELF = 446
# its access rights
EXECUTE = 1
WRITE_FILE = 2
READ_FILE = 4
READ_DIR = 8
TRUNCATE = 1 << 14
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
READ = EXECUTE | READ_FILE | READ_DIR

# Kernel's names of system calls and their numbers on the two kinds of machines: audit number, seccomp, clone, clone3.
# Files in memory and memory that processes share would count towards no limit, and the latter outlives its process.
MACHINES = {"x86_64": (0xC000003E, 317, 56, 435), "aarch64": (0xC00000B7, 277, 220, 435)}
REFUSED = {
    "x86_64": {
        "socket, connect, bind, listen, accept, socketpair": (41, 42, 49, 50, 43, 288, 53),
        "fork, vfork, execve, execveat": (57, 58, 59, 322),
        "kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo": (62, 200, 234, 129, 297),
        "ptrace, process_vm_readv, process_vm_writev": (101, 310, 311),
        "unshare, setns, bpf, perf_event_open, userfaultfd": (272, 308, 321, 298, 323),
        "pidfd_send_signal, io_uring_setup, pidfd_open, pidfd_getfd": (424, 425, 434, 438),
        "memfd_create, memfd_secret, shmget, shmat, msgget, semget, mq_open": (319, 447, 29, 30, 68, 64, 240),
        "add_key, request_key, keyctl": (248, 249, 250),
    },
    "aarch64": {
        "socket, connect, bind, listen, accept, socketpair": (198, 203, 200, 201, 202, 242, 199),
        "execve, execveat": (221, 281),
        "kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo": (129, 130, 131, 138, 240),
        "ptrace, process_vm_readv, process_vm_writev": (117, 270, 271),
        "unshare, setns, bpf, perf_event_open, userfaultfd": (97, 268, 280, 241, 282),
        "pidfd_send_signal, io_uring_setup, pidfd_open, pidfd_getfd": (424, 425, 434, 438),
        "memfd_create, memfd_secret, shmget, shmat, msgget, semget, mq_open": (279, 447, 194, 196, 186, 190, 180),
        "add_key, request_key, keyctl": (217, 218, 219),
    },
}
CLONE_THREAD = 0x10000
EPERM = 1
ENOSYS = 38
# system's files that Python and its libraries read; all else of /etc, /proc, /sys, /dev and /usr stays out of reach
SYSTEM_FILES = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo"),
    *("/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu"),
)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def landlock_version() -> int:
    """Version of Landlock on this system; 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, _libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1)))


def namespaces() -> list[str]:
    """Command prefix that gives a program its own namespaces: no network, no other processes; empty if refused.

    With bubblewrap there are no other files, either; :func:`.bubblewrap.with_folder` makes it whole.
    """
    if wrapped := bubblewrap.prefix(tuple(readable())):
        return list(wrapped)
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return []
    dies_with_grader = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    base = [*dies_with_grader, "unshare", "--user", "--map-root-user", "--net"]
    for more in (["--pid", "--ipc", "--mount-proc", "--fork", "--kill-child"], []):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run([*base, *more, "true"], capture_output=True, timeout=10)
            if done.returncode == 0:
                return base + more
    return []


def has_filter() -> bool:
    """True if this system can refuse system calls."""
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        return False
    action = ctypes.c_uint(0x00050000)
    number = MACHINES[platform.machine()][1]
    return _libc().syscall(number, 2, 0, ctypes.byref(action)) == 0  # SECCOMP_GET_ACTION_AVAIL


def missing_walls() -> list[str]:
    """Walls that this machine lacks, each with what a submission can do without it; empty where all stand."""
    missing: list[str] = []
    if not landlock_version() and not bubblewrap.prefix(tuple(readable())):
        missing.append(
            "around files (Landlock, Linux 5.13 and later, or bubblewrap, installed and allowed): a submission can "
            "read the solutions, the hidden tests and other students' work, and change grades"
        )
    if not has_filter():
        missing.append(
            "around the network and other processes (seccomp, on x86-64 and ARM64): a submission can send what it "
            "reads to others, start programs, and end the grading"
        )
    return missing


def readable() -> list[Path]:
    """Paths that Python needs to read, without the course's notebooks, which hold hidden tests."""
    package = Path(__file__).resolve().parent.parent
    paths = {name: path for name, path in sysconfig.get_paths().items() if name not in ("data", "scripts")}
    python = [Path(name).resolve() for name in (sys.prefix, sys.base_prefix, *paths.values())]
    python = [path for path in python if path not in (Path("/usr"), Path("/usr/local"), Path("/"))]
    if package.is_relative_to(sysconfig.get_paths()["purelib"]):  # installed: all of site-packages except the notebooks
        site = package.parent
        python = [path for path in python if not site.is_relative_to(path)]
        python += [*(path for path in site.iterdir() if path != package), *_siblings_above(site)]
    own = [path for path in package.iterdir() if path.name != "notebooks"]
    system = [Path(name) for name in SYSTEM_FILES]
    return [path for path in [*system, *python, *own, package.parent / "results"] if path.exists()]


def _siblings_above(site: Path) -> list[Path]:
    """Siblings of every directory on the path from sys.prefix down to ``site``."""
    siblings: list[Path] = []
    top = Path(sys.prefix).resolve()
    while site != top and site.is_relative_to(top):
        siblings += [path for path in site.parent.iterdir() if path != site]
        site = site.parent
    return siblings


def restrict_files(scratch: Path) -> None:
    """Allow this process to read :func:`readable` and to write below ``scratch``, and nothing else, for good."""
    version = landlock_version()
    libc = _libc()
    handled = {1: 0x1FFF, 2: 0x3FFF}.get(version, 0x7FFF)
    attributes = struct.pack("QQQ", handled, 0, 3 if version >= 6 else 0)  # 3: no signals to, no sockets of outsiders
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint(0))
    package = Path(__file__).resolve().parent.parent
    allowed = [(path, READ) for path in readable()]
    allowed += [(path, READ_DIR) for path in (package, package.parent)]  # names only: the import system lists folders
    allowed += [(scratch, handled & ~EXECUTE), (Path("/dev/null"), READ_FILE | WRITE_FILE)]
    for path, access in allowed:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        access &= handled if path.is_dir() else OF_A_FILE & handled
        rule = struct.pack("=Qi", access, fd)
        if libc.syscall(ADD_RULE, ruleset, 1, rule, ctypes.c_uint(0)) != 0:
            raise OSError(ctypes.get_errno(), f"Landlock refuses a rule for {path}")
        os.close(fd)
    if libc.syscall(RESTRICT_SELF, ruleset, ctypes.c_uint(0)) != 0:
        raise OSError(ctypes.get_errno(), "Landlock cannot be applied")
    os.close(ruleset)


def close_network_and_processes() -> None:
    """Refuse sockets, signals, new processes and memory beside their own, for all threads; new threads are allowed."""
    machine, seccomp, clone, clone3 = MACHINES[platform.machine()]
    # instructions: BPF_LD, BPF_JEQ, BPF_JGE, BPF_JSET and BPF_RET
    load = 0x20
    equal = 0x15
    at_least = 0x35
    has_bits = 0x45
    answer = 0x06
    allow = 0x7FFF0000
    refuse = 0x00050000 | EPERM
    unknown = 0x00050000 | ENOSYS
    kill = 0x80000000
    # (instruction, lines to skip if true, lines to skip if false, operand);
    # struct seccomp_data: number at 0, machine at 4, arguments (their low halves) at 16, 24, ...
    program = [
        (load, 0, 0, 4),
        (equal, 1, 0, machine),
        (answer, 0, 0, kill),
        (load, 0, 0, 0),
        (at_least, 0, 1, 0x40000000),  # x86's second table of numbers
        (answer, 0, 0, refuse),
    ]
    for number in (number for numbers in REFUSED[platform.machine()].values() for number in numbers):
        program += [
            (equal, 0, 1, number),
            (answer, 0, 0, refuse),
        ]
    program += [
        (equal, 0, 1, clone3),  # its flags are in memory, out of reach; the C library falls back to clone
        (answer, 0, 0, unknown),
        (equal, 0, 3, clone),
        (load, 0, 0, 16),
        (has_bits, 1, 0, CLONE_THREAD),
        (answer, 0, 0, refuse),
        (answer, 0, 0, allow),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    if _libc().syscall(seccomp, 1, 1, header) != 0:  # SECCOMP_SET_MODE_FILTER, for all threads
        raise OSError(ctypes.get_errno(), "the filter of system calls cannot be applied")


def limit_resources() -> None:
    """Limit what each process may use: memory, processor time, sizes and number of files; no core dumps."""
    import resource

    limits = {
        "AS": MAX_MEMORY_BYTES,
        "CPU": MAX_CPU_SECONDS,
        "FSIZE": MAX_FILE_BYTES,
        "NOFILE": MAX_OPEN_FILES,
        "CORE": 0,
    }
    for name, limit in limits.items():
        if hasattr(resource, f"RLIMIT_{name}"):
            with contextlib.suppress(ValueError, OSError):  # a tighter limit is set already
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))


def enter(scratch: Path) -> None:
    """Enter the sandbox, except for :func:`close_network_and_processes`, before which libraries are loaded."""
    if os.name == "posix":
        limit_resources()
    if sys.platform == "linux":
        _libc().prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG: this process dies with the one that started it
        _libc().prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS: no program regains what is given up here
        if landlock_version():
            restrict_files(scratch)
