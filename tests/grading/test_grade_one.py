"""One submission: the points and the words of each test, and those of a submission that cannot be read."""

from types import SimpleNamespace

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from polygrad_edu.grading.grade_one import (
    _failure,
    _question,
    checks_of,
    failed,
    grade_submission,
    totals,
    without_places,
)
from tests.support.assignments import SOURCES
from tests.support.synthetic_submissions import A1, ALL

TEST = 'require("a1/betas", betas)\nrequire("a1/betas", betas, seed=7)'


def runner(verdict=("", True), problems=None):
    """A runner that has run the test already."""
    return SimpleNamespace(verdicts={"test_betas": verdict}, problems=problems or {})


def cell(source=TEST):
    marks = {"grade_id": "test_betas", "points": 4, "solution": False}
    return new_code_cell(source, metadata={"nbgrader": marks})


@pytest.mark.parametrize(
    ("verdict", "problems", "words"),
    [
        (("", True), {}, ""),
        (("", True), {"betas": "it ended its process"}, "Your cell was stopped: it ended its process."),
        (("", True), {"helper": "it hung"}, ""),
        (None, {"test_betas": "it hung"}, "Your answer, when it was tried, was stopped: it hung."),
        (("Not yet: it is 0.", True), {}, "Not yet: it is 0."),
        (("Not yet: it is 0.", False), {}, "On inputs that you have not seen: Not yet: it is 0."),
    ],
)
def test_a_test_counts_only_if_all_its_calls_passed(verdict, problems, words):
    tried = runner(verdict, problems)
    told = _failure(cell(), tried)
    assert told == words
    question = _question(cell(), tried)
    assert (question["name"], question["max_points"]) == ("betas", 4)
    assert question["points"] == (0 if words else 4)
    assert question["message"] == (told or "Right.")


def test_a_helper_that_was_stopped_is_named():
    tried = cell('require("a1/betas", betas, helper)')
    assert _failure(tried, runner(problems={"helper": "it hung"})) == "Your cell helper was stopped: it hung."


def test_no_folder_of_the_machine_is_told():
    text = "FileNotFoundError: '/tmp/sandbox-x1/own.txt', 3/4 of /home/ann/x.py"
    assert without_places(text) == "FileNotFoundError: 'own.txt', 3/4 of x.py"


@pytest.mark.parametrize(
    ("text", "points", "message"),
    [
        ("Because it is.", None, "A person will read this."),
        ("YOUR ANSWER HERE", 0, "Nothing was written."),
        (" \n", 0, "Nothing was written."),
    ],
)
def test_answers_in_words_wait_for_a_person(text, points, message):
    marks = {"grade_id": "why", "points": 2, "solution": True}
    question = _question(new_markdown_cell(text, metadata={"nbgrader": marks}), runner())
    assert question == {"name": "why", "points": points, "max_points": 2, "message": message, "answer": text}


def test_totals_leave_out_what_waits_for_a_person():
    questions = [
        {"points": 3.0, "max_points": 4.0},
        {"points": None, "max_points": 2.0},
        {"points": 0.0, "max_points": 1.0},
    ]
    assert totals(questions) == {"points": 3, "max_points": 7, "by_hand": 2}


def test_checks_belong_to_their_assignment():
    assert checks_of("a1_noise_schedule") == "assignment_1"
    assert checks_of("a6_bug_hunt") == "assignment_6"


def test_a_submission_that_is_no_notebook_gets_no_points_and_the_reason(tmp_path):
    (tmp_path / "work.ipynb").write_text("[]")
    result = grade_submission(SOURCES[A1], tmp_path / "work.ipynb", tmp_path / "graded", [])
    assert result["status"] == "unreadable"
    assert (result["points"], result["max_points"], result["by_hand"]) == (0, 20, 0)
    assert [question["name"] for question in result["questions"]] == list(ALL)
    assert {question["message"] for question in result["questions"]} == {result["reason"]}
    assert result["reason"] == "No points, because the file is not a notebook: it has no list of cells."
    assert failed([], "stopped", "why") == {"status": "stopped", "reason": "why", "questions": [], "notes": []}
