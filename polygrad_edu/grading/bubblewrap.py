"""Bubblewrap: where it is installed and allowed, a student's process sees only what it may read.

It needs no privileges where the system allows user namespaces, and makes a wall around files also on a kernel without
Landlock. Where it is missing, :mod:`.sandbox` does without it.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PROGRAM = "bwrap"
MADE_ANEW = (Path("/proc"), Path("/dev"))  # by bubblewrap, with nothing of other processes and no devices in them


@functools.cache
def prefix(readable: tuple[Path, ...]) -> tuple[str, ...]:
    """Beginning of a command that sees these paths and nothing else, in namespaces of its own.

    Empty if bubblewrap is not installed or refused here. :func:`with_folder` adds the folder that the command may write
    to.
    """
    if sys.platform != "linux" or shutil.which(PROGRAM) is None:
        return ()
    command = [PROGRAM, "--unshare-all", "--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev"]
    for path in _without_inner(readable):
        command += ["--ro-bind", str(path), str(path)]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([*command, "--", sys.executable, "-c", "import json"], capture_output=True, timeout=30)
        if done.returncode == 0:
            return tuple(command)
    return ()


def _without_inner(paths: Iterable[Path]) -> list[Path]:
    """Paths in the order in which they can be mounted, without those that another one holds or that are made anew."""
    kept: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path.is_relative_to(outer) for outer in (*kept, *MADE_ANEW)):
            kept.append(path)
    return kept


def with_folder(command: Iterable[str], folder: Path) -> list[str]:
    """Command prefix with ``folder`` to write to, if it is bubblewrap's; any other one is returned as it is."""
    command = list(command)
    if command[:1] != [PROGRAM]:
        return command
    own = ["--bind", str(folder), str(folder), "--chdir", str(folder)]
    return [*command, *own, "--remount-ro", "/dev", "--remount-ro", "/", "--"]  # else files could fill the memory there
