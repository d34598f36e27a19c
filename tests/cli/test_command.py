"""What every command does before its work: paths, and the variables that its libraries judge."""

import sys
from pathlib import Path

import pytest
import typer

from polygrad_edu.cli.command import Command, DoctorCommand, expanded
from polygrad_edu.cli.main import app
from polygrad_edu.files.input_error import InputError
from tests.support.command_line import OPTIONS, call


def commands(group):
    for command in group.commands.values():
        if hasattr(command, "commands"):
            yield from commands(command)
        else:
            yield command


def test_every_command_is_one_that_prepares():
    found = list(commands(typer.main.get_command(app)))
    assert len(found) > 15
    assert all(isinstance(command, Command) for command in found)
    assert [command.name for command in found if isinstance(command, DoctorCommand)] == ["doctor"]


def test_only_the_beginning_of_a_path_is_the_home_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded(Path("~/a b")) == tmp_path / "a b"
    assert expanded(Path("~")) == tmp_path
    for path in ("runs/~", "a~", "mujoco/hopper/expert-v0", ".", "日本 ü"):
        assert expanded(Path(path)) == Path(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("~nobody-of-this-name/x", "begins with a home directory that is not known here"),
        ("r_\udcff", "is no text in utf-8"),
    ],
)
def test_a_path_that_is_none_is_refused(path, message):
    with pytest.raises(InputError, match=message):
        expanded(Path(path))


def test_the_home_directory_works_wherever_a_path_comes_in(tmp_path):
    home = tmp_path / "home"
    here = tmp_path / "here"
    home.mkdir()
    here.mkdir()

    def run(*words):
        done = call(*words, cwd=here, HOME=str(home))
        assert done.returncode == 0, done.stderr
        return done.stdout

    trained = run("train", "--out=~/my run", *OPTIONS)
    assert f"lie in {home / 'my run'}." in trained
    run("evaluate", "~/my run", "--episodes", 1)
    run("video", "~/my run", "--out=~/film.mp4")
    run("export", "~/my run", "~/kept")
    run("error", "~/my run", "--ahead", 1, "--trajectories", 2, "--out=~/error", "--policy=~/my run")
    run("lab", "~/lessons", "--no-start")
    stopped = run("train", "--out=~/other [run]", *OPTIONS, "--minutes", 0)
    assert f"Continue with: polygrad-edu train --resume '{home / 'other [run]'}'" in stopped
    run("train", "--resume=~/other [run]")
    run("sweep", "inverted-pendulum", "--seeds", 1, "--out=~/study", *OPTIONS)
    run("report", "~/study")
    names = {"my run", "film.mp4", "kept", "error", "lessons", "other [run]", "study"}
    assert {path.name for path in home.iterdir() if not path.name.startswith(".")} == names  # others hide caches
    assert list(here.iterdir()) == []


def test_a_dataset_may_lie_in_the_home_directory(tmp_path):
    done = call("error", "~/nothing", HOME=str(tmp_path))
    assert done.returncode == 2
    assert str(tmp_path / "nothing") in done.stderr
    assert "~" not in done.stderr


@pytest.mark.parametrize(
    ("words", "name", "value", "library"),
    [
        (["train", *OPTIONS, "--out", "run"], "MUJOCO_GL", "garbage", "mujoco"),
        (["error", "nowhere"], "MPLBACKEND", "garbage", "matplotlib"),
        (["lab", "lessons", "--no-start"], "TORCH_LOGS", "garbage", "torch"),
        (["course", "report"], "TORCH_LOGS", "", "torch"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_variable_that_a_library_refuses_is_told_before_any_work(tmp_path, words, name, value, library):
    done = call(*words, cwd=tmp_path, **{name: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"polygrad-edu: {name}='{value}' is refused by {library} (")
    assert f"; unset {name}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_values_that_are_right_are_named_and_work(tmp_path):
    done = call("lab", tmp_path / "x", "--no-start", MUJOCO_GL="garbage")
    right = done.stderr.strip().partition("or set it to one of: ")[2].split(", ")
    assert {"disable", "glfw"} <= set(right)
    assert "cgl" not in right or sys.platform == "darwin"
    for value in right:
        assert call("lab", tmp_path / "x", "--no-start", MUJOCO_GL=value).returncode == 0
    for name in ("MUJOCO_GL", "MPLBACKEND"):  # an empty one is as good as none
        assert call("lab", tmp_path / "x", "--no-start", **{name: ""}).returncode == 0


def test_a_wrong_variable_does_not_matter_to_bad_input():
    done = call("train", "--no-such-option", MUJOCO_GL="garbage")
    assert done.returncode == 2
    assert "No such option" in done.stderr
