"""Stand-ins for what lives in the other process: networks, objects, results with a gradient."""

import copy
import sys
import textwrap
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from polygrad_edu.actor_critic import GaussianPolicy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")


def test_gradients_go_through_both_processes(student):
    policy = GaussianPolicy(3, 2, 8, 0.5, 0.1)
    observations = torch.randn(4, 3)
    actions = torch.randn(4, 2)
    weights = torch.randn(4).requires_grad_()
    f = student("f = lambda policy, o, a, w: -(policy(o).log_prob(a) * w).mean()")
    loss = f(policy, observations, actions, weights)
    wanted = -(policy(observations).log_prob(actions) * weights).mean()
    assert torch.allclose(loss, wanted)
    asked = [*policy.parameters(), weights]
    for ours, theirs in zip(torch.autograd.grad(loss, asked), torch.autograd.grad(wanted, asked), strict=True):
        assert torch.allclose(ours, theirs)
    assert all(parameter.grad is None for parameter in policy.parameters())


UPDATES = {
    "in three lines": "optimiser.zero_grad()\nnetwork(x).square().mean().backward()\noptimiser.step()",
    "a closure": (
        "def closure():\n    optimiser.zero_grad()\n    loss = network(x).square().mean()\n    loss.backward()\n"
        "    return loss\noptimiser.step(closure)"
    ),
    "gradients handed over": (
        "own = [p for group in optimiser.param_groups for p in group['params']]\n"
        "slopes = torch.autograd.grad(network(x).square().mean(), own)\n"
        "for p, slope in zip(own, slopes):\n    p.grad = slope\noptimiser.step()"
    ),
}


@pytest.mark.parametrize("lines", UPDATES.values(), ids=UPDATES)
def test_an_update_made_there_is_made_here(student, lines):
    network = nn.Linear(2, 1)
    twin = copy.deepcopy(network)
    x = torch.randn(5, 2)
    source = f"def f(network, optimiser, x):\n{textwrap.indent(lines, '    ')}\n"
    source += "    return [p.grad.abs().sum().item() for p in network.parameters()]"
    sums = student(source)(network, torch.optim.SGD(network.parameters(), lr=0.1), x)
    twin(x).square().mean().backward()
    torch.optim.SGD(twin.parameters(), lr=0.1).step()
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(ours, theirs)
    assert sums == pytest.approx([p.grad.abs().sum().item() for p in twin.parameters()])


NETWORK = """
class f(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(width, width), nn.Linear(width, 1)])
        self.register_buffer("shift", torch.ones(1))
        self.name = "mine"

    def forward(self, x):
        return self.blocks[1](self.blocks[0](x).relu()) + self.shift
"""


def test_a_network_of_the_students_is_one_here(student):
    network = student(NETWORK)(4)
    assert isinstance(network, nn.Module)
    assert [name for name, _ in network.named_parameters()] == [
        "blocks.0.weight",
        "blocks.0.bias",
        "blocks.1.weight",
        "blocks.1.bias",
    ]
    assert network.name == "mine"
    assert not hasattr(network, "other")
    assert len(network.blocks) == 2
    x = torch.randn(3, 4)
    before = network(x)
    assert before.shape == (3, 1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert network(x).tolist() == [[1.0]] * 3
    network(x).sum().backward()
    assert network.blocks[1].bias.grad.tolist() == [3.0]
    network.double()
    assert network(x.double()).dtype == torch.float64


def test_objects_stay_where_they_are_and_are_themselves_when_they_come_back(student):
    source = "class f:\n    def __init__(self, x):\n        self.x = x\n    def same(self, other, function):\n"
    source += "        return other is self, function(self.x)"
    thing = student(source)(3)
    assert type(thing).__name__ == "f"
    thing.x = 5
    assert thing.same(thing, lambda x: x + 1) == (True, 6)
    policy = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    assert torch.allclose(student("f = lambda d: d.log_prob(torch.ones(2))")(policy), policy.log_prob(torch.ones(2)))


def test_a_method_of_the_checks_is_asked_for_once_and_what_may_change_each_time(student, process, monkeypatch):
    asked = []
    get = process.link.services["get"]
    monkeypatch.setitem(process.link.services, "get", lambda number, name: asked.append(name) or get(number, name))
    env = SimpleNamespace(size=0)

    def step():
        env.size += 1

    env.step = step
    f = student(
        "def f(env):\n    sizes = []\n    for _ in range(3):\n        env.step()\n        sizes.append(env.size)"
    )
    f(env)
    assert env.size == 3
    assert asked == ["step", "size", "size", "size"]
