"""Lessons with the right answers filled in, run one after the other in a student's folder: lesson 8 runs their code."""

import nbformat
import pytest
from nbclient import NotebookClient

from polygrad_edu.checks.own_code import IN_THE_LOOP
from tests.lessons.test_lessons import LESSONS, exercises

SOLVED = sorted({exercise.partition("/")[0] for exercise in IN_THE_LOOP})  # lesson 8 trains with their answers


def filled_in(path):
    """The lesson with each solution in the place of its empty function."""
    notebook = nbformat.read(path, as_version=4)
    answers = {stub: solution for _, _, stub, solution, _ in exercises(path)}
    for cell in notebook.cells:
        if "exercise" in cell.metadata.get("tags", []):
            cell.source = answers.pop(cell.source)
    assert not answers
    return notebook


def printed(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The solved lessons, by number, after they were run in one folder."""
    folder = tmp_path_factory.mktemp("student")
    done = {}
    for path in LESSONS:
        number = path.name.partition("_")[0]
        if number in SOLVED:
            notebook = filled_in(path)
            resources = {"metadata": {"path": folder}}
            NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
            done[number] = notebook
    return folder, done


def test_every_answer_is_right_and_the_package_says_where_it_calls_it(run):
    folder, done = run
    for notebook in done.values():
        checks = [cell for cell in notebook.cells if "check" in cell.metadata.get("tags", [])]
        assert [printed(cell)[:6] for cell in checks] == ["Right."] * len(checks)
        for cell in checks:
            exercise = cell.source.split('"')[1]
            assert ("From here on" in printed(cell)) == (exercise in IN_THE_LOOP)
    kept = sorted(path.stem.replace("_", "/", 1) for path in (folder / "my_code").iterdir())
    assert kept == sorted(IN_THE_LOOP)


def test_lesson_8_trains_with_the_students_code(run):
    (cell,) = [cell for cell in run[1]["08"].cells if cell.source == "use_mine()"]
    lines = printed(cell).splitlines()
    assert [line.split()[0] for line in lines] == IN_THE_LOOP
    assert all(line.endswith(" yours") for line in lines), lines
    (film,) = [cell for cell in run[1]["08"].cells if "show_video" in cell.source]
    assert printed(film).strip() == f"trained by your code, in {len(IN_THE_LOOP)} of {len(IN_THE_LOOP)} parts"
