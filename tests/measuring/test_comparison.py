"""Comparisons as a user runs them: a small Hopper dataset, small models, a real run."""

import json
import re
import sys

import numpy as np
import pytest
import torch

from polygrad_edu import environments
from polygrad_edu.cli import compare
from polygrad_edu.files.input_error import InputError
from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.interop.datasets import load_dataset
from polygrad_edu.interop.make_dataset import collect_dataset
from polygrad_edu.interop.outside_policies import save_policy
from polygrad_edu.measuring.comparison import ComparisonSettings, measure_all, with_whole_range
from polygrad_edu.measuring.trained_models import COMPARED, make_candidate
from polygrad_edu.settings import IMAGINE_ONLY, SETTINGS
from tests.support.command_line import OPTIONS, call
from tests.support.tiny_runs import tiny

if sys.version_info < (3, 11):
    pytest.skip("Minari needs Python 3.11", allow_module_level=True)
import h5py

SMALL = ["--width", 16, "--depth", 1, "--trajectories", 6, "--updates", 3, "--sampling-steps", 4]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    directory = tmp_path_factory.mktemp("compare") / "hopper"
    collect_dataset(directory, "Hopper-v5", 600, 4096, 0)
    return directory


@pytest.fixture(scope="module")
def compared(data, tmp_path_factory):
    """All world models, barely trained, and what was said about them."""
    out = tmp_path_factory.mktemp("compared")
    done = call("error", data, "--ahead", 3, "--out", out, *SMALL, columns=80)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_the_table_names_every_world_model_and_step(compared):
    out, said = compared
    report = json.loads((out / "error.json").read_text())
    assert list(report["models"]) == list(COMPARED)
    assert report["env_id"] == "Hopper-v5"
    for model in report["models"].values():
        assert model["steps_ahead"] == [1, 2, 3]
        assert all(e["low"] <= e["value"] <= e["high"] for e in model["observation"])
        assert model["updates"] == 3
        assert 0.3 < model["on_policyness"]["std"] < 3
        assert model["seconds_per_1000"] > 0
    for word in ("1 ahead", "2 ahead", "3 ahead", "reward", "end", "KS", "seconds", "minutes", "ensemble", "recurrent"):
        assert word in said
    page = (out / "error.md").read_text().splitlines()
    assert page[0].count("|") == len(COMPARED) + 2
    assert (out / "error.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_fits_an_ordinary_terminal(compared):
    said = compared[1].splitlines()
    assert max(map(len, said[:-1])) <= 80  # all but the line with the directory
    assert "…" not in compared[1]


def test_asking_again_trains_nothing_anew(data, compared):
    out, _ = compared
    states = {path: path.read_text() for path in out.glob("models/*/state.json")}
    assert len(states) == len(COMPARED)
    again = call("error", data, "--models", "polygrad", "--ahead", 12, "--out", out, *SMALL, "--guidance", "none")
    assert again.returncode == 0, again.stderr
    assert "train polygrad" not in again.stderr
    assert json.loads((out / "error.json").read_text())["models"]["polygrad"]["steps_ahead"] == [1, 2, 3, 5, 10, 12]
    assert {path: path.read_text() for path in out.glob("models/*/state.json")} == states
    other = call("error", data, "--models", "polygrad", "--ahead", 1, "--out", out, *SMALL, "--width", 8)
    assert "train polygrad" in other.stderr


def test_the_same_seed_gives_the_same_errors(data, tmp_path):
    small = {"width": "16", "depth": "1"}
    usual = {"models": ["transformer"], "ahead": 2, "trajectories": 6, "updates": 3, "overrides": small}
    reports = [measure_all(ComparisonSettings(data, tmp_path / str(i), **usual)) for i in range(2)]
    one, other = (report.results[0].errors for report in reports)
    assert one.observation == other.observation
    assert one.on_policyness == other.on_policyness


def test_a_run_is_measured_with_its_own_model_and_beside_others(tmp_path):
    assert call("train", "--out", tmp_path / "run", *OPTIONS, "--guidance", "gradient").returncode == 0
    done = call("error", tmp_path / "run", "--ahead", 4, "--trajectories", 5, "--out", tmp_path / "own", "--json")
    assert done.returncode == 0, done.stderr
    own = json.loads(done.stdout)
    assert list(own["models"]) == ["polygrad"]
    assert own["env_id"] == "InvertedPendulum-v5"
    beside = call(
        "error", tmp_path / "run", "--models", "recurrent,mlp-ensemble", "--out", tmp_path / "two", "--json", *SMALL
    )
    assert list(json.loads(beside.stdout)["models"]) == ["recurrent", "mlp-ensemble"]
    for options in (("--width", 8), ("--seeds", 2), ("--minutes", 1), ("--updates", 3)):
        fixed = call("error", tmp_path / "run", *options)
        assert fixed.returncode == 2
        asked = options[0].removeprefix("--")
        refusal = f"a run's world model is trained already: {asked} cannot be changed; give --models to train"
        assert refusal in fixed.stderr


def test_training_seeds_share_data_and_starts_and_each_is_kept(data, tmp_path):
    usual = {"models": ["mlp-ensemble"], "ahead": 2, "trajectories": 6, "overrides": {"width": "16", "depth": "1"}}
    both = measure_all(ComparisonSettings(data, tmp_path, **usual, updates=3, seeds=2)).results[0]
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["mlp-ensemble-0", "mlp-ensemble-1"]
    first, second = (one.errors.observation[0].value for one in both.by_seed)
    assert first != second
    assert both.errors.observation[0] == pytest.approx((first / 2 + second / 2, min(first, second), max(first, second)))
    alone = measure_all(ComparisonSettings(data, tmp_path, **usual, updates=3)).results[0]
    assert alone.errors.observation == both.by_seed[0].errors.observation
    timed = measure_all(ComparisonSettings(data, tmp_path, **usual, minutes=0.005)).results[0]
    assert 0.3 <= timed.training_seconds < 1
    assert timed.updates > 3


def test_another_policy_may_act(data, tmp_path):
    save_policy(load_dataset(data).policies["trained"], tmp_path / "mine.safetensors")
    options = ["--models", "mlp-ensemble", "--ahead", 1, "--out", tmp_path / "out", "--json", *SMALL]
    done = call("error", data, "--policy", tmp_path / "mine.safetensors", *options)
    assert done.returncode == 0, done.stderr


def test_a_runs_policy_acts_in_the_datas_units():
    """Actions of 1 are a third of InvertedPendulum's range in its preset, the whole of it in a dataset."""
    loop = ImaginationLoop(tiny(), seed=0)
    policy, observations = loop.actor_critic.policy, torch.randn(4, 4)
    ours, whole = policy(observations), with_whole_range(policy, loop.preset.task.action_scale)(observations)
    torch.testing.assert_close(whole.mean, ours.mean / 3)
    torch.testing.assert_close(whole.stddev, ours.stddev / 3)
    part, full = environments.make("InvertedPendulum-v5", 1 / 3), environments.make("InvertedPendulum-v5")
    part.reset(seed=0)
    full.reset(seed=0)
    action = ours.mean[0].detach().numpy()
    np.testing.assert_allclose(part.step(action)[0], full.step(whole.mean[0].detach().numpy())[0], atol=1e-7)
    assert with_whole_range(policy, 1) is policy
    assert make_candidate("recurrent", "InvertedPendulum-v5", 1.0, {}).preset.task.action_scale == 1


def test_bad_input_gets_one_line_and_leaves_nothing(data, tmp_path):
    bare = tmp_path / "bare"
    collect_dataset(bare, "Hopper-v5", 300, 4096, 0)
    with h5py.File(bare / "data" / "main_data.hdf5", "a") as file:
        for episode in file.values():
            del episode["infos/simulator_state"]
    other = tmp_path / "other"
    collect_dataset(other, "InvertedPendulum-v5", 300, 4096, 0)
    longest = load_dataset(data).longest_episode
    before = sorted(tmp_path.iterdir())
    policy_of_other = other / "policies" / "trained.safetensors"
    for asked, message in [
        ({"source": bare}, "this dataset holds no simulator states"),
        ({"source": "nowhere"}, "nowhere is neither a dataset's directory nor"),
        ({"ahead": longest}, f"the longest episode has {longest} steps, so --ahead can be at most {longest - 1}"),
        ({"models": ["dreamer"]}, "there is no world model 'dreamer'"),
        ({"models": ["transfomer"]}, "did you mean transformer"),
        ({"policy": policy_of_other}, "takes 4 observations and 1 actions; Hopper-v5 has 11 and 3"),
        ({"policy": tmp_path / "nofile"}, "nofile is not a policy file"),
        ({"minutes": 1.0}, "each model learns for --updates or for --minutes; give one of them"),
        ({"overrides": {"sampling_steps": "999"}}, "more than the 128 diffusion_steps"),
    ]:
        usual = {"source": data, "out": tmp_path / "out", "ahead": 3, "trajectories": 6, "updates": 3}
        with pytest.raises(InputError, match=re.escape(message)) as error:
            measure_all(ComparisonSettings(**(usual | asked)))
        assert "\n" not in str(error.value)
        assert sorted(tmp_path.iterdir()) == before
    for arguments, message in [
        (("error", bare, "--out", tmp_path / "out"), "this dataset holds no simulator states"),
        (("error", data, "--ahead", 0), "Input should be greater than or equal to 1"),
        (("dataset", data), "is there already; choose a new directory"),
        (("dataset", tmp_path / "new", "--env-id", "Nope-v0"), "cannot make the task 'Nope-v0'"),
    ]:
        done = call(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert message in done.stderr
        assert sorted(tmp_path.iterdir()) == before


def test_settings_are_either_learned_with_or_imagined_with():
    assert set(IMAGINE_ONLY) <= SETTINGS.keys()
    assert not set(compare.LEARNING) & set(IMAGINE_ONLY)
