"""Processes that tests have started, as the system sees them."""

import contextlib
import time
from pathlib import Path

import psutil


def children(parent: int, word: str) -> list[psutil.Process]:
    """Children of the process ``parent`` with this word on their command line.

    Processes that end meanwhile are left out, and so are grandchildren: one that has just been started still has its
    parent's command line.
    """
    found = psutil.process_iter(["ppid", "cmdline"])
    return [child for child in found if child.info["ppid"] == parent and word in (child.info["cmdline"] or [])]


def descendants(parent: int, word: str) -> list[psutil.Process]:
    """All processes below ``parent``, once Python runs in one of them with this word on its command line."""
    found = psutil.Process(parent).children(recursive=True)
    return found if any(word in _command_line(process)[1:] for process in found if _is_python(process)) else []


def are_gone(processes: list[psutil.Process], seconds: float = 60) -> bool:
    """Wait until all have ended; those that nobody has waited for yet count as ended."""
    ends = time.monotonic() + seconds
    while any(_runs(process) for process in processes):
        if time.monotonic() > ends:
            return False
        time.sleep(0.1)
    return True


def _command_line(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def _is_python(process: psutil.Process) -> bool:
    return Path((_command_line(process) or [""])[0]).name.startswith("python")


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE
    return False
