"""Calls of a real process within torch.func's maps: the same as without them."""

import sys

import pytest
import torch
from torch import nn

from polygrad_edu.actor_critic import GaussianPolicy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")


def test_the_gradient_of_each_action_is_that_of_all_together(student):
    policy = GaussianPolicy(3, 2, 8, 0.5, 0.1)
    states, actions = torch.randn(4, 5, 3), torch.randn(4, 5, 2)
    source = "one = lambda policy: torch.func.grad(lambda a, s: policy(s).log_prob(a))\n"
    source += "f = lambda policy, s, a: torch.func.vmap(torch.func.vmap(one(policy)))(a, s).detach()"
    found = student(source)(policy, states, actions)
    leaf = actions.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(policy(states).log_prob(leaf).sum(), leaf)
    torch.testing.assert_close(found, wanted)


def test_axes_are_those_that_are_mapped_and_gradients_reach_the_other_process(student):
    network = nn.Linear(3, 2)
    x = torch.randn(3, 4)
    f = student("f = lambda network, x: torch.func.vmap(lambda column: network(input=column), in_dims=1)(x)")
    found = f(network, x)
    torch.testing.assert_close(found, network(x.T))
    found.sum().backward()
    torch.testing.assert_close(network.bias.grad, torch.full((2,), 4.0))


def test_all_that_a_function_answers_is_mapped(student):
    f = student("f = lambda g, x: torch.func.vmap(g)(x)")
    doubled, (squared,) = f(lambda row: (2 * row, [row.square()]), torch.arange(6.0).view(2, 3))
    assert doubled.tolist() == [[0, 2, 4], [6, 8, 10]]
    assert squared.tolist() == [[0, 1, 4], [9, 16, 25]]
