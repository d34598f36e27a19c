"""Distributions taken apart and made again."""

import torch
from torch.distributions import Categorical, Independent, Normal

from polygrad_edu.grading.distributions import made_of, parts_of
from polygrad_edu.interop.outside_policies import SquashedGaussian


def test_a_distribution_made_of_its_parts_is_the_same():
    loc, scale, value = torch.randn(4, 2), torch.rand(4, 2) + 0.1, torch.rand(4, 2)
    for whole in (Independent(Normal(loc, scale), 1), SquashedGaussian(loc, scale)):
        again = made_of(type(whole).__name__, parts_of(whole))
        assert type(again) is type(whole)
        assert torch.equal(again.log_prob(value), whole.log_prob(value))


def test_what_does_not_cross_by_value_has_no_parts():
    assert parts_of(Categorical(torch.ones(2))) is None
    assert parts_of(3) is None
    assert parts_of(type("Normal", (), {"loc": 1, "scale": 1})()) is None
