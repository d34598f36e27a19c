"""The lessons, copied, and JupyterLab as it is started: on the first lesson, with the options that were passed on."""

import sys
from pathlib import Path

import pytest

from polygrad_edu.cli import lab as lab_module
from tests.support.command_line import call


def test_lab_copies_lessons_and_never_overwrites(tmp_path):
    done = call("lab", tmp_path / "mine", "--no-start")
    assert done.returncode == 0, done.stderr
    lesson = tmp_path / "mine" / "00_start.ipynb"
    lesson.write_text("my notes")
    assert "left as they are" in call("lab", tmp_path / "mine", "--no-start").stdout
    assert lesson.read_text() == "my notes"


@pytest.mark.parametrize(
    ("arguments", "passed_on"),
    [
        (["mine"], []),
        (["mine", "--port", "9000", "--ip=0.0.0.0"], ["--port", "9000", "--ip=0.0.0.0"]),
        (["mine", "--no-browser", "--port", "9000"], ["--no-browser", "--port", "9000"]),
    ],
)
def test_jupyterlab_opens_the_first_lesson_and_gets_the_options_that_are_its_own(
    tmp_path, monkeypatch, arguments, passed_on
):
    from polygrad_edu.cli.main import app

    started = []
    monkeypatch.setattr(
        lab_module.subprocess, "call", lambda command, cwd, env: started.append((command, str(cwd), env)) or 0
    )
    monkeypatch.delenv("PYTHONSTARTUP", raising=False)
    monkeypatch.chdir(tmp_path)
    assert not app(["lab", *arguments], standalone_mode=False)
    ((command, folder, env),) = started
    assert command == [sys.executable, "-m", "jupyter", "lab", "00_start.ipynb", *passed_on]
    assert folder == "mine"
    assert Path(env["PYTHONSTARTUP"]).is_file()  # what a new kernel says is tested with the kernel


def test_without_a_directory_an_option_still_goes_to_jupyterlab(tmp_path):
    done = call("lab", "--port", "9000", "--version", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "polygrad-lessons" / "00_start.ipynb").exists()
    assert done.stdout.splitlines()[-1][0].isdigit()  # JupyterLab's version


@pytest.mark.parametrize("arguments", [["mine", "yours"], ["mine", "--no-start", "--port", "9000"]])
def test_what_nobody_would_read_is_refused_before_anything_is_copied(tmp_path, arguments):
    done = call("lab", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "lab takes one DIR, and options for JupyterLab if it is started; not" in done.stderr
    assert list(tmp_path.iterdir()) == []
