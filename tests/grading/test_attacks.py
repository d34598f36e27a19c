"""Answers that try to look right: whatever they do to their own process, the checks are in another one."""

import sys
from pathlib import Path

import nbformat
import nbgrader
import pytest

from tests.support.graded_answers import grade_answers, messages

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")

IN_ITS_PLACE = "\ndef betas(alpha_bar):\n    return {}\n"
HOOK = """
import polygrad_edu.checks as checks
checks.verdict = checks.fault = lambda *a, **k: ""
checks.require = lambda *a, **k: print("Right.")
"""
MODE = """
from torch.overrides import TorchFunctionMode

class Agree(TorchFunctionMode):
    def __torch_function__(self, f, types, args=(), kwargs=None):
        return torch.tensor(True) if f is torch.Tensor.all else f(*args, **(kwargs or {}))

mode = Agree()
mode.__enter__()
"""
LIBRARY = """
library = torch.library.Library("aten", "IMPL")
library.impl("all", lambda x: torch.tensor(True), "CPU")
"""
READS_INPUT = "raise ValueError(str(globals().get('In')) + ' seed=')"
ATTACKS = [
    pytest.param(HOOK, "torch.ones(len(alpha_bar) - 1)", "between 0 and 1", id="the checks replaced"),
    pytest.param(MODE, "torch.ones(len(alpha_bar) - 1)", "between 0 and 1", id="a mode of torch's"),
    pytest.param(LIBRARY, "torch.ones(len(alpha_bar) - 1)", "between 0 and 1", id="a kernel of torch's"),
    pytest.param("", "link.answer()", "NameError", id="the other process called"),
]


@pytest.mark.parametrize(("before", "value", "words"), ATTACKS)
def test_an_empty_function_gets_nothing(before, value, words):
    result = grade_answers(1, {"betas": before + IN_ITS_PLACE.format(value)})
    assert result["points"] == 0
    assert words in messages(result)["betas"]


# nbgrader's own tests hand in these two, whose first cell lets no error be seen.
CHEATS = sorted(Path(nbgrader.__file__).parent.glob("tests/apps/files/submitted-cheat-attempt*.ipynb"))


def test_what_nbgrader_tests_cheating_with_gets_nothing():
    assert len(CHEATS) == 2
    for path in CHEATS:
        hides_errors = nbformat.read(path, as_version=4).cells[0].source
        assert "showtraceback" in hides_errors
        result = grade_answers(1, {"betas": hides_errors + IN_ITS_PLACE.format("torch.ones(len(alpha_bar) - 1)")})
        assert result["points"] == 0
        assert "between 0 and 1" in messages(result)["betas"]


@pytest.mark.parametrize(
    "way",
    [
        "from polygrad_edu.actor_critic import lambda_returns as theirs",
        "theirs = torch.package.sys_importer.import_module('polygrad_edu.actor_critic').lambda_returns",
        "theirs = GaussianPolicy.__init__.__globals__['lambda_returns']",
    ],
)
def test_the_packages_own_solution_is_not_there_to_be_called(way):
    answer = f"{way}\ndef lambda_returns(rewards, terminals, values, gamma, lambda_):\n"
    answer += "    told = theirs(rewards, terminals, values, gamma, lambda_, last_step_counts=True)\n"
    answer += "    return told.value_targets, told.reality_weight\n"
    result = grade_answers(4, {"lambda_returns": answer})
    assert result["points"] == 0
    assert "what this assignment asks you to write" in messages(result)["lambda_returns"]


def test_no_hidden_seed_is_in_the_process_and_no_folder_in_the_message():
    searches = "import gc, sys\nfound = [x for x in gc.get_objects() if isinstance(x, str) and 'seed=2' in x]\n"
    body = "    raise ValueError(f'{found} {sys.prefix}/lib/x.py')"
    result = grade_answers(1, {"betas": f"{searches}def betas(alpha_bar):\n{body}\n"})
    told = messages(result)["betas"]
    assert "ValueError: []" in told
    assert "x.py" in told
    assert sys.prefix not in told
