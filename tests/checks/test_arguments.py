"""Arguments that an answer changes in place: told by name, half of what holds remains, and the check goes on."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from polygrad_edu.checks import explained
from polygrad_edu.checks.arguments import guarded, is_class, watched
from polygrad_edu.checks.parts import LEFT_ALONE, Judgement, Part, trial_of
from tests.support.graded_answers import grade_answers

BETAS = """
def betas(alpha_bar):
    alpha_bar[1:] = 1 - alpha_bar[1:] / alpha_bar[:-1]
    return alpha_bar[1:].clamp(max=0.999)
"""
SENTENCE = "betas changed its argument `alpha_bar` in place, and its caller still needs that. Copy it first (alpha_bar"


def told(function, *arguments, name="f"):
    """What is told of a call, and its value."""
    with trial_of({}, str) as trial:
        value = guarded(function, name)(*arguments)
    return trial.spoilt, value


def add_one(numbers):
    numbers += 1
    return numbers


@pytest.mark.parametrize("numbers", [torch.ones(2), torch.tensor([1.0, torch.nan]), np.ones(2)])
def test_a_change_is_told_by_name_the_result_counts_and_the_callers_numbers_stay(numbers):
    before = numbers.copy() if isinstance(numbers, np.ndarray) else numbers.clone()
    words, value = told(add_one, numbers)
    assert "f changed its argument `numbers` in place" in words
    assert (value[0], numbers[0]) == (2, 1)
    np.testing.assert_array_equal(numbers, before)


def test_a_list_of_numbers_is_left_as_it_was_too():
    steps = [0.1, 0.2]
    words, value = told(lambda first, rest: rest.pop(), 1, steps)
    assert "`rest` in place" in words
    assert "(list(rest))" in words
    assert (value, steps) == (0.2, [0.1, 0.2])


def test_what_is_left_alone_is_not_told():
    for numbers in (torch.tensor([1.0, torch.nan]), np.array([1.0, np.nan]), [1.0], ["a"], None):
        assert told(lambda given: given, numbers)[0] == ""


def test_a_gradient_finds_its_way_and_what_has_one_is_put_back():
    numbers = torch.ones(2, requires_grad=True)
    words, value = told(lambda given: (given**2).sum(), numbers)
    assert words == ""
    assert torch.autograd.grad(value, numbers)[0].tolist() == [2, 2]
    words, _ = told(lambda given: given.data.mul_(3), numbers)
    assert "`given`" in words
    assert numbers.tolist() == [1, 1]


def test_a_mark_for_gradients_stays_where_checks_look_for_it():
    numbers = torch.ones(2)
    assert told(lambda given: given.requires_grad_(), numbers)[0] == ""
    assert numbers.requires_grad


def test_a_network_is_watched_whenever_it_is_called():
    class Spoils(nn.Module):
        def forward(self, noisy, step):
            return noisy.mul_(step)

    noisy = torch.ones(2)
    with trial_of({}, str) as trial:
        assert watched(Spoils(), "forward")(noisy, 2).tolist() == [2, 2]
    assert "forward changed its argument `noisy`" in trial.spoilt
    assert noisy.tolist() == [1, 1]


def test_classes_and_what_is_no_function_are_handed_on():
    assert all(guarded(each, "x") is each for each in (nn.Linear, nn.Linear(1, 1), 3))
    assert is_class(nn.Linear)
    assert not is_class(add_one)


def test_without_a_trial_it_is_an_error_of_the_check():
    with pytest.raises(AssertionError, match="in place"):
        guarded(add_one, "f")(torch.ones(1))


def test_half_of_the_points_remain_and_the_rows_say_why():
    parts = (Part("one", 3, True, ""), Part("other", 1, False, "no"))
    found = Judgement("no", parts, "spoilt")
    assert found.points(of=4) == 1.5
    rows = [(row["words"], row["points"], row["max_points"]) for row in found.table(of=4)]
    assert rows == [("one", 1.5, 1.5), ("other", 0, 0.5), (LEFT_ALONE, 0, 2)]
    both = Judgement("", parts) & found
    assert (both.spoilt, both.points(of=4)) == ("spoilt", 1.5)


def test_the_students_notebook_and_the_grader_say_the_same():
    names = {}
    exec(BETAS, names)
    here = explained("a1/betas", names["betas"])
    (there,) = grade_answers(1, {"betas": BETAS})["questions"]
    assert (here.points(of=3), there["points"]) == (1.5, 1.5)
    assert SENTENCE in here.message
    assert SENTENCE in there["message"]
    assert SENTENCE in json.dumps(there["parts"][-1])
