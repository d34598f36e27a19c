"""Lessons as they are handed out: no answers, no solutions, no dead link, and nothing of the student's overwritten."""

import re
import stat

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from polygrad_edu.course.handout import FIRST, NAMES, hand_out
from polygrad_edu.course.paths import find_shared
from polygrad_edu.files.input_error import InputError
from polygrad_edu.grading.instructor import new_course, release

LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.fixture(scope="module")
def handed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mine")
    done = hand_out(folder)
    assert done == (len(NAMES) + 6, 0)
    return folder


def notebooks(folder):
    return {path: nbformat.read(path, as_version=4) for path in sorted(folder.rglob("*.ipynb"))}


def test_every_lesson_has_a_short_name(handed):
    assert sorted(NAMES) == sorted(path.stem for path in find_shared("notebooks").glob("[0-9]*.ipynb"))
    assert sorted(path.stem for path in handed.glob("*.ipynb")) == sorted(NAMES.values())
    assert max(map(len, NAMES.values())) <= 10  # what JupyterLab's list of files has room for
    assert (handed / FIRST).exists()


def test_no_output_after_the_first_question_exists(handed):
    for path, notebook in notebooks(handed).items():
        nbformat.validate(notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        first = next((i for i, cell in enumerate(code) if "predict(" in cell.source), 0)
        assert [cell.outputs for cell in code[first:]] == [[]] * (len(code) - first), path
        if path.parent == handed:
            assert first > 0
            assert any(cell.outputs for cell in code[:first]), "the first picture is there"


def test_every_link_leads_to_a_file_that_is_there(handed):
    counted = 0
    for path, notebook in notebooks(handed).items():
        for cell in notebook.cells:
            for target in LINK.findall(cell.source) if cell.cell_type == "markdown" else ():
                assert (path.parent / target).is_file(), f"{path.name}: {target}"
                counted += 1
    assert counted > 100


def test_what_is_to_be_read_is_the_installed_package_and_cannot_be_changed_by_accident(handed):
    copy = handed / "reading" / "polygrad_edu" / "replay.py"
    assert copy.read_bytes() == (find_shared("notebooks").parent / "polygrad_edu" / "replay.py").read_bytes()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o444


def test_an_assignment_holds_what_nbgrader_would_release(handed, tmp_path):
    new_course(tmp_path / "course")
    for name, path in release(tmp_path / "course").items():
        released = nbformat.read(path, as_version=4)
        ours = nbformat.read(handed / "assignments" / f"{name}.ipynb", as_version=4)
        for theirs, cell in zip(released.cells, ours.cells, strict=True):
            if cell.cell_type == "code":
                assert cell.source.strip() == theirs.source.strip(), name
            assert "SOLUTION" not in cell.source
            assert "HIDDEN TESTS" not in cell.source


def test_a_second_time_nothing_of_the_students_is_touched_and_what_is_to_be_read_is_renewed(tmp_path):
    hand_out(tmp_path)
    (tmp_path / FIRST).write_text("my notes")
    (tmp_path / "02_noise.ipynb").rename(tmp_path / "02_the_noise_schedule.ipynb")  # as an older version named it
    (tmp_path / "assignments" / "a1_noise_schedule.ipynb").unlink()
    old = tmp_path / "reading" / "polygrad_edu" / "replay.py"
    old.chmod(0o644)
    old.write_text("an older version")
    assert hand_out(tmp_path) == (1, len(NAMES) + 5)
    assert (tmp_path / FIRST).read_text() == "my notes"
    assert not (tmp_path / "02_noise.ipynb").exists()
    assert old.read_text() != "an older version"


def test_jupyter_is_told_to_trust_what_was_copied_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    mine = tmp_path / "mine"
    mine.mkdir()
    theirs = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("a student's own")])
    nbformat.write(theirs, mine / "03_denoise.ipynb")
    hand_out(mine, trusted=True)
    trusted = {path.name for path, notebook in notebooks(mine).items() if NotebookNotary().check_signature(notebook)}
    assert trusted == {path.name for path in mine.rglob("*.ipynb")} - {"03_denoise.ipynb"}


def test_a_file_is_no_directory_for_lessons(tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(InputError, match="is a file; name a directory"):
        hand_out(tmp_path / "mine")
