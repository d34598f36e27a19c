"""Submissions read with suspicion, and put into the source."""

import json

import pytest

from polygrad_edu.grading.submissions import (
    MAX_CELL_CHARACTERS,
    MAX_NOTEBOOK_BYTES,
    UnreadableError,
    read_cells,
    take_answers,
)
from tests.support.assignments import SOURCES
from tests.support.synthetic_submissions import A1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"{", "cannot be read as JSON"),
        (b"\xff\xfe", "cannot be read as JSON"),
        (b"[" * 10**5, "cannot be read as JSON"),
        (b"[1, 2]", "no list of cells"),
        (b'{"cells": 3}', "no list of cells"),
    ],
)
def test_what_is_no_notebook_is_refused_with_its_reason(tmp_path, content, words):
    path = tmp_path / "work.ipynb"
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=words):
        read_cells(path)


def test_large_files_and_links_are_not_even_opened(tmp_path):
    path = tmp_path / "work.ipynb"
    path.write_bytes(b" " * (MAX_NOTEBOOK_BYTES + 1))
    with pytest.raises(UnreadableError, match="10 MiB; clear the outputs"):
        read_cells(path)
    (tmp_path / "link.ipynb").symlink_to(SOURCES[A1])
    with pytest.raises(UnreadableError, match="a link"):
        read_cells(tmp_path / "link.ipynb")


def test_a_mark_at_the_beginning_that_some_systems_write_is_no_damage(tmp_path):
    path = tmp_path / "work.ipynb"
    path.write_bytes(b'\xef\xbb\xbf{"cells": [{"source": "x"}]}')
    assert [cell["source"] for cell in read_cells(path)] == ["x"]


def test_half_a_character_which_no_page_could_hold_is_read_as_a_question_mark(tmp_path):
    path = tmp_path / "work.ipynb"
    path.write_text(r'{"cells": [{"source": "x\ud800y\u00fc"}]}')
    assert [cell["source"] for cell in read_cells(path)] == ["x?y\u00fc"]


def test_cells_of_any_shape_are_read_as_text(tmp_path):
    path = tmp_path / "work.ipynb"
    content = {
        "cells": [
            {"cell_type": "code", "source": ["x = 1\n", 2], "metadata": {"nbgrader": {"grade_id": "signal"}}},
            {"source": "y" * (MAX_CELL_CHARACTERS + 5), "metadata": {"nbgrader": "signal"}},
            {"cell_type": "code", "metadata": []},
            "no cell",
        ]
    }
    path.write_text(json.dumps(content))
    first, second, third = read_cells(path)
    assert (first["source"], first["grade_id"]) == ("x = 1\n2", "signal")
    assert (len(second["source"]), second["grade_id"]) == (MAX_CELL_CHARACTERS, None)
    assert (third["source"], third["grade_id"]) == ("", None)


def source_cell(name, source="", solution=True):
    marks = {"grade_id": name, "solution": solution, "grade": not solution}
    return {"cell_type": "code", "source": source, "metadata": {"nbgrader": marks}}


def handed_in(grade_id, source):
    return {"cell_type": "code", "grade_id": grade_id, "source": source, "metadata": {}}


def test_answers_are_taken_and_nothing_else():
    source = {
        "cells": [
            source_cell("signal", "solution"),
            source_cell("test_signal", "the test", solution=False),
            source_cell("betas", "solution"),
            source_cell("respaced", "solution"),
            source_cell("add_noise", "solution"),
        ]
    }
    cells = [
        handed_in("signal", "first"),
        handed_in("signal", "second"),
        handed_in("test_signal", "print('Right.')"),
        handed_in(None, "def betas(:"),
        handed_in(None, "def betas(alpha_bar):\n    return 1"),
        handed_in("add_noise", "def add_noise():\n    ..."),
        handed_in("extra", "import os"),
    ]
    merged, notes = take_answers(source, cells)
    assert [cell["source"] for cell in merged["cells"]] == [
        "first",
        "the test",
        "def betas(alpha_bar):\n    return 1",
        "",
        "def add_noise():\n    ...",
    ]
    assert source["cells"][0]["source"] == "solution"  # the source is left as it was
    assert notes == [
        "There are 2 cells named signal; the first was taken.",
        "Your answer betas had lost its mark; the first cell that defines it was taken.",
        "Your answer cell respaced is missing; nothing stands in its place.",
    ]
