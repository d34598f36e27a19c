"""Where lessons and shipped results are found, in a clone and in an installation."""

import pytest

from polygrad_edu.course import paths
from polygrad_edu.files.input_error import InputError


def test_a_clone_has_both_folders():
    assert (paths.find_shared("notebooks") / "00_start_here.ipynb").is_file()
    assert (paths.find_shared("results") / "hopper-cpu" / "model.safetensors").is_file()


def test_an_installation_has_them_inside_the_package_and_one_without_says_so(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "polygrad_edu"
    monkeypatch.setattr(paths.resources, "files", lambda name: package)
    with pytest.raises(InputError, match="the results are not part of this installation"):
        paths.find_shared("results")
    (package.parent / "results").mkdir(parents=True)
    assert paths.find_shared("results") == package.parent / "results"
    (package / "results").mkdir(parents=True)
    assert paths.find_shared("results") == package / "results"


@pytest.mark.parametrize("name", ["moon", "", "../results/hopper-cpu", "hopper-cpu/../hopper-cpu"])
def test_only_the_courses_own_runs_are_loaded(name):
    with pytest.raises(InputError, match=r"comes with the course; there are .*hopper-cpu"):
        paths.shipped(name)


def test_a_shipped_run_is_ready_to_imagine():
    pendulum = paths.shipped("inverted-pendulum")
    imagined = pendulum.loop.imagine_from(pendulum.observations[:2])
    assert imagined.observations.shape[0] == 2
