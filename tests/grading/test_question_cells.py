"""Test cells: their calls are found in order, and those that could give wrong points are refused."""

import json

import pytest

from polygrad_edu.files.input_error import InputError
from polygrad_edu.grading.question_cells import Call, check_tests, required_calls
from tests.support.assignments import SOURCES


def test_the_calls_of_a_test_are_found_in_their_order():
    text = 'held = credit("a1/betas", betas)\nheld &= credit("a1/betas", betas, helper, seed=7)\nprint(credit)'
    assert required_calls(text) == [
        Call("a1/betas", ["betas"], 0, True),
        Call("a1/betas", ["betas", "helper"], 7, True),
    ]
    assert required_calls('require("a1/x", x)') == [Call("a1/x", ["x"], 0, False)]
    assert required_calls("print(require)\nother('a1/x')") == []


def test_the_shipped_assignments_are_in_order():
    check_tests(SOURCES)


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("print(1)", "it calls neither credit nor require"),
        ("def f(:", "nothing but calls"),
        ('require("a1/x", x)\nrequire("a1/y", y)', "all calls of a test are for one question"),
        ('require("a1/x", x)\ncredit("a1/x", x)', "all credit or all require"),
        ('held = credit("a1/x", x)', r"gives 3 points; end it with held.points\(of=3\)"),
        ('held = credit("a1/x", x)\nheld.points(of=4)', "gives 3 points"),
    ],
)
def test_a_test_that_could_give_wrong_points_is_refused_by_name(tmp_path, test, words):
    marks = {"grade_id": "test_x", "grade": True, "solution": False, "points": 3}
    path = tmp_path / "a9.ipynb"
    path.write_text(json.dumps({"cells": [{"source": [test], "metadata": {"nbgrader": marks}}]}))
    with pytest.raises(InputError, match=f"a9.ipynb, cell test_x: .*{words}"):
        check_tests({"a9": path})
