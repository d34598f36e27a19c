"""A notebook run: answers in the sandbox, tests here, and a process begun anew when one has ended."""

import importlib
import sys

import pytest

from polygrad_edu.grading import run_notebook
from polygrad_edu.grading.run_notebook import NotebookRunner
from tests.support.assignments import SOURCES, cells
from tests.support.synthetic_submissions import A1

SOLVED = cells(SOURCES[A1])
RULES = importlib.import_module("polygrad_edu.checks.assignment_1")


def code(grade_id, source, grade=False, solution=False, kind="code"):
    marks = {"grade_id": grade_id, "grade": grade, "solution": solution}
    return {"cell_type": kind, "source": source, "metadata": {"nbgrader": marks}}


def notebook():
    setup = next(cell["source"] for name, cell in SOLVED.items() if name.startswith("setup"))
    return {
        "cells": [
            code("setup", setup),
            code("talk", "words", kind="markdown"),
            code("picture", "1 / 0"),
            code("signal", SOLVED["signal"]["source"] + "\nprint('made')", solution=True),
            code("test_signal", SOLVED["test_signal"]["source"], grade=True),
            code("crash", "import os\nos._exit(1)", solution=True),
            code("betas", "betas = 1 / 0", solution=True),
            code("test_betas", 'require("a1/betas", betas)', grade=True),
            code("test_early", 'require("a1/signal", signal)', grade=True),
            code("test_wrong", 'require("a1/signal", math)\nrequire("a1/signal", signal, seed=3)', grade=True),
            code("half", "def half(n, tau):\n    return signal(n, 1.0 if n == 18 else tau)", solution=True),
            code(
                "test_half", 'held = credit("a1/signal", half)\nheld &= credit("a1/signal", half, seed=3)', grade=True
            ),
        ]
    }


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
def test_what_goes_wrong_in_a_cell_stays_in_it():
    runner = NotebookRunner(RULES, [])
    run = runner.run(notebook())
    by_name = {cell["metadata"]["nbgrader"]["grade_id"]: cell for cell in run["cells"]}
    assert runner.problems == {"crash": "it ended its process"}
    assert runner.waited == set()
    assert runner.errors == {"betas": ("ZeroDivisionError", "division by zero")}
    assert "outputs" not in by_name["talk"]
    assert "outputs" not in by_name["picture"]  # not run
    assert [output["text"] for output in by_name["signal"]["outputs"]] == ["made\n"]
    assert [runner.verdicts[name].message for name in ("test_signal", "test_early")] == ["", ""]
    told = runner.verdicts["test_betas"].message
    assert told == "Your cell stopped with ZeroDivisionError: division by zero"
    told = runner.verdicts["test_wrong"].message
    assert "should be a function, not a module" in told
    assert told.endswith("This question is all or nothing.")
    (output,) = by_name["test_wrong"]["outputs"]
    assert output["text"] == told
    half = runner.verdicts["test_half"]  # another temperature does nothing where there are 18 steps, which seed 3 asks
    assert half.points(of=3) == 2
    assert half.message.startswith("On inputs that you have not seen: Not yet: signal(18, 0.10)")
    assert half.parts[2].message == half.message.rpartition(" (It is explained")[0]


def test_when_all_its_time_is_over_the_rest_is_not_run(monkeypatch):
    monkeypatch.setattr(run_notebook, "ALL_SECONDS", 0)
    runner = NotebookRunner(RULES, [])
    runner.run({"cells": [code("setup", "import time\ntime.sleep(500)")]})
    assert runner.problems == {"setup": "the time for all of it, 0 s, was over"}
    assert runner.waited == {"setup"}
