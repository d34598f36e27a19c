"""Questions before an experiment: a guess opens what comes after it.

In a notebook, the cell that calls ``reveal`` computes at once, but what it shows is kept back until its question is
settled: guessed at or given up. Set the environment variable POLYGRAD_ANSWERS to ``shown`` to see everything at once,
as the command that stores the lessons for the book does.
"""

from __future__ import annotations

import functools
import os
import re
from html import escape
from typing import Any

import ipywidgets
from IPython import get_ipython
from IPython.display import display
from IPython.utils.capture import CapturedIO, capture_output

from . import guesses
from .guess_widget import GuessWidget

_NOT_YET = "Write your guess in place of the dots and run this cell again; then read on."
_REVEAL = re.compile(r"\breveal\(\s*[\"']([^\"']+)")


def predict(
    key: str,
    guess: Any = ...,
    choices: tuple[str, ...] = (),
    between: tuple[float, float] | None = None,
    sure: float | None = None,
) -> GuessWidget | None:
    """Ask for a guess before the experiment, or note the one that is given; print why if it is none.

    Args:
        key: name of the question, lesson first: ``"02/half"``.
        guess: a number, or one of ``choices``. The dots of an unanswered cell are not a guess.
        choices: the possible answers, if the question does not ask for a number.
        between: the range of possible numbers, for example ``(0, 1)`` for a share.
        sure: how sure you are, in percent, if you like; the scorecard compares it with what came true.

    Returns:
        In a notebook, while there are dots, the question as a widget, in which the guess can be locked in.
    """
    if guess is not ...:
        print(guesses.objection(guess, choices, between, sure) or _settle(key, choices, between, guess, sure))
        return None
    if _in_notebook():
        settle = functools.partial(_settle, key, choices, between)
        said = guesses.said_of(key) or ("All answers are shown." if _answers_shown() else "")
        return GuessWidget(key, choices, between, said, settle)
    print(_NOT_YET + (f" The choices: {', '.join(choices)}." if choices else ""))
    return None


def _settle(
    key: str, choices: tuple[str, ...], between: tuple[float, float] | None, guess: Any, sure: float | None
) -> str:
    """Note a guess, or with None that it was given up; show what waited for it. Returns what to say."""
    if guess is None:
        said = guesses.give_up(key)
    else:
        said = guesses.objection(guess, choices, between, sure) or guesses.lock(key, guess, between, sure)
    if guesses.settled(key) and key in _kept_back:
        _kept_back.pop(key).show()
    return said


def reveal(key: str, actual: float | str) -> None:
    """Show the result of the experiment beside the guess, and note its points.

    Args:
        key: name of the question, as given to :func:`predict`.
        actual: the result.
    """
    if _in_progress is not None and _in_progress.key == key:
        _in_progress.actual = actual
        return
    line = guesses.compare(key, actual)
    if _answers_shown() and _in_notebook():  # for the book, where the question's widget opens it
        short = escape(f"It is {guesses.readable(actual)}.")
        html = f'<p class="guess-answer waiting" data-question="{escape(key)}">{short}</p>'
        display({"text/plain": line, "text/html": html}, raw=True)
    else:
        print(line)


def _in_notebook() -> bool:
    return hasattr(get_ipython(), "kernel")


def _answers_shown() -> bool:
    return os.environ.get("POLYGRAD_ANSWERS") == "shown"


# ---- what a cell shows, kept back


class _KeptBack:
    """Output of the cell that reveals an answer, caught until the question is settled."""

    def __init__(self, key: str):
        self.key = key
        self.actual: float | str | None = None  # as soon as the cell has called reveal
        self._catcher = capture_output()
        self._caught: CapturedIO = self._catcher.__enter__()
        self._place = ipywidgets.Output()

    def end_of_cell(self) -> None:
        """Stop catching and put a line in the place of what was caught."""
        self._catcher.__exit__(None, None, None)
        display(self._place)
        self._place.append_stdout(
            f'What this cell found waits for your guess: answer predict("{self.key}", ...), a few cells up.\n'
        )

    def show(self) -> None:
        """Show what was caught, in its place."""
        self._place.outputs = ()
        if self._caught.stdout:
            self._place.append_stdout(self._caught.stdout)
        if self._caught.stderr:
            self._place.append_stderr(self._caught.stderr)
        for output in self._caught.outputs:
            self._place.append_display_data(output)
        if self.actual is not None:
            self._place.append_stdout(guesses.compare(self.key, self.actual) + "\n")


_kept_back: dict[str, _KeptBack] = {}  # by question
_in_progress: _KeptBack | None = None  # of the cell that is running


def _before_cell(info: Any) -> None:
    global _in_progress
    called = _REVEAL.search(info.raw_cell or "")
    if called and not guesses.settled(called[1]) and not _answers_shown():
        _in_progress = _kept_back[called[1]] = _KeptBack(called[1])


def _after_cell(_result: Any) -> None:
    global _in_progress
    if _in_progress is not None:
        _in_progress.end_of_cell()
        _in_progress = None


def _watch_cells() -> None:
    """In a notebook, from now on keep back what a cell reveals until its question is settled."""
    shell = get_ipython()
    if shell is not None and _in_notebook():
        shell.events.register("pre_run_cell", _before_cell)
        shell.events.register("post_run_cell", _after_cell)


_watch_cells()
