"""The student's side: cells in one set of names, and the package's solutions taken away."""

import sys
from types import ModuleType

import pytest

from polygrad_edu.grading.student import Cells, Refusal, take_away


@pytest.fixture
def cells(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    return Cells()


def test_cells_see_the_names_of_those_before(cells):
    cells.run("import math\nx = 2", "first")
    cells.run("class f:\n    y = x + 1\nz = __name__", "second")
    assert cells.fetch("f").y == 3
    assert cells.fetch("z") == "__main__"
    with pytest.raises(NameError, match="'g' is not defined"):
        cells.fetch("g")
    with pytest.raises(SyntaxError):
        cells.run("def f(:", "third")


def test_a_module_that_holds_the_answer_is_refused():
    finder = Refusal(["polygrad_edu.noise_schedule"])
    assert finder.find_spec("polygrad_edu.replay") is None
    with pytest.raises(ImportError, match="what this assignment asks you to write"):
        finder.find_spec("polygrad_edu.noise_schedule")


def test_a_function_is_taken_from_everybody_who_imported_it(monkeypatch):
    home, guest = ModuleType("polygrad_edu.home"), ModuleType("polygrad_edu.guest")
    exec("def answer():\n    return 1\n", vars(home))
    guest.answer = home.answer
    for module in (home, guest):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    take_away("polygrad_edu.home.answer")
    for module in (home, guest):
        with pytest.raises(PermissionError, match="asks you to write"):
            module.answer()
