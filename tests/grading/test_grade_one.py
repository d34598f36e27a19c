"""One submission: the points and the words of each test, and those of a submission that cannot be read."""

from types import SimpleNamespace

import pytest

from polygrad_edu.checks.parts import Judgement, Part
from polygrad_edu.grading.grade_one import (
    _question,
    _waited,
    checks_of,
    failed,
    grade_submission,
    totals,
    without_places,
)
from tests.support.assignments import SOURCES
from tests.support.synthetic_submissions import A1, ALL

TEST = 'held = credit("a1/betas", betas)\nheld &= credit("a1/betas", betas, seed=7)\nheld.points(of=4)'
HOLDS, FAILS = Part("p", 3, True, ""), Part("q", 1, False, "Not yet: /home/x.py.")


def runner(*parts, problems=None):
    """A runner that has run the test already."""
    judgement = Judgement("\n".join(part.message for part in parts if part.message), parts)
    return SimpleNamespace(verdicts={"test_betas": judgement}, problems=problems or {})


def cell(source=TEST):
    marks = {"grade_id": "test_betas", "points": 4, "solution": False}
    return {"cell_type": "code", "source": source, "metadata": {"nbgrader": marks}}


@pytest.mark.parametrize(
    ("problems", "words"),
    [
        ({"betas": "it ended its process"}, "Your cell was stopped: it ended its process."),
        ({"test_betas": "it hung"}, "Your answer, when it was tried, was stopped: it hung."),
    ],
)
def test_an_answer_that_was_stopped_gets_nothing(problems, words):
    question = _question(cell(), runner(HOLDS, problems=problems))
    due = {"name": "betas", "points": 0, "max_points": 4, "message": words, "parts": [], "waited": False}
    assert question == due


def test_points_are_those_of_the_properties_that_hold():
    whole = _question(cell(), runner(HOLDS, problems={"helper": "it hung"}))
    assert (whole["points"], whole["message"]) == (4, "Right.")
    question = _question(cell(), runner(HOLDS, FAILS))
    assert (question["points"], question["message"]) == (3, "Not yet: x.py.")
    assert question["parts"] == [
        {"words": "p", "points": 3, "max_points": 3, "message": ""},
        {"words": "q", "points": 0, "max_points": 1, "message": "Not yet: x.py."},
    ]


def test_all_that_lost_points_in_a_run_that_the_clock_stopped_is_marked():
    def some():
        points = {"a": 4.0, "b": 0.0, "c": None, "d": 1.0}
        return [{"name": name, "points": given, "max_points": 4.0, "waited": False} for name, given in points.items()]

    questions = some()
    told = _waited(questions)
    assert told["status"] == "stopped"
    assert told["reason"].endswith("points may be missing in b, d.")
    assert [question["waited"] for question in questions] == [False, True, False, True]
    assert _waited(some()[::2]) == {}  # nothing was lost by it


def test_a_helper_that_was_stopped_is_named():
    tried = cell('require("a1/betas", betas, helper)')
    told = _question(tried, runner(HOLDS, problems={"helper": "it hung"}))["message"]
    assert told == "Your cell helper was stopped: it hung."


def test_half_a_character_in_an_error_does_not_stop_the_page_that_tells_it():
    assert without_places("ValueError: \ud800, \u00fc") == "ValueError: ?, \u00fc"


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
    question = _question({"source": text, "metadata": {"nbgrader": marks}}, runner())
    assert question == {
        "name": "why",
        "points": points,
        "max_points": 2,
        "message": message,
        "answer": text,
        "parts": [],
        "waited": False,
    }


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
