"""One submission: the points and the words of each test, and those of a submission that cannot be read."""

import json
from types import SimpleNamespace

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from polygrad_edu.grading.grade_one import (
    _failure,
    _question,
    checks_of,
    failed,
    grade_submission,
    required_calls,
    totals,
)
from tests.support.assignments import SOURCES
from tests.support.synthetic_submissions import A1, ALL

TEST = 'require("a1/betas", betas)\nrequire("a1/betas", betas, seed=7)'
CALLS = [["a1/betas", 0], ["a1/betas", 7]]
CLEAN = {"passed": CALLS, "changed": [], "asleep": []}


def runner(report=None, problems=None):
    """A runner that has run the test already."""
    return SimpleNamespace(
        reports={"test_betas": report},
        problems=problems or {},
        error_message=lambda answer, error: f"{answer} stopped with {error.ename}",
    )


def cell(*errors, source=TEST):
    outputs = [new_output("error", ename=name, evalue=value) for name, value in errors]
    marks = {"grade_id": "test_betas", "points": 4, "solution": False}
    return new_code_cell(source, outputs=outputs, metadata={"nbgrader": marks})


WRONG = ("AssertionError", "Not yet: it is 0.")


@pytest.mark.parametrize(
    ("error", "report", "problems", "refused", "words"),
    [
        (None, CLEAN, {}, {}, ""),
        (None, CLEAN | {"passed": [["a1/signal", 0], *CALLS]}, {}, {}, ""),
        (None, CLEAN, {}, {"betas": "it imports os"}, "Your cell was not run: it imports os."),
        (None, CLEAN, {"betas": "it ended the kernel"}, {}, "Your cell was stopped: it ended the kernel."),
        (None, CLEAN, {"test_betas": "it hung"}, {}, "Your answer, when it was tried, was stopped: it hung."),
        (WRONG, CLEAN | {"passed": []}, {}, {}, "Not yet: it is 0."),
        (WRONG, None, {}, {}, "Not yet: it is 0."),
        (WRONG, CLEAN | {"passed": CALLS[:1]}, {}, {}, "On inputs that you have not seen: Not yet: it is 0."),
        (("NameError", "x"), CLEAN | {"passed": []}, {}, {}, "betas stopped with NameError"),
        (None, None, {}, {}, "The test did not report back, so it does not count."),
        (None, CLEAN | {"changed": ["torch.ones"]}, {}, {}, "was changed while your code ran (torch.ones)"),
        (None, CLEAN | {"asleep": ["a1/betas"]}, {}, {}, "was changed while your code ran (a1/betas)"),
        (None, CLEAN | {"passed": CALLS[:1]}, {}, {}, "The test was not run as it is written"),
        (None, CLEAN | {"passed": CALLS[::-1]}, {}, {}, "The test was not run as it is written"),
    ],
)
def test_a_test_counts_only_if_it_passed_and_its_report_says_so(error, report, problems, refused, words):
    tried = cell(*([error] if error else []))
    told = _failure(tried, "betas", runner(report, problems), refused)
    assert words in told
    assert bool(told) == bool(words)
    question = _question(tried, runner(report, problems), refused)
    assert (question["name"], question["max_points"]) == ("betas", 4)
    assert question["points"] == (0 if words else 4)
    assert question["message"] == (told or "Right.")


def test_a_helper_that_was_refused_is_named():
    tried = cell(source='require("a1/betas", betas, helper)')
    assert (
        _failure(tried, "betas", runner(CLEAN), {"helper": "it uses os"}) == "Your cell helper was not run: it uses os."
    )


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
    question = _question(new_markdown_cell(text, metadata={"nbgrader": marks}), runner(), {})
    assert question == {"name": "why", "points": points, "max_points": 2, "message": message}


def test_the_calls_of_a_test_are_found_in_their_order():
    assert required_calls(TEST) == CALLS
    assert required_calls("print(require)\nother('a1/x')") == []


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
    assert json.loads((tmp_path / "graded" / "result.json").read_text()) == result
    assert result["status"] == "unreadable"
    assert (result["points"], result["max_points"], result["by_hand"]) == (0, 20, 0)
    assert [question["name"] for question in result["questions"]] == list(ALL)
    assert {question["message"] for question in result["questions"]} == {result["reason"]}
    assert result["reason"] == "No points, because the file is not a notebook: it has no list of cells."
    assert failed([], "stopped", "why") == {"status": "stopped", "reason": "why", "questions": [], "notes": []}
