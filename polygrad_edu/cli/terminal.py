"""The terminal: output that shows any text with the signs it has, and an output that is closed gets a word.

A terminal, a pipe or a log may know fewer signs than a message holds: a command ends as it would, with others in their
place. Where the reader of a pipe leaves (``polygrad-edu train | head -n 1``), the command says so on standard error.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import select
import sys
import unicodedata
from collections.abc import Generator, Iterable
from typing import Any, TextIO

from rich.console import Console, RenderableType

SIGNS = {
    "±": "+-",
    "×": "x",
    "÷": "/",
    "·": ".",
    "•": "*",
    "←": "<-",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "∞": "inf",
    "√": "sqrt",
    "✓": "ok",
    "−": "-",  # the sign for minus
    "⁄": "/",  # of a fraction
}
NAME = "polygrad_edu.another_sign"  # of the error handler, among Python's
CLOSED = "standard output was closed"


class OutputClosedError(OSError):
    """Nobody reads what a command prints; the message says what was kept and how to go on."""


def another_sign(error: UnicodeError) -> tuple[str | bytes, int]:
    """Handler for encoding errors: what to write in place of a character, and where to go on.

    A letter that is not there becomes a question mark, not its nearest relative: in a name, that is another name.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if "\udc80" <= sign <= "\udcff":  # a byte of a file's name that was no text: the terminal gets it back
        return bytes([ord(sign) - 0xDC00]), error.start + 1
    return _ascii(sign), error.start + 1


def _ascii(sign: str) -> str:
    """The nearest to ``sign`` that ASCII has."""
    if sign in SIGNS:
        return SIGNS[sign]
    kind = unicodedata.category(sign)
    if kind in ("Mn", "Cf"):  # an accent on the letter before it, or nothing that is seen
        return ""
    if kind == "Zs":
        return " "
    if kind == "Pd":
        return "-"
    if kind in ("Pi", "Pf"):
        return '"' if "DOUBLE" in unicodedata.name(sign) else "'"
    if "─" <= sign <= "╿":  # rules and the corners of tables
        return "-" if sign in "─━┄┅┈┉═╌╍╴╶╸╺╼╾" else "|" if sign in "│┃┆┇┊┋║╎╏╵╷╹╻╽╿" else "+"
    if unicodedata.decomposition(sign).startswith("<"):  # another form of plain characters: an ellipsis, a small 2
        return "".join(part if part.isascii() else _ascii(part) for part in unicodedata.normalize("NFKC", sign))
    return "?"


def prepare_streams() -> None:
    """Let standard output and error show any text; what they cannot show is written with other signs.

    One that was closed before the command began leads to nowhere: else the next file that is opened would take its
    number, and get what others print.
    """
    codecs.register_error(NAME, another_sign)
    closed = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in closed:
        nowhere = open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8")  # noqa: SIM115 - to the end
        os.set_inheritable(nowhere.fileno(), True)
        setattr(sys, name, nowhere)
    if "stdout" in closed:
        print("polygrad-edu: standard output is closed; nothing will be shown", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=NAME)
    if not os.environ.get("TERMINAL_WIDTH", "0").isdecimal():
        del os.environ["TERMINAL_WIDTH"]  # typer takes it for a number, and its help ends in a traceback


class CommandConsole(Console):
    """Console of a command: prints text as it is, and says so when nobody reads it.

    It keeps to the stream that it finds: what redirects the output of a library later takes none of its words.

    Args:
        stderr: print on standard error, where standard output belongs to JSON.
        going_on: words about work that goes on although nobody reads of it; empty: it stops.
    """

    def __init__(self, stderr: bool = False, going_on: str = ""):
        file = sys.stderr if stderr else sys.stdout
        super().__init__(file=file, stderr=stderr, markup=False, emoji=False)  # a path may hold brackets and colons
        self.going_on = going_on

    def on_broken_pipe(self) -> None:
        """Print nothing from now on, where rich would end the process without a word.

        Raises:
            OutputClosedError: it was standard output, and the work stops. Progress on standard error is not worth that.
        """
        self.quiet = True
        if self.stderr:
            return
        if not self.going_on:
            raise OutputClosedError(CLOSED)
        _lead_to_nowhere(sys.stdout)
        with contextlib.suppress(OSError):  # standard error is closed as well
            print(f"polygrad-edu: {CLOSED}; {self.going_on}", file=sys.stderr)


@contextlib.contextmanager
def told_when_closed(advice: str = "") -> Generator[None, None, None]:
    """Within it, whatever was printed arrives before the end, or the error says that it did not.

    Args:
        advice: what was kept, and how to go on.

    Raises:
        OutputClosedError: standard output was closed.
        RuntimeError: another pipe was, which is a defect.
    """
    try:
        yield
        sys.stdout.flush()
    except (BrokenPipeError, OutputClosedError) as error:
        if isinstance(error, BrokenPipeError) and not _output_is_closed():  # typer would end without a word
            raise RuntimeError("the pipe to another process was closed") from error
        told = CLOSED if isinstance(error, BrokenPipeError) else str(error)
        raise OutputClosedError(f"{told}. {advice}" if advice else told) from None


def answer(console: CommandConsole, shown: Iterable[RenderableType], data: Any, kept: str) -> None:
    """Give a command's results: as words and tables, or as one JSON object where the console is not standard output.

    Args:
        shown: what a reader is shown, with a line between.
        data: the same for a program.
        kept: which files hold it, said below and to those who closed the output.

    Raises:
        OutputClosedError: standard output was closed.
    """
    with told_when_closed(kept):
        if console.stderr:
            print(json.dumps(data))
        else:
            console.print(*shown, sep="\n\n", highlight=False)
            console.print(kept, soft_wrap=True)


def _output_is_closed() -> bool:
    try:
        sys.stdout.flush()  # what could not be written is still there, if Python buffers it
    except BrokenPipeError:
        return True
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return bool(poll.poll(0))  # an error is reported without being asked for


def forget_unwritten() -> None:
    """Send what could not be written to nowhere, or Python would fail once more while it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _lead_to_nowhere(stream)


def _lead_to_nowhere(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
