"""result.json, made from a loop and read back."""

import json

import numpy as np
import pytest

import polygrad_edu
from polygrad_edu.files.input_error import InputError
from polygrad_edu.files.safe_files import write_json
from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.runs.result_file import make_result, read_result, versions
from tests.support.tiny_runs import tiny


@pytest.fixture(scope="module")
def result():
    loop = ImaginationLoop(tiny(world_model="recurrent"), seed=7)
    loop.best_return = 9.0
    return make_result("mine", loop, np.array([4.0, 8.0]), 12.34)


def test_a_result_says_what_was_reached_how_and_with_what(result):
    assert (result["preset"], result["env_id"], result["seed"]) == ("mine", "InvertedPendulum-v5", 7)
    assert (result["world_model"], result["guidance"]) == ("recurrent", "fixed-noise")
    assert (result["return_mean"], result["return_std"], result["episodes"]) == (6.0, 2.0, 2)
    assert (result["selection_return"], result["wall_seconds"]) == (9.0, 12.3)
    assert result["versions"] == versions()
    assert versions()["polygrad_edu"] == polygrad_edu.__version__


def test_a_result_survives_its_file(result, tmp_path):
    write_json(tmp_path / "result.json", result)
    assert read_result(tmp_path / "result.json") == result


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "must hold 0 or more as seed, not -1"),
        ({"episodes": 2.5}, "must hold a whole number as episodes, not 2.5"),
        ({"return_mean": "6"}, "must hold a number as return_mean, not '6'"),
        ({"versions": []}, r"must hold an object as versions, not \[\]"),
        ({"env_id": None}, "must hold text as env_id, not None"),
    ],
)
def test_a_result_that_was_changed_is_refused_in_one_line(result, tmp_path, change, message):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result | change))
    with pytest.raises(InputError, match=message) as error:
        read_result(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("change", [{"seed": "a"}, {"episodes": -1}, {"return_mean": {"median": 3.0}}])
def test_a_result_of_a_newer_version_that_is_not_understood_says_upgrade(result, tmp_path, change):
    path = tmp_path / "result.json"
    named = {"versions": result["versions"] | {"polygrad_edu": "999.0.0"}}
    path.write_text(json.dumps(result | named | change))
    with pytest.raises(InputError, match=r"result.json was written by a newer polygrad-edu \(999.0.0\): upgrade"):
        read_result(path)
    path.write_text(json.dumps(result | named | {"something": "new"}))
    assert read_result(path)["something"] == "new"
