"""Commands as a class: what each of them does before its work, and a word if nobody reads what it prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from ..files.input_error import InputError
from ..measuring.doctor import check_variables
from .terminal import told_when_closed


class Command(TyperCommand):
    """A command whose paths may begin with ``~``, in surroundings that its libraries accept.

    Attributes:
        needs_libraries: check the environment variables that end a library's import. The help never does.
    """

    needs_libraries = True

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Args:
            ctx: a context of typer's own, whose type has no public name.

        Raises:
            InputError: a path that is none here, or an environment variable that a library refuses.
        """
        for name, value in ctx.params.items():
            if isinstance(value, Path):
                ctx.params[name] = expanded(value)
        if self.needs_libraries:
            check_variables()
        with told_when_closed():
            return super().invoke(ctx)


class DoctorCommand(Command):
    """The command that runs where a library cannot be imported, and says why."""

    needs_libraries = False


def expanded(path: Path) -> Path:
    """The path with ``~`` for the home directory: the shell leaves it in ``--out=~/run``.

    Raises:
        InputError: there is no such home, or the name is no text in this system's encoding.
    """
    try:
        path = path.expanduser()
    except RuntimeError:
        raise InputError(f"{path} begins with a home directory that is not known here; give its whole path") from None
    try:
        str(path).encode()
    except UnicodeEncodeError:
        encoding = sys.getfilesystemencoding()
        remedy = "choose another name" + ("" if encoding == "utf-8" else ", or set PYTHONUTF8=1")
        raise InputError(f"{path} is no text in {encoding}, and some libraries cannot open it; {remedy}") from None
    return path
