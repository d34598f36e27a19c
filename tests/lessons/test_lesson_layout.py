"""Layout of the lessons: a picture and a question first, code folded where it only draws, lines that fit the screen."""

import json
import re

import pytest

from polygrad_edu.course.figures import fitted
from tests.lessons.test_lessons import NOTEBOOKS

PATHS = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
WIDEST = 88  # characters that JupyterLab shows beside its sidebar on a laptop's screen
FOLDED = "hide-input"

each_lesson = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def code_of(path):
    return [cell for cell in cells_of(path) if cell["cell_type"] == "code"]


def folded(cell):
    return FOLDED in cell["metadata"].get("tags", [])


def shows_a_picture(cell):
    """True for a figure, a film or a widget, which is more than a table of words in HTML."""
    kinds = [output.get("data", {}) for output in cell["outputs"]]
    return any("image/png" in data or len("".join(data.get("text/html", ""))) > 20_000 for data in kinds)


@each_lesson
def test_no_line_of_code_is_wider_than_the_screen(path):
    lines = [line for cell in code_of(path) for line in "".join(cell["source"]).splitlines()]
    assert [line for line in lines if len(line) > WIDEST] == []


@each_lesson
def test_no_line_of_a_solution_is_wider_than_the_screen(path):
    text = "\n".join("".join(cell["source"]) for cell in cells_of(path) if cell["cell_type"] == "markdown")
    lines = [line for block in re.findall(r"```\w*\n(.*?)```", text, re.S) for line in block.splitlines()]
    assert [line for line in lines if len(line) > WIDEST] == []


@each_lesson
def test_a_picture_comes_before_any_code_that_is_in_view(path):
    cells = code_of(path)
    first = next(i for i, cell in enumerate(cells) if shows_a_picture(cell))
    in_view = [line for cell in cells[: first + 1] if not folded(cell) for line in cell["source"]]
    assert len(in_view) <= 5


@each_lesson
def test_the_first_words_below_the_picture_or_above_it_ask_a_question(path):
    opening = "".join("".join(cell["source"]) for cell in cells_of(path)[:5] if cell["cell_type"] == "markdown")
    assert opening.count("**The question:**") == 1
    assert "?" in opening.split("**The question:**")[1][:300]


@each_lesson
def test_a_folded_cell_is_folded_in_the_book_and_in_jupyterlab(path):
    for cell in code_of(path):
        assert folded(cell) == cell["metadata"].get("jupyter", {}).get("source_hidden", False)
        if folded(cell):
            assert "exercise" not in cell["metadata"]["tags"]


@each_lesson
def test_a_picture_is_sharp_and_described(path):
    for cell in code_of(path):
        for output in cell["outputs"]:
            if "image/png" in output.get("data", {}):
                about = output["metadata"]["image/png"]
                assert about["width"] < 1400
                assert about["alt"] in cell["metadata"]["mystnb"]["image"]["alt"]
                assert re.search(r"[A-Za-z]{3}", about["alt"])
                assert not re.search(r"\.png|_images/", about["alt"])


@each_lesson
def test_a_film_fits_its_column(path):
    shown = [
        "".join(output.get("data", {}).get("text/html", "")) for cell in code_of(path) for output in cell["outputs"]
    ]
    assert [html for html in shown if fitted(html) != html] == []


@each_lesson
def test_a_paper_has_its_authors_and_year_beside_its_number(path):
    text = " ".join(" ".join("".join(c["source"]).split()) for c in cells_of(path) if c["cell_type"] == "markdown")
    numbers = re.findall(r"arXiv \d{4}\.\d{5}", text)
    assert len(re.findall(r"[a-zA-Z]+ \d{4},? [(\[]*arXiv \d{4}\.\d{5}", text)) == len(numbers)
