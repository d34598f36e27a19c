"""Storing a lesson: run from top to bottom, outputs kept, everything that differs from run to run left out."""

import base64
import io

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

from polygrad_edu.course.store_lessons import main, store

PRINTS = "import sys\nfor i in range(3):\n    print(i, flush=True)\nsys.stderr.write('said')\nx = 2"
DRAWS = """
import matplotlib.pyplot as plt
from polygrad_edu.course import house_style
house_style()
plt.figure(figsize=(3, 2))
plt.plot([0, 1], [0, 1])
plt.title("a straight line")
plt.show()
"""
GUESSES = "from polygrad_edu.course import predict\npredict('02/half', 3)\nx + 1"


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYGRAD_GUESSES", "restored afterwards")
    path = tmp_path / "lesson.ipynb"
    marks = {"tags": ["exercise"], "nbgrader": {"grade_id": "a"}, "editable": True}
    cells = [new_markdown_cell("# Lesson"), new_code_cell(PRINTS, metadata=marks), new_code_cell(GUESSES)]
    nbformat.write(new_notebook(cells=cells, metadata={"widgets": {"state": 1}}), path)
    return path


def test_a_lesson_is_stored_with_its_outputs_and_nothing_of_the_minute(lesson):
    assert store(lesson) > 0
    stored = nbformat.read(lesson, as_version=4)
    _, prints, guesses = stored.cells
    assert [cell.execution_count for cell in (prints, guesses)] == [1, 2]
    assert sorted((output.name, output.text) for output in prints.outputs) == [
        ("stderr", "said"),
        ("stdout", "0\n1\n2\n"),
    ]
    assert guesses.outputs[-1].data["text/plain"] == "3"
    assert prints.metadata == {"tags": ["exercise"], "nbgrader": {"grade_id": "a"}}
    assert guesses.metadata == {}
    assert set(stored.metadata) == {"kernelspec"}
    assert [cell.id for cell in stored.cells] == ["cell-00", "cell-01", "cell-02"]
    assert [path.name for path in lesson.parent.iterdir()] == ["lesson.ipynb"]  # no book of guesses


def test_a_folded_cell_is_folded_for_the_book_and_for_jupyterlab_and_its_picture_described(lesson):
    notebook = nbformat.read(lesson, as_version=4)
    notebook.cells = [new_code_cell(DRAWS, metadata={"tags": ["hide-input"]})]
    nbformat.write(notebook, lesson)
    store(lesson)
    (cell,) = nbformat.read(lesson, as_version=4).cells
    assert cell.metadata["tags"] == ["hide-input"]
    assert cell.metadata["jupyter"] == {"source_hidden": True}
    assert cell.metadata["mystnb"] == {"image": {"alt": "a straight line"}}
    (output,) = cell.outputs
    assert output.metadata["image/png"]["alt"] == "a straight line"
    picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
    assert picture.mode == "P"  # a palette, for a smaller file
    assert picture.width == pytest.approx(2 * output.metadata["image/png"]["width"], abs=1)


def test_a_lesson_that_fails_is_left_as_it_was(lesson):
    notebook = nbformat.read(lesson, as_version=4)
    notebook.cells.append(new_code_cell("1 / 0"))
    nbformat.write(notebook, lesson)
    before = lesson.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        store(lesson)
    assert lesson.read_bytes() == before


def test_times_are_put_beside_the_headers_and_nothing_is_stored(tmp_path, monkeypatch, capsys):
    lessons = {"02_honest": "5 seconds of it computing", "03_boasts": "one minute of it computing", "a1_task": "write"}
    for name, header in lessons.items():
        nbformat.write(new_notebook(cells=[new_markdown_cell(header), new_code_cell("1 + 1")]), tmp_path / name)
    paths = [str(tmp_path / name) for name in lessons]
    before = [(tmp_path / name).read_bytes() for name in lessons]
    monkeypatch.setattr("sys.argv", ["store_lessons", "--times", *paths])
    with pytest.raises(SystemExit, match=r"^03_boasts took \d+ s and its header says 60$"):
        main()
    first, second, third, together = capsys.readouterr().out.splitlines()
    assert first.endswith("s, its header says 5")
    assert second.endswith("s, its header says 60")
    assert third.endswith(" s")  # an assignment's students take the time they need
    assert together.startswith("together ")
    assert [(tmp_path / name).read_bytes() for name in lessons] == before


def test_a_notebook_that_is_not_there_is_named(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["store_lessons", "02_nothing.ipynb"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err.endswith("error: 02_nothing.ipynb is no notebook\n")
