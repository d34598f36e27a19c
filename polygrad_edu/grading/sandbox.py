"""Start a kernel that can harm nobody: Linux itself says what a student's code may read, write, reach and use up.

Run as a script of its own, in front of the notebook kernel: ``python sandbox.py SCRATCH -f CONNECTION_FILE``. It
needs no privileges. Files: Landlock lets the code read the Python installation and write only to SCRATCH. Network and
processes: a seccomp filter refuses every socket but those between processes of this machine, and every new process;
``unshare`` adds namespaces of its own where the system allows them. Memory, time, file sizes: resource limits.

Only the standard library is imported before the door is shut.
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

MEMORY = 5 * 2**30  # bytes of address space; a kernel with torch has about 1.5 of them
CPU_SECONDS = 600
FILE_BYTES = 64 * 2**20
FILES = 512

# struct landlock_ruleset_attr, struct landlock_path_beneath_attr: linux/landlock.h; numbers are alike on all machines
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1, 2, 4, 8, 1 << 14
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
READ = EXECUTE | READ_FILE | READ_DIR

# what audit calls the machine, and its numbers of: seccomp, clone, clone3, socket, fork and vfork
MACHINES = {
    "x86_64": (0xC000003E, 317, 56, 435, 41, (57, 58)),
    "aarch64": (0xC00000B7, 277, 220, 435, 198, ()),
}
CLONE_THREAD, AF_UNIX, EPERM, ENOSYS = 0x10000, 1, 1, 38


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def landlock_version() -> int:
    """Which Landlock this system has; 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, _libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1)))


def namespaces() -> list[str]:
    """The command that starts another in namespaces of its own: no network, no foreign processes; empty if refused."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return []
    dies = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []  # with the grader
    base = [*dies, "unshare", "--user", "--map-root-user", "--net"]
    for more in (["--pid", "--ipc", "--mount-proc", "--fork", "--kill-child"], []):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run([*base, *more, "true"], capture_output=True, timeout=10)
            if done.returncode == 0:
                return base + more
    return []


def protections() -> dict[str, bool]:
    """What holds on this machine, each in words for a report."""
    linux = sys.platform == "linux"
    filtered = linux and platform.machine() in MACHINES
    return {
        "files: only a scratch folder can be written, the course cannot be read": landlock_version() > 0,
        "no network and no new processes": filtered,
        "namespaces of its own": bool(namespaces()),
        "limits on memory, time and file sizes": os.name == "posix",
    }


def readable() -> list[Path]:
    """What Python needs to read; of this package's neighbours not the notebooks, which hold hidden tests."""
    package = Path(__file__).resolve().parent.parent
    system = [Path(name) for name in ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/proc", "/sys", "/dev")]
    python = [Path(name).resolve() for name in (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values())]
    if package.is_relative_to(sysconfig.get_paths()["purelib"]):  # installed: open site-packages but for the notebooks
        site = package.parent
        python = [path for path in python if not site.is_relative_to(path)]
        python += [*(path for path in site.iterdir() if path != package), *_around(site)]
    own = [path for path in package.iterdir() if path.name != "notebooks"]
    return [path for path in [*system, *python, *own, package.parent / "results"] if path.exists()]


def _around(site: Path) -> list[Path]:
    """What lies beside the way down to ``site`` in the Python installation, without what lies in it."""
    beside, top = [], Path(sys.prefix).resolve()
    while site != top and site.is_relative_to(top):
        beside += [path for path in site.parent.iterdir() if path != site]
        site = site.parent
    return beside


def shut_files(scratch: Path) -> None:
    """Allow reading of :func:`readable` and writing below ``scratch``, and nothing else, for good."""
    version, libc = landlock_version(), _libc()
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


def shut_network_and_processes() -> None:
    """Refuse sockets other than local ones, and new processes, to all threads; new threads are allowed."""
    machine, seccomp, clone, clone3, socket, forks = MACHINES[platform.machine()]
    load, equal, at_least, has_bits, give = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF_LD, BPF_JEQ, BPF_JGE, BPF_JSET, BPF_RET
    allow, refuse, unknown, kill = 0x7FFF0000, 0x00050000 | EPERM, 0x00050000 | ENOSYS, 0x80000000
    # struct seccomp_data: number at 0, machine at 4, arguments (their low halves) at 16, 24, ...
    program = [(load, 0, 0, 4), (equal, 1, 0, machine), (give, 0, 0, kill), (load, 0, 0, 0)]
    program += [(at_least, 0, 1, 0x40000000), (give, 0, 0, refuse)]  # x86's second table of numbers
    for number in forks:
        program += [(equal, 0, 1, number), (give, 0, 0, refuse)]
    program += [(equal, 0, 1, clone3), (give, 0, 0, unknown)]  # its flags lie in memory; the C library falls back
    program += [(equal, 0, 4, clone), (load, 0, 0, 16), (has_bits, 1, 0, CLONE_THREAD), (give, 0, 0, refuse)]
    program += [(give, 0, 0, allow)]
    program += [(equal, 0, 3, socket), (load, 0, 0, 16), (equal, 1, 0, AF_UNIX), (give, 0, 0, refuse)]
    program += [(give, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    if _libc().syscall(seccomp, 1, 1, header) != 0:  # SECCOMP_SET_MODE_FILTER, for all threads
        raise OSError(ctypes.get_errno(), "the filter of system calls cannot be applied")


def limit_use() -> None:
    """Limits that hold for each process: memory, seconds of computing, sizes and number of files, no core dumps."""
    import resource

    for name, most in (("AS", MEMORY), ("CPU", CPU_SECONDS), ("FSIZE", FILE_BYTES), ("NOFILE", FILES), ("CORE", 0)):
        if hasattr(resource, f"RLIMIT_{name}"):
            with contextlib.suppress(ValueError, OSError):  # a tighter limit is set already
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


def shut(scratch: Path) -> None:
    """Give up, for this process and all it starts, whatever a submission does not need to read, write or use up."""
    if os.name == "posix":
        limit_use()
    if sys.platform == "linux":
        _libc().prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG: when whoever started this dies, so does this
        _libc().prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS: no program regains what is given up here
        if landlock_version():
            shut_files(scratch)


def main() -> None:
    scratch = Path(sys.argv[1])
    sys.path.pop(0)  # the folder of this script, which would give its modules other names
    shut(scratch)
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance()
    app.initialize(sys.argv[2:])  # opens a socket of its own, which it cannot start without
    # Now, as a library that comes with this starts a process when it is imported.
    import polygrad_edu.course  # noqa: F401  # pyright: ignore[reportUnusedImport] - imported for what it loads

    if sys.platform == "linux" and platform.machine() in MACHINES:
        shut_network_and_processes()
    app.start()


if __name__ == "__main__":
    main()
