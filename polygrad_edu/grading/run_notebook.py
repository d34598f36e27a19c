"""Run of a notebook: set-up and answers in the student's process, tests in this one.

A test cell is read, not run: each of its calls of ``credit`` or ``require`` is made here, with stand-ins of the
student's answers.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import checks
from ..checks.parts import Judgement
from .failures import Failure, describe
from .question_cells import Call, required_calls
from .student_process import CELL_SECONDS, START_SECONDS, StudentProcess
from .wire import BrokenWireError

Cell = dict[str, Any]  # of a notebook; nbformat takes longer to load than most answers to run
ALL_SECONDS = 1800  # of a notebook, by the clock
MAX_RESTARTS = 3
MAX_MESSAGE = 2_000
UNSEEN = "On inputs that you have not seen: "


class NotebookRunner:
    """Runs one notebook, whose answers may print, hang, or end their process.

    Args:
        rules: module of the assignment's checks.
        namespaces: command prefix of :func:`.sandbox.namespaces`.
        cell_seconds: computing time of one cell.

    Attributes:
        problems: by cell, what went wrong in it beyond an error.
        waited: cells that were stopped by the clock, or not reached because of it: perhaps no fault of the answers.
        errors: by cell, the error that it stopped with.
        verdicts: by test, the judgement on all its calls together.
    """

    def __init__(self, rules: ModuleType, namespaces: list[str], cell_seconds: int = CELL_SECONDS):
        self.rules = rules
        self.namespaces = namespaces
        self.cell_seconds = cell_seconds
        self.problems: dict[str, str] = {}
        self.waited: set[str] = set()
        self.errors: dict[str, Failure] = {}
        self.verdicts: dict[str, Judgement] = {}

    def run(self, notebook: dict[str, Any]) -> dict[str, Any]:
        """Run set-up, answers and tests of ``notebook``; their output is put into it."""
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and _is_run(cell)]
        self.ends = time.monotonic() + ALL_SECONDS
        done = 0
        for _ in range(MAX_RESTARTS + 1):
            done = self._run_from(cells, done)
            if done == len(cells):
                break
        for cell in cells[done:]:
            self.problems.setdefault(_name(cell), "the process ended too often before it was reached")
        return notebook

    def _run_from(self, cells: list[Cell], done: int) -> int:
        """Go on with cell number ``done`` in a new process; return the number of cells done when that one ends."""
        with tempfile.TemporaryDirectory(prefix="sandbox-", ignore_cleanup_errors=True) as name:
            student = StudentProcess(Path(name).resolve(), self.namespaces, self.cell_seconds)
            place = -1
            try:
                with student.step(START_SECONDS):
                    student.link.request("forget")
                sealed = False
                for place, cell in enumerate(cells):
                    if place < done and (_marks(cell)["grade"] or _name(cell) in self.problems):
                        continue  # known already; after a restart only what later cells need is run again
                    if not sealed and not _name(cell).startswith("setup"):
                        student.link.request("seal", *_taken_away(self.rules))
                        sealed = True
                    if time.monotonic() > self.ends:
                        self.problems.setdefault(_name(cell), f"the time for all of it, {ALL_SECONDS} s, was over")
                        self.waited.add(_name(cell))
                        continue
                    self._run_cell(student, cell)
                return len(cells)
            except BrokenWireError as error:
                if place < 0:
                    raise RuntimeError(f"no process could be started ({student.printed()[-300:] or error})") from None
                self._note(_name(cells[place]), student.problem or "it ended its process", student.by_clock)
                return max(place + 1, done)
            finally:
                student.close()

    def _run_cell(self, student: StudentProcess, cell: Cell) -> None:
        """Run one cell or test."""
        name = _name(cell)
        outputs: list[dict[str, Any]] = []
        cell["outputs"] = outputs
        with student.step():
            if _marks(cell)["grade"]:
                self.verdicts[name] = self._test(student, required_calls(cell["source"]))
                outputs.append(_stream(self.verdicts[name].message or "Right."))
            else:
                self.errors.pop(name, None)
                try:
                    student.link.request("run", cell["source"], name)
                except Exception as error:
                    self.errors[name] = describe(error)
                    outputs.append(_error(error))
                    if name.startswith("setup"):
                        raise RuntimeError(f"the set-up of the assignment stopped: {error!r} {error}") from error
            printed = student.printed()
            if printed:
                outputs.insert(0, _stream(printed))
            if student.problem:
                self._note(name, student.problem, student.by_clock)

    def _note(self, name: str, problem: str, by_clock: bool) -> None:
        self.problems.setdefault(name, problem)
        if by_clock:
            self.waited.add(name)

    def _test(self, student: StudentProcess, calls: list[Call]) -> Judgement:
        """Judgement on all calls of a test; of those after the first the student has not seen the inputs."""
        found = self._judge(student, calls[0])
        for call in calls[1:]:
            if not found.share:
                break
            found &= _unseen(self._judge(student, call))
        stopped = next((self.errors[name] for name in calls[0].answers if name in self.errors), None)
        if found.message and stopped:
            told = [f"Your cell stopped with {stopped.name}: {stopped.text}"]
            found = found._replace(message="\n".join(told + [found.message] * bool(found.share)))
        return found._replace(message=found.message[:MAX_MESSAGE])

    def _judge(self, student: StudentProcess, call: Call) -> Judgement:
        student.link.request("forget")
        student.link.forget()
        try:
            answers = [student.link.request("fetch", name) for name in call.answers]
        except NameError as error:
            return checks.nothing(call.exercise, f"NameError: {error}")
        found = checks.explained(call.exercise, *answers, seed=call.seed)
        return found if call.in_parts else found.all_or_nothing()


def _unseen(found: Judgement) -> Judgement:
    """The same judgement, in whose messages it is told that the student has not seen the inputs."""
    parts = (each._replace(message=each.message and f"{UNSEEN}{each.message}") for each in found.parts)
    spoilt = found.spoilt and f"{UNSEEN}{found.spoilt}"
    return Judgement(found.message and f"{UNSEEN}{found.message}", tuple(parts), spoilt)


def _taken_away(rules: Any) -> tuple[list[str], list[str]]:
    """Modules and functions of the package that hold what an assignment asks for."""
    return [f"polygrad_edu.{name}" for name in rules.MAY_NOT_IMPORT], [
        f"polygrad_edu.{name}" for name in rules.MAY_NOT_USE
    ]


def _stream(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def _error(error: Exception) -> dict[str, Any]:
    return {"output_type": "error", "ename": type(error).__name__, "evalue": str(error), "traceback": []}


def _marks(cell: Cell) -> dict[str, Any]:
    return cell["metadata"]["nbgrader"]


def _name(cell: Cell) -> str:
    return _marks(cell)["grade_id"]


def _is_run(cell: Cell) -> bool:
    """True for set-up, answers and tests; pictures and explanations in between are not run."""
    return _marks(cell)["solution"] or _marks(cell)["grade"] or _name(cell).startswith("setup")
