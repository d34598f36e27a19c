"""The commands for a run that is there."""

import json

import pytest

from tests.support.command_line import call


def test_evaluation_repeats_the_reported_return(trained):
    directory, done = trained
    answer = json.loads(call("evaluate", directory, "--episodes", 2, "--json").stdout)
    assert answer["return_mean"] == pytest.approx(json.loads(done.stdout)["return_mean"])
    spoken = call("evaluate", directory, "--episodes", 3)
    assert spoken.returncode == 0
    assert "InvertedPendulum-v5: return" in spoken.stdout


def test_video_writes_where_it_is_told(trained, tmp_path):
    directory, _ = trained
    done = call("video", directory, "--out", tmp_path / "film.mp4", "--json")
    assert json.loads(done.stdout) == {"video": str(tmp_path / "film.mp4")}
    assert (tmp_path / "film.mp4").stat().st_size > 1000


def test_a_run_is_kept_for_good(trained, tmp_path):
    done = call("export", trained[0], tmp_path / "kept", "--json")
    assert json.loads(done.stdout)["bytes"] < 2**20
    again = call("export", trained[0], tmp_path / "kept")
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_a_run_is_kept_for_a_page(trained, tmp_path):
    done = call("export", trained[0], tmp_path / "page", "--browser", "--json")
    assert json.loads(done.stdout)["bytes"] == (tmp_path / "page" / "imagination.safetensors").stat().st_size
