import json
import shlex
import shutil

import numpy as np
import pytest
import torch
from rich.console import Console

from polygrad_edu import environments
from polygrad_edu.files.input_error import InputError
from polygrad_edu.presets import get_preset
from polygrad_edu.runs.checkpoint import load_checkpoint
from polygrad_edu.runs.shipped import command_of, export_result, load_result
from polygrad_edu.runs.training import start_run
from tests.support.tiny_runs import tiny


@pytest.fixture(scope="module", params=["hopper-cpu", "hopper-pathwise"])
def run_directory(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "run"
    start_run(directory, request.param, tiny(request.param, guidance="gradient"), 3, "cpu").run(Console(quiet=True))
    return directory


@pytest.fixture(scope="module")
def shipped(run_directory):
    directory = run_directory.with_name("shipped")
    export_result(run_directory, directory)
    return directory


def test_what_is_kept_imagines_and_acts_as_the_run_did(run_directory, shipped):
    loop, _ = load_checkpoint(run_directory)
    kept = load_result(shipped)
    first = kept.observations[:50]
    for name, value in loop.best_policy.state_dict().items():
        assert torch.equal(kept.loop.best_policy.state_dict()[name], value)
        assert torch.equal(kept.loop.actor_critic.policy.state_dict()[name], value)
    loop.actor_critic.policy.load_state_dict(loop.best_policy.state_dict())
    imagined = [each.imagine_from(first, torch.Generator().manual_seed(0)) for each in (loop, kept.loop)]
    scale = loop.world_model.normaliser.observations.scale
    off = ((imagined[0].observations - imagined[1].observations) / scale).abs()
    assert 0 < off.mean() < 0.05  # the weights were rounded to bfloat16
    assert kept.loop.world_model.guidance_tuner.scale == loop.world_model.guidance_tuner.scale
    returns = [environments.evaluate(each.make_env, each.best_policy, 2, 5) for each in (loop, kept.loop)]
    np.testing.assert_array_equal(*returns)


def test_the_real_states_go_with_their_observations(shipped):
    kept = load_result(shipped)
    assert len(kept.observations) == len(kept.simulator_states) == 60
    env = kept.loop.make_env()
    for state, observation in zip(kept.simulator_states, kept.observations, strict=True):
        np.testing.assert_allclose(environments.set_simulator_state(env, state.numpy()), observation, atol=1e-6)


def test_the_result_says_how_it_was_made(shipped):
    preset = json.loads((shipped / "config.json").read_text())["preset"]
    result = json.loads((shipped / "result.json").read_text())
    assert result["command"].startswith(f"polygrad-edu train {preset} --seed 3 --")
    assert " --env-steps 60 " in result["command"]
    assert "--guidance gradient" in result["command"]
    assert command_of("hopper-cpu", get_preset("hopper-cpu"), 0) == "polygrad-edu train hopper-cpu --seed 0"
    names = sorted(path.name for path in shipped.iterdir())
    assert names == ["config.json", "metrics.jsonl", "model.safetensors", "result.json"]
    assert len({path.stat().st_mode for path in shipped.iterdir()}) == 1  # who may read one may read all


def test_what_cannot_be_kept_or_read_is_refused(run_directory, shipped, tmp_path):
    with pytest.raises(InputError, match="is there already"):
        export_result(run_directory, shipped)
    with pytest.raises(InputError, match="is not a run directory"):
        export_result(tmp_path, tmp_path / "new")
    for name in ("config.json", "result.json"):
        (tmp_path / name).write_bytes((shipped / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes((shipped / "model.safetensors").read_bytes()[:500])
    with pytest.raises(InputError, match=r"model\.safetensors cannot be used"):
        load_result(tmp_path)
    (tmp_path / "result.json").unlink()
    with pytest.raises(InputError, match="is not finished; go on with"):
        export_result(tmp_path, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_result_of_a_newer_version_that_is_not_understood_says_upgrade(shipped, tmp_path):
    newer = shutil.copytree(shipped, tmp_path / "newer")
    config = json.loads((newer / "config.json").read_text())
    result = json.loads((newer / "result.json").read_text())
    (newer / "result.json").write_text(json.dumps(result | {"versions": {"polygrad_edu": "999.0.0"}}))
    load_result(newer)  # it is understood
    (newer / "config.json").write_text(json.dumps(config | {"settings": config["settings"] | {"width": 24}}))
    with pytest.raises(InputError, match=r"newer was written by a newer polygrad-edu \(999.0.0\): upgrade"):
        load_result(newer)
    changed = {"version": "999.0.0", "settings": config["settings"] | {"new_thing": 1}}
    (newer / "config.json").write_text(json.dumps(config | changed))
    with pytest.raises(InputError, match=r"config.json was written by a newer polygrad-edu \(999.0.0\): upgrade"):
        load_result(newer)


def test_the_command_of_a_result_can_be_typed():
    command = command_of("mine", get_preset("pendulum").with_overrides(env_id="my tasks/Pole it's-v0"), 3)
    words = shlex.split(command)
    assert words[:5] == ["polygrad-edu", "train", "mine", "--seed", "3"]
    assert words[words.index("--env-id") + 1] == "my tasks/Pole it's-v0"
