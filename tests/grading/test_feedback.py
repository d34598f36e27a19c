"""Feedback from results: tables, pages, what the class missed, and answers to read."""

import re

import pytest

from polygrad_edu.grading.archives import LeftOut
from polygrad_edu.grading.feedback import most_missed, write_report
from polygrad_edu.grading.roster import read_roster


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


def test_every_student_of_the_roster_has_a_row_and_every_question_a_column(tmp_path):
    table = tmp_path / "students.csv"
    table.write_text("student\na\nnobody\n")
    left_out = [LeftOut("b/work.pdf", "it is <no> notebook")]
    write_report([result("a", 4.0) | {"late": True}], tmp_path / "report", read_roster(table), left_out)
    rows = (tmp_path / "report" / "grades.csv").read_text().splitlines()
    assert rows == [
        "student,a2_denoiser,total,waiting_for_a_person,late,stopped",
        "a,4,4,0,a2_denoiser,",
        "nobody,,0,0,,",
    ]
    assert (tmp_path / "report" / "questions.csv").read_text().splitlines() == [
        "student,a2_denoiser: loss",
        "a,4",
        "nobody,",
    ]
    assert "b/work.pdf: it is &lt;no&gt; notebook" in (tmp_path / "report" / "index.html").read_text()


def test_what_was_stopped_is_marked_for_the_instructor(tmp_path):
    stopped = result("a", 0.0) | {"status": "stopped", "reason": "By the <clock>."}
    stopped["questions"][0]["waited"] = True
    write_report([stopped, result("b", 0.0)], tmp_path)
    assert (tmp_path / "grades.csv").read_text().splitlines()[1:] == ["a,0,0,0,,a2_denoiser", "b,0,0,0,,"]
    index = (tmp_path / "index.html").read_text()
    assert "yours to look at" in index
    assert "<li>a, a2_denoiser: By the &lt;clock&gt;.</li>" in index
    write_report([result("b", 0.0)], tmp_path)
    assert "yours to look at" not in (tmp_path / "index.html").read_text()


def test_answers_in_words_stand_on_one_page_with_a_table_for_their_points(tmp_path):
    works = [result(name, None) for name in ("a", "b")]
    for work in works:
        work["questions"][0]["answer"] = f"because <{work['student']}>"
    write_report(works, tmp_path, own_words={("a2_denoiser", "loss"): "because & why"})
    page = (tmp_path / "answers" / "a2_denoiser_loss.html").read_text()
    assert page.index("because &amp; why") < page.index("because &lt;a&gt;") < page.index("because &lt;b&gt;")
    assert "2 answers, 4 points each." in page
    assert f"course report --by-hand {tmp_path / 'to_read.csv'}<" in page
    assert (tmp_path / "to_read.csv").read_text().splitlines() == [
        "student,assignment,question,max_points,points,comment",
        "a,a2_denoiser,loss,4,,",
        "b,a2_denoiser,loss,4,,",
    ]
