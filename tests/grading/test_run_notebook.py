"""A notebook run in the sandbox: floods, crashes and a kernel begun anew, and a report after each test."""

import sys
import time

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from polygrad_edu.grading.run_notebook import MAX_OUTPUT_BYTES, NotebookRunner, environment
from tests.support.assignments import SOURCES, cells
from tests.support.synthetic_submissions import A1

SOLVED = cells(SOURCES[A1])
REQUIRE = "from polygrad_edu.course import require\n"


def code(grade_id, source, grade=False, solution=False):
    return new_code_cell(source, metadata={"nbgrader": {"grade_id": grade_id, "grade": grade, "solution": solution}})


def notebook():
    setup = next(cell["source"] for name, cell in SOLVED.items() if name.startswith("setup"))
    talk = new_markdown_cell("words", metadata={"nbgrader": {"grade_id": "talk", "grade": False, "solution": False}})
    return new_notebook(
        cells=[
            code("setup", setup),
            talk,
            code("picture", "1 / 0"),
            code("signal", SOLVED["signal"]["source"], solution=True),
            code("test_signal", SOLVED["test_signal"]["source"], grade=True),
            code("flood", "while True:\n    print('x' * 1000)", solution=True),
            code("crash", "open('own', 'w').write('x')\nimport os\nos._exit(1)", solution=True),
            code("test_early", REQUIRE + 'require("a1/signal", signal)', grade=True),
            code("test_wrong", REQUIRE + 'require("a1/signal", len)', grade=True),
        ]
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
def test_what_goes_wrong_in_a_cell_stays_in_it_and_every_test_is_attested():
    runner = NotebookRunner("assignment_1", [], cell_seconds=60)
    run = runner.run(notebook())
    by_name = {cell.metadata.nbgrader.grade_id: cell for cell in run.cells}
    assert list(by_name) == [cell.metadata.nbgrader.grade_id for cell in notebook().cells]  # the reports left no cells
    assert runner.problems == {
        "flood": f"it printed more than {MAX_OUTPUT_BYTES // 1000} kB",
        "crash": "it ended the kernel",
    }
    assert "outputs" not in by_name["talk"]
    assert by_name["picture"].outputs == []  # not run
    assert set(runner.reports) == {"test_signal", "test_early", "test_wrong"}
    seeds = [seed for exercise, seed in runner.reports["test_signal"]["passed"] if exercise == "a1/signal"]
    assert seeds[0] == 0
    assert len(seeds) > 1
    assert runner.reports["test_early"]["passed"] == [["a1/signal", 0]]
    assert runner.reports["test_early"]["changed"] == []
    assert runner.reports["test_wrong"]["passed"] == []
    (error,) = by_name["test_wrong"].outputs
    assert error.ename == "AssertionError"
    assert sum(len(output.get("text", "")) for output in by_name["flood"].outputs) <= MAX_OUTPUT_BYTES


def test_when_all_its_time_is_over_the_rest_is_not_run(monkeypatch):
    monkeypatch.setattr("polygrad_edu.grading.run_notebook.ALL_SECONDS", 0)
    begin = time.monotonic()
    runner = NotebookRunner("assignment_1", [])
    runner.run(new_notebook(cells=[code("setup", "import time\ntime.sleep(500)")]))
    assert runner.problems == {"setup": "the time for all of it, 0 s, was over"}
    assert time.monotonic() - begin < 300


def test_a_kernel_is_told_where_python_is_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("PATH", "/somewhere")
    told = environment(tmp_path)
    assert "SECRET_TOKEN" not in told
    assert told["PATH"] == "/somewhere"
    assert told["HOME"] == told["TMPDIR"] == str(tmp_path)


def test_an_error_is_told_with_that_of_the_answers_own_cell():
    runner = NotebookRunner("assignment_1", [])
    error = new_output("error", ename="NameError", evalue="betas is not defined")
    runner.nb = new_notebook(cells=[code("betas", "def betas(:")])
    assert runner.error_message("betas", error) == "NameError: betas is not defined"
    runner.nb.cells[0].outputs = [new_output("error", ename="SyntaxError", evalue="invalid syntax")]
    assert runner.error_message("betas", error) == "Your cell stopped with SyntaxError: invalid syntax"
    assert runner.error_message("other", error) == "NameError: betas is not defined"
    long = new_output("error", ename="ValueError", evalue="x" * 900)
    assert len(runner.error_message("other", long)) == 500
