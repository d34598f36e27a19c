"""Making a dataset: what is stored is what the policies did."""

import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from polygrad_edu.interop.datasets import LEVELS, load_dataset
from polygrad_edu.interop.make_dataset import collect_dataset

if sys.version_info < (3, 11):
    pytest.skip("Minari needs Python 3.11", allow_module_level=True)
import minari


def test_what_was_made_is_what_is_read(made):
    directory, summary, told = made
    data = load_dataset(directory)
    assert (data.env_id, summary["steps"], list(summary["mean_returns"])) == ("Hopper-v5", 300, list(LEVELS))
    assert data.observations.shape == (300, 11)
    assert data.actions.shape == (300, 3)
    assert np.bincount(data.levels).tolist() == [100, 100, 100]
    assert list(data.policies) == list(LEVELS)
    assert data.terminals.sum() > 3
    assert told[-1] == ("collect trained", 100, 100)
    assert not list(directory.parent.glob("*.partial"))


def test_it_is_a_minari_dataset_whose_actions_fit_the_task(made):
    dataset = minari.MinariDataset(made[0] / "data")
    assert (dataset.total_steps, dataset.env_spec.id) == (300, "Hopper-v5")
    space = gymnasium.make("Hopper-v5").action_space
    assert all(space.contains(action) for episode in dataset.iterate_episodes() for action in episode.actions)


def test_the_same_seed_makes_the_same_data_and_another_other(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a path as users give it, relative
    data = load_dataset(made[0])
    for seed, same in ((3, True), (4, False)):
        collect_dataset(Path("data") / str(seed), "Hopper-v5", 300, 4096, seed)
        again = load_dataset(Path("data") / str(seed))
        assert np.array_equal(again.observations, data.observations) == same
        assert np.array_equal(again.simulator_states, data.simulator_states) == same


def test_a_level_is_what_its_policy_does(made):
    data = load_dataset(made[0])
    policy = data.policies["trained"]
    rows = data.levels == 2
    distribution = policy(torch.as_tensor(data.observations[rows]))
    noise = (torch.as_tensor(data.actions[rows]) - distribution.mean) / distribution.stddev
    assert noise.mean().abs() < 0.2
    assert noise.std() == pytest.approx(1, abs=0.15)
