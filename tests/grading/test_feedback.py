"""Feedback from results: tables, pages, what the class missed, and points given by hand."""

import re

import pytest

from polygrad_edu.grading.feedback import give_by_hand, most_missed, write_report


def result(student, points, message="Right.", max_points=4.0):
    question = {"name": "loss", "points": points, "max_points": max_points, "message": message}
    return {
        "student": student,
        "assignment": "a2_denoiser",
        "status": "graded",
        "reason": "",
        "notes": [],
        "points": points or 0.0,
        "max_points": max_points,
        "by_hand": max_points if points is None else 0,
        "questions": [question],
    }


def test_what_students_write_is_shown_as_text(tmp_path):
    results = [result("<script>alert(1)</script>/../x", 0.0, "<img src=x onerror=alert(2)>"), result("=1+1", 4.0)]
    write_report(results, tmp_path / "report")
    pages = sorted((tmp_path / "report").rglob("*.html"))
    assert len(pages) == 3
    assert all(not re.search(r"<script|<img src=x", page.read_text()) for page in pages)
    assert {page.parent for page in pages} == {tmp_path / "report", tmp_path / "report" / "students"}
    assert "\n'=1+1,4" in (tmp_path / "report" / "grades.csv").read_text().replace("\r", "")


def test_what_the_class_missed():
    results = [result("a", 0.0), result("b", 4.0), result("c", None), result("d", 0.0)]
    assert most_missed(results) == [(("a2_denoiser", "loss"), pytest.approx(2 / 3))]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,a2_denoiser,loss,3.5", None),
        ("a,a2_denoiser,loss,5", "line 2: 5 is not between 0 and 4"),
        ("a,a2_denoiser,loss,good", "line 2: points is 'good', not a number"),
        ("b,a2_denoiser,loss,1", "line 2: nothing of b, a2_denoiser, loss waits"),
    ],
)
def test_points_by_hand(tmp_path, row, words):
    table = tmp_path / "points.csv"
    table.write_text(f"student,assignment,question,points\n{row}\n")
    results = [result("a", None)]
    if words:
        with pytest.raises(ValueError, match=re.escape(words)):
            give_by_hand(results, table)
    else:
        give_by_hand(results, table)
        assert (results[0]["points"], results[0]["by_hand"]) == (3.5, 0)
