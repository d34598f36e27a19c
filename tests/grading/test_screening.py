"""Which answer cells are run; what is refused is told in words for the student."""

import pytest

from polygrad_edu.grading.screening import objection, without_magics


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import os", "imports os; this assignment allows math, torch"),
        ("from torch.nn import functional as F, Linear", None),
        ("from math import *", None),
        ("import torch.nn as nn", None),
        ("from . import x", "imports "),
        ("import mathematics", "imports mathematics"),
        ("from polygrad_edu.noise_schedule import NoiseSchedule", "imports polygrad_edu.noise_schedule"),
        ("torch.os.remove('x')", "uses os"),
        ("__import__('os')", "uses __import__"),
        ("f.__globals__['require']", "uses __globals__"),
        ("[].__class__.__subclasses__()", "uses __subclasses__"),
        ("match f:\n    case object(__globals__=g):\n        pass", "uses __globals__"),
        ("getattr(torch, 'o' + 's')", "uses getattr"),
        ("torch.allclose = lambda *a: True", "changes torch.allclose"),
        ("torch.Tensor.__eq__ = 1", "uses __eq__"),
        ("torch.backends.cpu.x['a'] = 1", "changes torch.backends.cpu.x['a']"),
        ("class T(torch.Tensor):\n    pass", "a tensor of its own kind"),
        ("NoiseSchedule.cosine(3)", "uses NoiseSchedule, which is what this assignment asks"),
        ("def f(:", "it is not Python: "),
        ("x = " + "(" * 5000 + ")" * 5000, "it is not Python|nested"),
        ("class Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.a = 1", None),
        ("x = torch.zeros(3)\nx[0] = 1\nx.data = x\ninput = 3\nopen_end = 2", None),
        ("def modules(net):\n    return net.modules(), net.load_state_dict", None),
    ],
)
def test_what_is_run_and_what_is_not(source, words):
    told = objection(source, ("math", "torch"), ("NoiseSchedule",))
    if words is None:
        assert told is None
    else:
        assert any(part in told for part in words.split("|")), told


def test_lines_for_the_notebook_are_left_out():
    assert without_magics("%matplotlib inline\n!ls\nx = 1 % 2") == "\n\nx = 1 % 2"
