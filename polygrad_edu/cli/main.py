"""The command line: ``polygrad-edu COMMAND``; ``polygrad-edu --help`` lists the commands.

Nothing heavy is imported here, so that ``--help`` answers at once: each command imports what it needs when it runs.
"""

from __future__ import annotations

import sys

import typer

from ..files.input_error import InputError
from . import bench, compare, course, doctor, lab, runs, share, sweep, train

app = typer.Typer(
    help="PolyGRAD, as a course you can run: learn a MuJoCo task inside a world model's imagination.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(train.train)
app.command()(runs.evaluate)
app.command()(runs.video)
app.command()(runs.export)
app.command()(compare.error)
app.command()(compare.dataset)
app.command()(bench.bench)
app.command()(sweep.sweep)
app.command()(sweep.report)
app.command()(share.push)
app.command()(share.pull)
app.command()(doctor.doctor)
app.command()(lab.lab)
app.add_typer(course.course, name="course")


def main() -> None:
    """Run a command and exit with its status. Errors are printed here and nowhere else.

    Bad input: one line and status 2. A failure of a run or of the disk: one line and status 1. Any other exception is a
    defect: its traceback and status 1.
    """
    try:
        status = app(standalone_mode=False) or 0  # 130 after an interrupt
    except typer.TyperException as error:  # no such command or option
        status = _print_error(error.format_message(), 2)
    except InputError as error:
        status = _print_error(error, 2)
    except _failures() as error:
        status = _print_error(error, 1)
    sys.exit(status)


def _failures() -> tuple[type[Exception], ...]:
    """Exceptions that are no defects. Called only once something was raised, for it imports torch."""
    from ..imagination_loop import NotFiniteError
    from ..studies.seeds import FailedRunsError

    return NotFiniteError, FailedRunsError, OSError


def _print_error(message: object, status: int) -> int:
    """Print ``message`` as one line on standard error; returns ``status``."""
    if line := " ".join(str(message).split()):
        print(f"polygrad-edu: {line}", file=sys.stderr)
    return status
