"""Processes that tests have started, as the system sees them."""

import psutil


def children(parent: int, word: str) -> list[psutil.Process]:
    """Children of the process ``parent`` with this word on their command line.

    Processes that end meanwhile are left out, and so are grandchildren: one that has just been started still has its
    parent's command line.
    """
    found = psutil.process_iter(["ppid", "cmdline"])
    return [child for child in found if child.info["ppid"] == parent and word in (child.info["cmdline"] or [])]
