"""What an attestation notices, and whose reports count."""

import subprocess
import sys

from polygrad_edu.checks.attestation import MARK, read_report

TAMPERED = """
import builtins
from polygrad_edu.checks import attestation
from polygrad_edu.course import require
attestation.begin("key", "assignment_1")
import torch
import matplotlib.pyplot
layer = torch.nn.Linear(2, 2)
torch.optim.Adam(layer.parameters()).step()  # torch changes something of its own here
attestation.report("clean")
from polygrad_edu.checks import assignment_1
assignment_1.close = lambda *a: True
assignment_1.check_signal.__code__ = (lambda *a, **k: None).__code__
torch.Tensor.all = lambda *a: True
builtins.copyright = print
require("a1/signal", len)
attestation.report("after")
"""


def test_it_notices_what_was_changed_and_nothing_else():
    done = subprocess.run([sys.executable, "-c", TAMPERED], capture_output=True, text=True, check=True)
    assert read_report(done.stdout, "key", "clean")["changed"] == []
    after = read_report(done.stdout, "key", "after")
    for name in ("assignment_1.close", "assignment_1.check_signal", "torch.Tensor.*", "builtins.copyright"):
        assert any(name in changed for changed in after["changed"]), name
    assert after["asleep"] == ["a1/signal"]
    assert read_report(done.stdout, "another key", "after") is None


def test_a_report_that_was_printed_by_somebody_else_is_none():
    forged = MARK + "0" * 64 + ' {"nonce": "n", "passed": [["a1/signal", 0]], "changed": [], "asleep": []}'
    assert read_report(forged, "key", "n") is None
