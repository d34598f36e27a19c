"""A kernel as ``polygrad-edu lab`` starts it, right after a restart."""

import nbformat
import pytest
from nbclient import NotebookClient

from polygrad_edu.cli.lab import START
from polygrad_edu.course.kernel_start import FIRST_CELL


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run cells in one new kernel, errors and all; returns the names of errors and the texts, cell by cell."""
    monkeypatch.setenv("PYTHONSTARTUP", str(START))

    def run(*sources):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        resources = {"metadata": {"path": tmp_path}}
        client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources, allow_errors=True)
        client.execute()
        return [[output.get("ename") or output.get("text") for output in cell.outputs] for cell in notebook.cells]

    return run


def test_a_name_of_the_first_cell_leads_back_to_it_and_no_other_error_does(run):
    first, other, imported, missing = run(
        'check("02/noised", None)', "1 / 0", "from polygrad_edu.course import check", "chek"
    )
    assert first == ["NameError", FIRST_CELL + "\n"]
    assert other == ["ZeroDivisionError"]
    assert imported == []
    assert missing == ["NameError"]
