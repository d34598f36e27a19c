"""Tables in which nothing is a formula: each table of the grader, with a student who is called like one."""

import csv

import pytest

from polygrad_edu.grading.exports import CANVAS, write_platform
from polygrad_edu.grading.feedback import write_report
from polygrad_edu.grading.roster import Roster
from polygrad_edu.grading.similarity import Pair, write_similar
from polygrad_edu.grading.tables import FORMULA, as_it_was, no_formula, write_table
from tests.grading.test_feedback import result

NAMES = [f"{start}1+1" for start in FORMULA]


@pytest.mark.parametrize("name", NAMES)
def test_a_formula_is_written_as_text_and_read_as_it_was(tmp_path, name):
    write_table(tmp_path / "t.csv", [["ann", name, "'quoted'"]])
    with (tmp_path / "t.csv").open(newline="") as file:
        (row,) = csv.reader(file)
    assert row == ["ann", f"'{name}", "'quoted'"]
    assert [as_it_was(cell) for cell in row] == ["ann", name, "'quoted'"]
    assert no_formula(no_formula(name)) == no_formula(name)


def test_no_table_of_the_grader_holds_a_formula(tmp_path):
    works = [result(name, None) | {"late": True} for name in NAMES]
    for work in works:
        work["questions"][0]["answer"] = "=1+1"
    write_report(works, tmp_path)
    write_platform(works, None, CANVAS, tmp_path / "canvas.csv")
    known = Roster([{"Student": name, "ID": "=2", "Section": "@s"} for name in NAMES[:4]], "roster.csv")
    write_platform(works, known, CANVAS, tmp_path / "roster_canvas.csv")
    write_similar([Pair("a2_denoiser", "loss", *NAMES[:2], 1.0)], tmp_path / "similar.csv")
    tables = sorted(tmp_path.glob("*.csv"))
    assert len(tables) == 6
    for path in tables:
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
        assert len(rows) > 1
        assert not [cell for row in rows for cell in row if cell.startswith(FORMULA)], path
