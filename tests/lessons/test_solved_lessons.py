"""Lessons with the right answers filled in, run one after the other in a student's folder: the answers are called."""

import json
import re

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from polygrad_edu.checks.own_code import IN_THE_LOOP, PLACES
from tests.lessons.test_lessons import LESSONS, exercises

COUNTING = """
import collections
import functools
import json
from polygrad_edu import checks
from polygrad_edu.checks import own_code, verdict as judged

calls = collections.Counter()

def counted(exercise, function):
    @functools.wraps(function)
    def call(*arguments, **named):
        calls[exercise] += 1
        return function(*arguments, **named)
    return call

def uncounted(exercise, *answer):
    before = calls.copy()
    found = judged(exercise, *answer)
    calls.clear()
    calls.update(before)
    return found

own_code.verdict = checks.verdict = uncounted
"""


def filled_in(path):
    """The lesson with each solution in the place of its empty function; counts calls, but not those of checks."""
    notebook = nbformat.read(path, as_version=4)
    answers = {stub: (name, solution) for name, _, stub, solution, _ in exercises(path)}
    cells = [new_code_cell(COUNTING)]
    for cell in notebook.cells:
        cells.append(cell)
        if "exercise" in cell.metadata.get("tags", []):
            name, cell.source = answers.pop(cell.source)
            function = name.partition("/")[2]
            cells.append(new_code_cell(f"{function} = counted({name!r}, {function})"))
    assert not answers
    notebook.cells = [*cells, new_code_cell("print(json.dumps(calls))")]
    return notebook


def printed(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def code(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The student's folder, and the solved lessons by name after they were run in it."""
    folder = tmp_path_factory.mktemp("student")
    done = {path.name: filled_in(path) for path in LESSONS}
    for notebook in done.values():
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    return folder, done


@pytest.mark.parametrize("name", [path.name for path in LESSONS])
def test_every_answer_is_right_and_called_where_the_lesson_says_so(run, name):
    notebook = run[1][name]
    handed_on = set(re.findall(r'(?:mine_or|verdict)\(\s*"([^"]+)"', code(notebook)))
    calls = json.loads(printed(notebook.cells[-1]))
    for cell in notebook.cells:
        if "check" in cell.metadata.get("tags", []):
            exercise = cell.source.split('"')[1]
            assert printed(cell).startswith("Right.")
            assert ("From here on" in printed(cell)) == (exercise in PLACES)
            assert exercise in calls or exercise not in {*PLACES, *handed_on}, exercise


def test_lesson_8_trains_with_the_students_code(run):
    folder, done = run
    (notebook,) = [notebook for name, notebook in done.items() if name.startswith("08")]
    kept = sorted(path.stem.replace("_", "/", 1) for path in (folder / "my_code").iterdir())
    assert kept == sorted(IN_THE_LOOP)
    (cell,) = [cell for cell in notebook.cells if cell.source == "use_mine()"]
    lines = printed(cell).splitlines()
    assert [line.split()[0] for line in lines] == IN_THE_LOOP
    assert all(line.endswith(" yours") for line in lines), lines
    (film,) = [cell for cell in notebook.cells if "show_video" in cell.source]
    assert printed(film).strip() == f"trained by your code, in {len(IN_THE_LOOP)} of {len(IN_THE_LOOP)} parts"
