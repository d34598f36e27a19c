"""Parts of an answer: what holds counts, what could not be judged does not, and a check by itself stops at once."""

import ast
import importlib
import json
from pathlib import Path

import pytest

from polygrad_edu.checks import find
from polygrad_edu.checks.parts import Judgement, Part, Property, declared, part, so_far, trial_of, worth
from polygrad_edu.grading.instructor import shipped_assignments
from polygrad_edu.grading.question_cells import required_calls

HALF = Property(1, "one half")


def judged(check, **properties):
    worth(**properties)(check)
    end = ""
    with trial_of(declared(check), str) as trial:
        try:
            check()
        except AssertionError as error:
            end = str(error)
    return trial.judgement(end)


def halves(*wrong, end=""):
    def check():
        for name in ("a", "b"):
            with part(name):
                if name in wrong:
                    raise AssertionError(f"{name} is wrong")
        if end:
            raise AssertionError(end)

    return check


def test_a_property_that_fails_costs_its_weight_alone():
    found = judged(halves("a"), a=HALF, b=Property(3, "the rest"))
    assert (found.share, found.points(of=2), found.message) == (0.75, 1.5, "a is wrong")
    assert found.table(of=2) == [
        {"words": "one half", "points": 0.0, "max_points": 0.5, "message": "a is wrong"},
        {"words": "the rest", "points": 1.5, "max_points": 1.5, "message": ""},
    ]
    assert judged(halves(), a=HALF, b=HALF) == Judgement("", (Part("one half", 1, True, ""),) * 2)


def test_a_check_that_cannot_come_to_its_end_gives_nothing():
    found = judged(halves("a", end="an error"), a=HALF, b=HALF)
    assert (found.share, found.message) == (0, "a is wrong\nan error")
    assert [each.message for each in found.parts] == ["", ""]


def test_what_was_never_tried_does_not_count():
    assert judged(halves(), a=HALF, b=HALF, c=Property(2, "later")).share == 0.5


def test_what_rests_on_another_property_needs_it():
    found = judged(halves("a"), a=HALF, b=Property(1, "b", ("a",)))
    assert (found.share, found.message) == (0, "a is wrong")
    chain = judged(halves("a"), a=HALF, b=Property(1, "b", ("a",)), c=Property(1, "c", ("b",)))
    assert chain.share == 0


def test_without_declared_properties_a_check_is_all_or_nothing():
    assert judged(halves("a")).share == 0
    assert judged(halves()).share == 1
    assert judged(halves()).table(of=3) == []


def test_by_itself_a_check_stops_at_its_first_failure():
    with pytest.raises(AssertionError, match="a is wrong"):
        halves("a", "b")()


def test_an_interrupt_ends_the_check():
    interrupt = type("KeyboardInterrupt", (Exception,), {})

    def check():
        with part("a"):
            raise interrupt

    worth(a=HALF)(check)
    with trial_of(declared(check), str), pytest.raises(interrupt):
        check()


def test_work_that_rests_on_what_failed_is_left_out():
    seen = []

    def check():
        with part("a"):
            raise AssertionError("no")
        seen.append((so_far("a"), so_far("b")))

    judged(check, a=HALF, b=HALF)
    assert seen == [(False, True)]
    assert so_far("a")


def test_on_two_inputs_a_property_has_to_hold_on_both():
    both = judged(halves("a"), a=HALF, b=HALF) & judged(halves("b"), a=HALF, b=HALF)
    assert (both.share, both.message) == (0, "a is wrong")
    assert [each.message for each in both.parts] == ["a is wrong", "b is wrong"]
    assert (judged(halves(), a=HALF, b=HALF) & judged(halves("b"), a=HALF, b=HALF)).share == 0.5


def test_all_or_nothing_says_so():
    found = judged(halves("a"), a=HALF, b=HALF).all_or_nothing()
    assert (found.share, found.message) == (0, "a is wrong This question is all or nothing.")
    assert judged(halves(), a=HALF).all_or_nothing() == Judgement("", (Part("all or nothing", 1, True, ""),))


def used_in(module):
    """Names of the parts that a module of checks tries."""
    tree = ast.parse(Path(importlib.import_module(module).__file__).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "part"]
    return {text.value for call in calls for text in ast.walk(call.args[0]) if isinstance(text, ast.Constant)}


def questions():
    """Pairs (check, points) of all questions that give points in parts."""
    for path in shipped_assignments():
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            marks = cell["metadata"]["nbgrader"]
            calls = required_calls("".join(cell["source"])) if marks["grade"] and not marks["solution"] else []
            if calls and calls[0].in_parts:
                yield find(calls[0].exercise), marks["points"]


def test_declared_properties_are_tried_and_their_weights_are_the_questions_points():
    by_module = {}
    for check, points in questions():
        properties = declared(check)
        assert len(properties) >= 2, check
        assert sum(each.weight for each in properties.values()) == points, check
        assert {name for each in properties.values() for name in each.needs} <= set(properties)
        by_module.setdefault(check.__module__, set()).update(properties)
    assert len(by_module) == 10
    for module, names in by_module.items():
        assert used_in(module) - {"Gaussian"} == names, module
