"""World models trained on data, kept, and read again."""

import json

import numpy as np
import pytest
import torch

from polygrad_edu.baselines import make_world_model, window_of
from polygrad_edu.files.input_error import InputError
from polygrad_edu.imagination_loop import ImaginationLoop, NotFiniteError
from polygrad_edu.interop.datasets import to_replay
from polygrad_edu.measuring.comparison import replay_data
from polygrad_edu.measuring.trained_models import COMPARED, Effort, fingerprint, make_candidate, train
from tests.support.tiny_runs import run, tiny

SMALL = {"width": "8", "depth": "1", "batch_size": "8"}


@pytest.fixture(scope="module")
def data():
    """The real steps of a tiny run."""
    loop = ImaginationLoop(tiny(env_steps=60), seed=0)
    run(loop, 40)
    return replay_data(loop)


@pytest.fixture
def candidate():
    return make_candidate("mlp-ensemble", "InvertedPendulum-v5", 1.0, SMALL)._replace(effort=Effort(3))


@pytest.mark.parametrize("name", COMPARED)
def test_every_candidate_is_what_its_name_says_for_its_task(name):
    candidate = make_candidate(name, "Hopper-v5", 0.5, SMALL)
    settings = candidate.preset.to_json()
    changes, updates = COMPARED[name]
    assert (candidate.name, candidate.effort) == (name, Effort(updates))
    assert (settings["env_id"], settings["action_scale"], settings["width"]) == ("Hopper-v5", 0.5, 8)
    assert {key: settings[key] for key in changes if key not in SMALL} == {
        key: value for key, value in changes.items() if key not in SMALL
    }


def test_an_unknown_candidate_or_setting_is_refused():
    with pytest.raises(InputError, match="there is no world model 'dreamer'"):
        make_candidate("dreamer", "Hopper-v5", 1.0, {})
    with pytest.raises(InputError, match="no setting 'widht'; did you mean width"):
        make_candidate("polygrad", "Hopper-v5", 1.0, {"widht": "8"})


def parameters(trained):
    model = trained.world_model
    return [*model.network.state_dict().values(), *model.averaged_network.state_dict().values()]


class Progress(list):
    """The steps of progress that were told."""

    def __call__(self, *step):
        self.append(step)


def test_a_model_is_trained_once_and_then_read(data, candidate, tmp_path):
    told = Progress()
    first = train(candidate, data, tmp_path, 0, "cpu", told)
    assert (first.name, first.updates, told) == ("mlp-ensemble", 3, [("train mlp-ensemble", 3, 3)])
    again = train(candidate, data, tmp_path, 0, "cpu", told)
    assert len(told) == 1
    assert (again.updates, again.seconds) == (3, first.seconds)
    assert first.seconds > 0
    assert all(torch.equal(a, b) for a, b in zip(parameters(first), parameters(again), strict=True))


@pytest.mark.parametrize(
    ("change", "trains"),
    [
        ({"learning_rate": "0.01"}, True),
        ({"sampling_steps": "4"}, False),
        ({"gamma": "0.9"}, False),  # of the actor-critic, which is none of its business
        ({"seed": 1}, True),
    ],
)
def test_a_model_is_trained_anew_if_what_it_learned_from_differs(data, candidate, tmp_path, change, trains):
    train(candidate, data, tmp_path, 0, "cpu")
    told = Progress()
    seed = change.pop("seed", 0)
    changed = candidate._replace(preset=candidate.preset.with_overrides(change))
    train(changed, data, tmp_path, seed, "cpu", told)
    assert bool(told) == trains
    train(candidate, data, tmp_path, 0, "cpu", told)
    assert len(told) == (2 if trains and not seed else int(trains))  # each training seed is kept beside the others


def test_minutes_are_the_processors_and_the_learning_rate_falls_to_nothing_in_them(data, candidate, tmp_path):
    told = Progress()
    trained = train(candidate._replace(effort=Effort(minutes=0.01)), data, tmp_path, 0, "cpu", told)
    assert 0.6 <= trained.seconds < 1.2  # the last update may begin at 0.599
    assert trained.updates > 10
    assert told[-1] == ("train mlp-ensemble", 1, 1)
    rates = {group["lr"] for group in trained.world_model.optimiser.param_groups}
    assert max(rates) < 0.02 * candidate.preset.world_model.learning_rate
    assert json.loads((tmp_path / "models" / "mlp-ensemble-0" / "state.json").read_text())["updates"] == trained.updates


def test_an_effort_is_done_in_updates_or_in_seconds():
    assert (Effort(updates=4).done(3, 100.0), Effort(updates=4).whole) == (3, 4)
    assert (Effort(minutes=2).done(3, 30.0), Effort(minutes=2).whole) == (30, 120)
    assert Effort(updates=0).whole == 0


def test_a_loss_that_is_no_number_ends_the_training(data, candidate, tmp_path):
    wild = candidate.preset.with_overrides({"learning_rate": "1e30"})
    with pytest.raises(NotFiniteError, match=r"mlp-ensemble's loss became .* a smaller --learning-rate may prevent it"):
        train(candidate._replace(preset=wild, effort=Effort(50)), data, tmp_path, 0, "cpu")
    assert not (tmp_path / "models").exists()


def test_a_damaged_model_is_refused_in_one_line(data, candidate, tmp_path):
    train(candidate, data, tmp_path, 0, "cpu")
    directory = tmp_path / "models" / "mlp-ensemble-0"
    tensors = (directory / "tensors.safetensors").read_bytes()
    for content in (tensors[:100], b""):
        (directory / "tensors.safetensors").write_bytes(content)
        with pytest.raises(InputError, match=r"is damaged .*; remove it to train anew") as error:
            train(candidate, data, tmp_path, 0, "cpu")
        assert "\n" not in str(error.value)
    (directory / "state.json").write_text(json.dumps({"settings": {}}))  # of another model: trained over
    told = Progress()
    train(candidate, data, tmp_path, 0, "cpu", told)
    assert len(told) == 1


def test_the_fingerprint_tells_a_single_bit(data):
    assert fingerprint(data) == fingerprint(data._replace(levels=data.levels + 1))  # says nothing about transitions
    rewards = data.rewards.copy()
    rewards[7] = np.nextafter(rewards[7], np.float32(9))
    assert fingerprint(data) != fingerprint(data._replace(rewards=rewards))


def test_weights_come_from_the_seed_alone_and_nobody_elses_numbers_change(data, tmp_path):
    """The weights are those that torch draws after ``manual_seed``, as they were when a training seeded the process."""
    candidate = make_candidate("polygrad", "InvertedPendulum-v5", 1.0, SMALL)._replace(effort=Effort(0))
    torch.manual_seed(7)
    replay = to_replay(data, window_of(candidate.preset))
    expected = make_world_model(candidate.preset, replay.normaliser, torch.Generator()).network.state_dict()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    trained = train(candidate, data, tmp_path, 7, "cpu")
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in trained.world_model.network.state_dict().items():
        assert torch.equal(value, expected[name]), name
