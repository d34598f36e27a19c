"""The lessons, copied without starting JupyterLab."""

from tests.support.command_line import call


def test_lab_copies_lessons_and_never_overwrites(tmp_path):
    done = call("lab", tmp_path / "mine", "--no-start")
    assert done.returncode == 0, done.stderr
    lesson = tmp_path / "mine" / "00_start_here.ipynb"
    lesson.write_text("my notes")
    assert "left as they are" in call("lab", tmp_path / "mine", "--no-start").stdout
    assert lesson.read_text() == "my notes"
