"""The checks of the assignments, tested: wrong answers lose their points for the named reason, right ones lose none."""

import functools
import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASSIGNMENTS = {
    path.stem.split("_")[0][1:]: path for path in sorted(ROOT.glob("notebooks/assignments/a[0-9]_*/a[0-9]_*.ipynb"))
}


def lists(number):
    return importlib.import_module(f"tests.grading.mutations.assignment_{number}")


WRONG = [(number, *entry) for number in ASSIGNMENTS for entry in lists(number).WRONG]
RIGHT = [(number, *entry) for number in ASSIGNMENTS for entry in lists(number).RIGHT]


@functools.cache
def cells(number):
    """The code cells of an assignment's source: grade_id -> (source, nbgrader metadata), in their order."""
    notebook = json.loads(ASSIGNMENTS[number].read_text(encoding="utf-8"))
    return {
        cell["metadata"]["nbgrader"]["grade_id"]: ("".join(cell["source"]), cell["metadata"]["nbgrader"])
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    }


@functools.cache
def solved(number, function):
    """The names there are when a student comes to ``function``: set-up and the solutions before it."""
    names = {}
    for name, (source, marks) in cells(number).items():
        if name == function:
            break
        if marks["solution"] or name.startswith("setup"):
            exec(source, names)
    return names


def submit(number, function, answer, seed=None):
    """Run an answer and then its test cell, hidden tests and all, these with another ``seed`` if there is one."""
    names, test = dict(solved(number, function)), cells(number)[f"test_{function}"][0]
    exec(answer, names)
    exec(test if seed is None else re.sub(r"seed=\d+", f"seed={seed}", test), names)


@pytest.mark.parametrize("number", ASSIGNMENTS)
def test_every_graded_function_has_enough_wrong_and_right_answers(number):
    graded = [name.removeprefix("test_") for name, (_, marks) in cells(number).items() if marks["grade"]]
    assert len(graded) >= 4
    for function in graded:
        wrong = [(answer, words) for name, answer, words in lists(number).WRONG if name == function]
        right = [answer for name, _, answer in lists(number).RIGHT if name == function]
        assert len({answer for answer, _ in wrong}) >= 7, f"{function}: empty, and at least six mistakes"
        assert len({words for _, words in wrong}) >= 3, f"{function}: at least three different properties are named"
        assert len(set(right)) >= 3, function
    assert {name for name, *_ in lists(number).WRONG + lists(number).RIGHT} <= set(graded)


@pytest.mark.parametrize(("number", "function", "answer", "words"), WRONG)
def test_a_wrong_answer_is_told_which_property_broke(number, function, answer, words, capsys):
    with pytest.raises(AssertionError) as told:
        submit(number, function, answer)
    assert words in str(told.value)
    assert "Not yet: " in str(told.value)
    assert re.search(r"[Ll]esson \d", str(told.value))


@pytest.mark.parametrize(("number", "function", "how", "answer"), RIGHT)
def test_a_right_answer_put_differently_gets_its_points(number, function, how, answer, capsys):
    submit(number, function, answer)
    assert set(capsys.readouterr().out.split("\n")) == {"Right.", ""}


@pytest.mark.parametrize("number", ASSIGNMENTS)
def test_the_solutions_pass_on_whatever_inputs_a_course_draws(number, capsys):
    for seed in (5037,) if number == 5 else (100, 2718, 5037, 9999):  # 5 trains a pendulum each time
        for name, (source, marks) in cells(number).items():
            if marks["solution"] and f"test_{name}" in cells(number):
                submit(number, name, source, seed)


@pytest.mark.parametrize("seed", [8, 39])
def test_a_right_loop_passes_although_its_policy_asks_for_more_than_the_world_has(seed, capsys):
    submit("5", "imagination_loop", cells("5")["imagination_loop"][0], seed)
