"""Student's process: runs the cells of a submission in the sandbox, and lets the checks call what they define.

``python -m polygrad_edu.grading.student SCRATCH READER WRITER`` enters the sandbox and then serves the link on the two
file descriptors. No check, no hidden input, no source and no grade is ever in this process: calls come in, and what
the student's code returns goes out.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

from . import sandbox


class Refusal(importlib.abc.MetaPathFinder):
    """Refuses the import of modules that hold what the assignment asks for."""

    def __init__(self, modules: Sequence[str]):
        self.modules = tuple(modules)

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> None:
        if fullname in self.modules:
            raise ImportError(f"{fullname} holds what this assignment asks you to write")


def take_away(function: str) -> None:
    """Replace a function of the package with one that refuses, if its module is loaded.

    Args:
        function: its dotted name, ``"polygrad_edu.actor_critic.lambda_returns"``.
    """
    module, _, name = function.rpartition(".")

    def refuse(*arguments: Any, **options: Any) -> None:
        raise PermissionError(f"{name} of the package is what this assignment asks you to write")

    for loaded in list(sys.modules.values()):  # others may have imported it by name
        if getattr(loaded, "__name__", "").startswith("polygrad_edu") and hasattr(loaded, name):
            known = getattr(loaded, name)
            if getattr(known, "__module__", None) == module:
                setattr(loaded, name, refuse)


class Cells:
    """Names that the cells of a submission define, one after the other."""

    def __init__(self) -> None:
        self.main = ModuleType("__main__")
        self.names = self.main.__dict__
        self.names["display"] = print
        sys.modules["__main__"] = self.main

    def run(self, source: str, name: str) -> None:
        """Run a cell."""
        code: CodeType = compile(source, f"<{name}>", "exec")
        try:
            exec(code, self.names)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    def fetch(self, name: str) -> Any:
        """Value of a name."""
        if name not in self.names:
            raise NameError(f"name {name!r} is not defined")
        return self.names[name]

    def seal(self, modules: list[str], functions: list[str]) -> None:
        """Refuse what the assignment asks for, once its set-up has run."""
        for function in functions:
            take_away(function)
        for module in modules:  # what was loaded for others stays with them, but cannot be imported any more
            sys.modules.pop(module, None)
            above, _, name = module.rpartition(".")
            vars(sys.modules[above]).pop(name, None)
        sys.meta_path.insert(0, Refusal(modules))


@functools.cache
def _counter() -> Any:
    from ..checks.step_counter import StepCounter

    return StepCounter()


def count_steps(begin: bool) -> int:
    """Begin to count the simulator's steps, or stop and return their number."""
    if begin:
        _counter().start()
        return 0
    return _counter().stop()


def main() -> None:
    """Enter the sandbox and serve the checks until they are done."""
    scratch = Path(sys.argv[1])
    reader, writer = (int(word) for word in sys.argv[2:4])
    sys.path.pop(0)  # the working directory, which the student's code can write to
    sandbox.enter(scratch)
    # Loaded before the last walls go up, because some libraries start a process or open a socket when they are loaded.
    import matplotlib.pyplot  # noqa: F401  # pyright: ignore[reportUnusedImport] - imported for what it loads
    import mujoco  # noqa: F401  # pyright: ignore[reportUnusedImport]
    import numpy  # noqa: F401  # pyright: ignore[reportUnusedImport]

    from .distributions import DISTRIBUTIONS
    from .link import Link
    from .wire import BrokenWireError

    for module, _ in DISTRIBUTIONS.values():
        importlib.import_module(module)

    if sandbox.has_filter():
        sandbox.close_network_and_processes()
    link = Link("student", reader, writer, lambda value, name: True)
    cells = Cells()

    def interrupt(number: int, frame: FrameType | None) -> None:
        """Interrupt the student's code, but never in the middle of a message."""
        if link.busy:
            link.interrupted = True
        else:
            raise KeyboardInterrupt

    def set_attribute(number: int, name: str, value: Any) -> None:
        setattr(link.mine[number], name, value)

    link.services |= {
        "run": cells.run,
        "fetch": cells.fetch,
        "seal": cells.seal,
        "set": set_attribute,
        "forget": link.forget,
        "count_steps": count_steps,
    }
    signal.signal(signal.SIGINT, interrupt)
    while True:
        try:
            link.serve_once()
        except BrokenWireError as error:
            sys.exit(str(error))
        except KeyboardInterrupt:  # it came when nothing of the student's ran
            continue


if __name__ == "__main__":
    main()
