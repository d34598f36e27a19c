"""Answers that try to look right: whatever they do to their own process, the checks are in another one.

All attacks on one assignment are one submission, so that they share a student's process and are at work together.
"""

import functools
import sys
from pathlib import Path
from typing import NamedTuple

import nbformat
import nbgrader
import pytest

from tests.support.graded_answers import grade_answers, messages

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")


class Attack(NamedTuple):
    """What stands in an answer's cell, and words of what the student is told."""

    function: str
    cell: str
    words: str


HOOK = """
import polygrad_edu.checks as checks
checks.verdict = checks.fault = lambda *a, **k: ""
checks.require = lambda *a, **k: print("Right.")

def signal(n_steps, tau):
    return torch.ones(n_steps + 1)
"""
MODE = """
from torch.overrides import TorchFunctionMode

class Agree(TorchFunctionMode):
    def __torch_function__(self, f, types, args=(), kwargs=None):
        return torch.tensor(True) if f is torch.Tensor.all else f(*args, **(kwargs or {}))

mode = Agree()
mode.__enter__()

def betas(alpha_bar):
    return torch.ones(len(alpha_bar) - 1)
"""
LIBRARY = """
library = torch.library.Library("aten", "IMPL")
library.impl("all", lambda x: torch.tensor(True), "CPU")

def posterior_variance(betas):
    return 0 * betas
"""
CALLED = "def posterior_mean(*arguments):\n    return link.answer()\n"
# nbgrader's own tests hand in these two, whose first cell lets no error be seen.
CHEATS = sorted(Path(nbgrader.__file__).parent.glob("tests/apps/files/submitted-cheat-attempt*.ipynb"))
HIDES_ERRORS = [nbformat.read(path, as_version=4).cells[0].source for path in CHEATS]
PATCHES = [
    Attack("signal", HOOK, "half of the *variance*"),  # the checks replaced
    Attack("betas", MODE, "between 0 and 1"),  # a mode of torch's
    Attack("add_noise", HIDES_ERRORS[0] + "\ndef add_noise(x_0, alpha_bar, step, noise):\n    return x_0 + noise\n",
           "should keep variance 1"),
    Attack("posterior_variance", LIBRARY, "must be positive"),  # a kernel of torch's
    Attack("posterior_mean", CALLED, "NameError"),  # the other process called
    Attack("respaced", HIDES_ERRORS[1] + "\ndef respaced(betas, visited):\n    return 0 * visited + 1.0\n",
           "between 0 and 1"),
]  # fmt: skip

LINK = """
import gc, os
from polygrad_edu.grading.link import Link
from polygrad_edu.grading.wire import send

link = next(thing for thing in gc.get_objects() if type(thing) is Link)
"""
ASKS = """
def signal(n_steps, tau):
    got = []
    for what, parts in [("get", (0, "__globals__")), ("call", (0, [], {})), ("items", (0,)), ("copy", (0,)),
                        ("gradient", ("checks0", [], torch.ones(1))), ("fetch", ("signal",)), ("run", ("1", "x"))]:
        try:
            got.append(link.request(what, *parts))
        except KeyError:
            pass
    raise ValueError(f"got {got}")
"""
AGREES = """
class Yes:
    __eq__ = __lt__ = __gt__ = __le__ = __ge__ = lambda self, other: True

    def __getattr__(self, name):
        return lambda *arguments: self

def betas(alpha_bar):
    return Yes()
"""
SUBCLASS = """
class Yes(torch.Tensor):
    @classmethod
    def __torch_function__(cls, f, types, args=(), kwargs=None):
        return torch.tensor(True)

def add_noise(x_0, alpha_bar, step, noise):
    return x_0.as_subclass(Yes)
"""
HALF_A_CHARACTER = "def posterior_variance(betas):\n    raise ValueError('\\ud800')\n"
CLOSES = "def posterior_mean(x_0, *others):\n    os.close(link.reader)\n    return x_0\n"
FORGES = """
def respaced(betas, visited):
    half = {"0": torch.full((len(visited),), 0.5)}
    for number in range(2_000):  # an answer to all that will ever be asked
        changes = {"shared": [], "generators": []}
        send(link.writer, {"answer": number, "changes": changes, "body": {"tensor": "0"}}, half)
"""
OF_THE_LINK = [
    Attack("signal", LINK + ASKS, "ValueError: got []"),
    Attack("betas", AGREES, "should return a torch tensor, not a Yes"),
    Attack("add_noise", SUBCLASS, "should return a torch tensor, not a Yes"),
    Attack("posterior_variance", HALF_A_CHARACTER, "ValueError: ?"),
    Attack("posterior_mean", LINK + CLOSES, "it ended its process"),
    Attack("respaced", LINK + FORGES, "it is the same noise seen at fewer times"),
]


@functools.cache
def graded(kind):
    """Result of the submission that holds all attacks of one list."""
    attacks = {"patches": PATCHES, "link": OF_THE_LINK}[kind]
    return grade_answers(1, {attack.function: attack.cell for attack in attacks})


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("kind", ["patches", "link"])
def test_an_attack_gets_nothing_and_is_told_what_is_wrong(kind, place):
    attack = {"patches": PATCHES, "link": OF_THE_LINK}[kind][place]
    (question,) = [each for each in graded(kind)["questions"] if each["name"] == attack.function]
    assert question["points"] == 0
    assert attack.words in question["message"]


def test_the_cheats_of_nbgraders_tests_hide_errors():
    assert len(CHEATS) == 2
    assert all("showtraceback" in cell for cell in HIDES_ERRORS)


WAYS = """
def by_import():
    from polygrad_edu.actor_critic import lambda_returns as theirs
    return theirs

def by_package():
    return torch.package.sys_importer.import_module("polygrad_edu.actor_critic").lambda_returns

def by_globals():
    return GaussianPolicy.__init__.__globals__["lambda_returns"]

def lambda_returns(rewards, terminals, values, gamma, lambda_):
    refusals = []
    for way in (by_import, by_package, by_globals):
        try:
            told = way()(rewards, terminals, values, gamma, lambda_, last_step_counts=True)
            return told.value_targets, told.reality_weight
        except Exception as error:
            refusals.append(f"{way.__name__}: {error}")
    raise ValueError("; ".join(refusals))
"""


def test_the_packages_own_solution_is_not_there_to_be_called():
    result = grade_answers(4, {"lambda_returns": WAYS})
    assert result["points"] == 0
    told = messages(result)["lambda_returns"]
    assert all(f"by_{way}: " in told for way in ("import", "package", "globals"))
    assert told.count("what this assignment asks you to write") == 3


def test_no_hidden_seed_is_in_the_process_and_no_folder_in_the_message():
    searches = "import gc, sys\nfound = [x for x in gc.get_objects() if isinstance(x, str) and 'seed=2' in x]\n"
    body = "    raise ValueError(f'{found} {sys.prefix}/lib/x.py')"
    result = grade_answers(1, {"betas": f"{searches}def betas(alpha_bar):\n{body}\n"})
    told = messages(result)["betas"]
    assert "ValueError: []" in told
    assert "x.py" in told
    assert sys.prefix not in told
