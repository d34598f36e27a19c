"""Processes that tests have started, as the system sees them."""

import psutil


def children(parent: int, word: str) -> list[psutil.Process]:
    """A process's own children with this word on their command line.

    Without those that end while one looks, and without what these start, which looks like them until it is another.
    """
    found = psutil.process_iter(["ppid", "cmdline"])
    return [child for child in found if child.info["ppid"] == parent and word in (child.info["cmdline"] or [])]
