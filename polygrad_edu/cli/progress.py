"""Progress on the terminal: a line with a bar for each long piece of work."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..files.progress import OnProgress
from .terminal import CommandConsole


@contextlib.contextmanager
def progress_lines() -> Generator[OnProgress, None, None]:
    """Yield ``on_progress(what, done, total)``, which shows each ``what`` on a line of its own, on standard error."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=CommandConsole(stderr=True),
    )
    tasks: dict[str, TaskID] = {}

    def on_progress(what: str, done: int, total: int) -> None:
        if what not in tasks:
            progress.start()  # not before: bad input should leave no empty line
            tasks[what] = progress.add_task(what, total=total)
        progress.update(tasks[what], completed=done)

    try:
        yield on_progress
    finally:
        if tasks:
            progress.stop()
