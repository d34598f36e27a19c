"""Values that cross to a real process and back: by value, shared, or with a gradient."""

import sys

import numpy as np
import pytest
import torch

from polygrad_edu.course.loop_parts import Plan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        2.5,
        float("inf"),
        "text",
        [1, [2.0, "x"]],
        (1, (2,)),
        {"a": 1, 2: (3,)},
        {1, 2},
        range(2, 9, 3),
        slice(0, 3, None),
        ...,
        torch.float64,
        torch.device("cpu"),
        Plan(1, 2, 3, 4.0, 5, 6),
    ],
    ids=repr,
)
def test_plain_values_come_back_as_they_went(student, value):
    answer = student("f = lambda x: x")(value)
    assert answer == value
    assert type(answer) is type(value)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.complex64]
)
def test_tensors_and_arrays_keep_their_kind(student, dtype):
    value = torch.tensor([[0, 1], [1, 1]]).to(dtype)
    answer = student("f = lambda x: x.clone().T")(value)
    assert torch.equal(answer, value.T)
    assert answer.dtype == dtype
    array = student("f = lambda x: x + 1")(np.arange(3, dtype=np.int16))
    assert array.dtype == np.int16
    assert array.tolist() == [1, 2, 3]
    assert student("f = lambda: np.float32(2)")() == 2.0


def test_a_range_that_would_fill_the_memory_is_not_taken(process):
    with pytest.raises(ValueError, match="a range of more than 1,000,000 numbers"):
        process.link.decode({"range": [0, 10**13, 1]}, {})


def test_what_an_answer_does_to_its_arguments_is_seen(student):
    source = "def f(t, a, l, g):\n    t += 1\n    a[0] = 9\n    l.append(4.0)\n    t.requires_grad_()\n"
    source += "    return torch.rand(3, generator=g)"
    tensor, array, numbers, generator = torch.zeros(2), np.zeros(2), [1.0], torch.Generator().manual_seed(5)
    drawn = student(source)(tensor, array, numbers, generator)
    assert tensor.detach().tolist() == [1, 1]
    assert tensor.requires_grad
    assert array.tolist() == [9, 0]
    assert numbers == [1.0, 4.0]
    twin = torch.Generator().manual_seed(5)
    assert torch.equal(drawn, torch.rand(3, generator=twin))
    assert torch.equal(torch.rand(2, generator=generator), torch.rand(2, generator=twin))


def test_torchs_own_random_numbers_are_the_same_on_both_sides(student):
    draw = student("f = lambda: torch.rand(2)")
    torch.manual_seed(3)
    first = draw()
    after = torch.get_rng_state()
    torch.manual_seed(3)
    assert torch.equal(first, torch.rand(2))
    assert torch.equal(after, torch.get_rng_state())
