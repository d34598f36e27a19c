"""The checks of the assignments, tested: wrong answers lose their points for the named reason, right ones lose none."""

import collections
import contextlib
import functools
import importlib
import io
import json
import re
from pathlib import Path

import pytest

from tests.grading.mutations.half_right import HOLDS, points_kept, points_of

ROOT = Path(__file__).parents[2]
ASSIGNMENTS = {
    path.stem.split("_")[0][1:]: path for path in sorted(ROOT.glob("notebooks/assignments/a[0-9]_*/a[0-9]_*.ipynb"))
}


def lists(number):
    return importlib.import_module(f"tests.grading.mutations.assignment_{number}")


def numbered(number):
    """Wrong answers of an assignment, each with its place among those of its function."""
    places = collections.Counter()
    for function, answer, words in lists(number).WRONG:
        yield number, function, places[function], answer, words
        places[function] += 1


WRONG = [entry for number in ASSIGNMENTS for entry in numbered(number)]
RIGHT = [(number, *entry) for number in ASSIGNMENTS for entry in lists(number).RIGHT]
TRAINING = ("trained", "imagination_loop", "pendulum")  # answers whose check trains networks for seconds


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
            with contextlib.redirect_stdout(io.StringIO()):
                exec(source, names)
    return names


def on_another_draw(test, seed):
    """A test cell whose only check is the one that students see, with a seed of its own."""
    seen, _, _ = test.partition("### BEGIN HIDDEN TESTS")
    return re.sub(r"((?:credit|require)\(.+)\)", rf"\1, seed={seed})", seen)


def submit(number, function, answer, seed=None):
    """Run an answer and then its test cell, hidden tests and all, or with ``seed`` its one check on another draw.

    Returns the share of the points, and what is wrong in words.
    """
    names, test = dict(solved(number, function)), cells(number)[f"test_{function}"][0]
    exec(answer, names)
    try:
        exec(test if seed is None else on_another_draw(test, seed), names)
    except AssertionError as wrong:
        return 0.0, str(wrong)
    held = names.get("held")
    return (held.share, held.message) if held else (1.0, "")


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


@pytest.mark.parametrize(("number", "function", "place", "answer", "words"), WRONG)
def test_a_wrong_answer_is_told_which_property_broke_and_keeps_what_holds(
    number, function, place, answer, words, capsys
):
    share, told = submit(number, function, answer)
    assert words in told
    assert "Not yet: " in told
    assert re.search(r"[Ll]esson \d", told)
    kept, whole = points_kept(number, function, place), points_of(number, function)
    assert share == pytest.approx(kept / whole)
    assert kept < (1e-9 if words == "is empty so far" else whole)


def test_every_half_right_answer_that_is_listed_is_there():
    assert set(HOLDS) <= {entry[:3] for entry in WRONG}
    assert {number for number, *_ in HOLDS} == {"1", "2", "3", "4", "5"}  # each class of 6 is all or nothing


@pytest.mark.parametrize(("number", "function", "how", "answer"), RIGHT)
def test_a_right_answer_put_differently_gets_its_points(number, function, how, answer, capsys):
    assert submit(number, function, answer) == (1.0, "")
    assert set(capsys.readouterr().out.split("\n")) == {"Right.", ""}


@pytest.mark.parametrize("number", ASSIGNMENTS)
def test_the_solutions_pass_on_whatever_inputs_a_course_draws(number, capsys):
    for name, (source, marks) in cells(number).items():
        if marks["solution"] and f"test_{name}" in cells(number):
            for seed in (5037,) if name in TRAINING else (100, 2718, 5037, 9999):
                assert submit(number, name, source, seed) == (1.0, "")


@pytest.mark.parametrize("seed", [8, 39])
def test_a_right_loop_passes_although_its_policy_asks_for_more_than_the_world_has(seed, capsys):
    assert submit("5", "imagination_loop", cells("5")["imagination_loop"][0], seed) == (1.0, "")
