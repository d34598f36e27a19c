"""Values that both sides have: a change is noticed once, and taken over as it is."""

import numpy as np
import torch

from polygrad_edu.grading.shared import Shared


def test_a_change_of_value_gradient_or_flag_is_noticed_once():
    tensor = torch.zeros(2)
    shared = Shared(tensor, scoped=True)
    assert not shared.has_changed()
    for change in (
        lambda: tensor.add_(1),
        lambda: tensor.requires_grad_(),
        lambda: tensor.sum().backward(),
        lambda: setattr(tensor, "grad", None),
    ):
        change()
        assert shared.has_changed()
        shared.note()
        assert not shared.has_changed()


def test_arrays_and_lists_are_compared_by_what_they_hold():
    for value in (np.zeros(2), [0.0, 0.0]):
        shared = Shared(value, scoped=True)
        value[1] = 3
        assert shared.has_changed()
        shared.become(type(value)([5.0, 6.0]) if isinstance(value, list) else np.array([5.0, 6.0]), None, False)
        assert list(value) == [5, 6]
        assert not shared.has_changed()


def test_another_dtype_is_taken_over_in_place():
    parameter = torch.nn.Parameter(torch.zeros(2))
    Shared(parameter, scoped=False).become(torch.ones(2, dtype=torch.float64), torch.ones(2).double(), True)
    assert parameter.dtype == torch.float64
    assert parameter.grad.tolist() == [1, 1]
