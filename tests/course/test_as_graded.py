"""An assignment's last cell: the grader's table for the notebook as saved, and a line where that is not possible."""

import json
import re
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from polygrad_edu.grading.instructor import without_hidden_tests
from tests.support.assignments import SOURCES
from tests.support.browser import chromium, jupyterlab, needs_chromium
from tests.support.synthetic_submissions import A1

LAST = f'from polygrad_edu.course import as_it_will_be_graded\n\nas_it_will_be_graded("{A1}")'
WRONG = "def betas(alpha_bar):\n    return alpha_bar"
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="course check needs Linux or macOS")


def saved(path, only=()):
    """A student's notebook with the course's solutions, written to ``path``; of its questions only some."""
    notebook = without_hidden_tests(SOURCES[A1].read_text(encoding="utf-8"))
    if only:
        kept = {"setup", "as_graded", *only, *(f"test_{name}" for name in only)}
        cells = [cell for cell in notebook["cells"] if cell["metadata"]["nbgrader"]["grade_id"] in kept]
        notebook["cells"] = cells
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return notebook


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run cells in a new kernel in whose session a notebook of this name is open; return what the last one printed."""
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)

    def run(*sources, opened=None):
        if opened is not None:
            monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / opened))
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        resources = {"metadata": {"path": tmp_path}}
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
        return "".join(output.text for output in notebook.cells[-1].outputs)

    return run


def test_it_is_the_last_cell_of_every_assignment_and_names_it():
    for name, path in SOURCES.items():
        last = json.loads(path.read_text(encoding="utf-8"))["cells"][-1]
        assert "".join(last["source"]) == LAST.replace(A1, name)
        marks = last["metadata"]["nbgrader"]
        assert (marks["grade_id"], marks["grade"], marks["solution"], marks["locked"]) == (
            "as_graded",
            False,
            False,
            True,
        )


@needs_posix
def test_what_counts_is_the_file_and_who_ran_something_else_is_told_to_save_it(run, tmp_path):
    saved(tmp_path / "mine.ipynb", only=("signal", "betas"))
    told = run("import torch", "def signal(n_steps, tau):\n    pass", WRONG, LAST, opened="mine.ipynb")
    assert re.match(r"mine\.ipynb as it was saved at \d\d:\d\d:\d\d, run from top to bottom:\n", told)
    assert "NOT SAVED: what you ran last of signal, betas is not what the file holds." in told
    assert re.search(r"betas +3 of 3 +Right\.", told)  # as saved, whatever this kernel holds
    assert re.search(r"respaced +0 of 3", told)
    assert max(map(len, told.splitlines())) <= 88


@needs_posix
def test_what_was_run_and_saved_needs_no_line_also_under_another_name(run, tmp_path):
    notebook = saved(tmp_path / f"{A1}.ipynb", only=("betas",))
    (betas,) = ("".join(cell["source"]) for cell in notebook["cells"] if "def betas" in "".join(cell["source"]))
    told = run("import torch", WRONG, betas + "\n", LAST, opened="before it was renamed.ipynb")
    assert told.startswith(f"{A1}.ipynb as it was saved")
    assert "NOT SAVED" not in told


@pytest.mark.parametrize(
    ("opened", "words"),
    [
        (None, f"Open this notebook in JupyterLab .*\npolygrad-edu course check {A1}.ipynb\n"),
        ("gone.ipynb", f"There is neither gone.ipynb nor {A1}.ipynb in .*\nrestart its kernel"),
    ],
)
def test_where_no_notebook_is_open_a_line_says_how(run, opened, words):
    assert re.match(words, run(LAST, opened=opened))


@needs_posix
def test_a_file_that_is_no_notebook_is_told_by_the_check_itself(run, tmp_path):
    (tmp_path / "mine.ipynb").write_text("{")
    told = run(LAST, opened="mine.ipynb")
    assert "cannot be read as JSON" in told
    assert "Traceback" not in told


@needs_posix
@needs_chromium
def test_jupyterlab_says_which_notebook_it_is(tmp_path):
    saved(tmp_path / "my work.ipynb", only=("betas",))
    with jupyterlab(tmp_path) as lab, chromium() as browser:
        page = lab.open(browser, "my work.ipynb")
        lab.run_all(page)
        table = page.locator(".jp-OutputArea-output").filter(has_text=re.compile(r"betas +3 of 3 +Right\."))
        table.wait_for(timeout=240_000)
        assert table.text_content().startswith("my work.ipynb as it was saved at")
        assert "NOT SAVED" not in table.text_content()
