"""The command line: ``polygrad-edu COMMAND``; ``polygrad-edu --help`` lists the commands.

Nothing heavy is imported here, so that ``--help`` answers at once: each command imports what it needs when it runs.
"""

from __future__ import annotations

import contextlib
import sys

import typer

from ..files.input_error import InputError
from . import bench, compare, course, doctor, lab, runs, share, sweep, train
from .command import Command, DoctorCommand
from .terminal import forget_unwritten, prepare_streams

app = typer.Typer(
    help="PolyGRAD, as a course you can run: learn a MuJoCo task inside a world model's imagination.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(cls=Command)(train.train)
app.command(cls=Command)(runs.evaluate)
app.command(cls=Command)(runs.video)
app.command(cls=Command)(runs.export)
app.command(cls=Command)(compare.error)
app.command(cls=Command)(compare.futures)
app.command(cls=Command)(compare.dataset)
app.command(cls=Command)(bench.bench)
app.command(cls=Command)(sweep.sweep)
app.command(cls=Command)(sweep.report)
app.command(cls=Command)(share.push)
app.command(cls=Command)(share.pull)
app.command(cls=DoctorCommand)(doctor.doctor)
app.command(cls=Command, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(lab.lab)
app.add_typer(course.course, name="course")


def main() -> None:
    """Run a command and exit with its status. Errors are printed here and nowhere else.

    Bad input: one line and status 2. A failure of a run, of the disk, or of an output that nobody reads: one line and
    status 1. Any other exception is a defect: its traceback and status 1.
    """
    prepare_streams()
    try:
        status = app(standalone_mode=False) or 0  # 130 after an interrupt
    except typer.TyperException as error:  # no such command or option
        status = _print_error(error.format_message(), 2)
    except InputError as error:
        status = _print_error(error, 2)
    except _failures() as error:
        status = _print_error(error, 1)
    finally:
        forget_unwritten()
    sys.exit(status)


def _failures() -> tuple[type[Exception], ...]:
    """Exceptions that are no defects. A module that was not imported raised none, and may be what is broken here."""
    kinds: list[type[Exception]] = [OSError]
    for module, name in (("imagination_loop", "NotFiniteError"), ("studies.seeds", "FailedRunsError")):
        if loaded := sys.modules.get(f"polygrad_edu.{module}"):
            kinds.append(getattr(loaded, name))
    return tuple(kinds)


def _print_error(message: object, status: int) -> int:
    """Print ``message`` as one line on standard error; returns ``status``."""
    if line := " ".join(str(message).split()):
        with contextlib.suppress(OSError):  # closed as well
            print(f"polygrad-edu: {line}", file=sys.stderr)
    return status
