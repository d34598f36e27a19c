"""Making a dataset: what is stored is what the policies did."""

import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import PendulumEnv

from polygrad_edu import environments
from polygrad_edu.files.input_error import InputError
from polygrad_edu.interop import make_dataset
from polygrad_edu.interop.datasets import LEVELS, load_dataset
from polygrad_edu.interop.make_dataset import collect_dataset
from polygrad_edu.settings import MAX_SEED
from tests.support.generators import untouched

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


def test_the_random_numbers_of_whoever_asks_go_on(tmp_path):
    with untouched():
        collect_dataset(tmp_path / "data", "InvertedPendulum-v5", 300, 4096, 5)


def starts_of(monkeypatch, directory, seed):
    """The seeds with which a dataset's episodes and its policy's environments begin."""
    seeds = set()
    made = environments.make
    monkeypatch.setattr(make_dataset.environments, "make", lambda env_id: Noting(made(env_id), seeds))
    collect_dataset(directory, "InvertedPendulum-v5", 300, 4096, seed)
    monkeypatch.undo()
    return seeds


class Noting(gymnasium.Wrapper):
    def __init__(self, env, seeds):
        super().__init__(env)
        self.seeds = seeds

    def reset(self, *, seed=None, options=None):
        self.seeds |= {seed} - {None}
        return super().reset(seed=seed, options=options)


def test_no_two_datasets_begin_an_episode_alike_nor_like_a_run(monkeypatch, tmp_path):
    every = [starts_of(monkeypatch, tmp_path / str(seed), seed) for seed in (0, 1, 2, MAX_SEED)]
    assert all(len(seeds) > 8 for seeds in every)
    assert len(set.union(*every)) == sum(map(len, every))
    assert all(min(seeds) >= 2**32 for seeds in every[1:])
    assert max(every[0]) < 1000  # seed 0 is as it always was: results were measured on it


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 2**64])
def test_a_seed_out_of_range_is_refused_at_once(tmp_path, seed):
    with pytest.raises(InputError, match="seed must be from 0 to 999,999"):
        collect_dataset(tmp_path / "data", "Hopper-v5", 300, 10**9, seed)


class Own(PendulumEnv):
    """A task that says it shows whole numbers, and that gives away its own array."""

    def __init__(self, **options):
        super().__init__(**options)
        self.observation_space = gymnasium.spaces.Box(-8, 8, (3,), np.int64)
        self.shown = np.zeros(3)

    def _get_obs(self):
        self.shown[:] = super()._get_obs()
        return self.shown


@pytest.mark.filterwarnings("ignore::UserWarning:gymnasium")  # of the observations that are not in the space
def test_a_task_of_ones_own_is_stored_as_it_was_at_each_moment(tmp_path):
    def make(**options):
        return gymnasium.wrappers.TransformReward(Own(**options), lambda reward: reward / 10)

    gymnasium.register("Own-v0", make, max_episode_steps=50)
    try:
        collect_dataset(tmp_path / "data", "Own-v0", 300, 0, 1)
        data = load_dataset(tmp_path / "data", "Own-v0")
        env = environments.make("Own-v0")
        real = environments.replay_actions(env, data.simulator_states[0], data.actions[:50])
    finally:
        del gymnasium.registry["Own-v0"]
    np.testing.assert_allclose(real["observations"], data.observations[:50], atol=1e-4)
    np.testing.assert_allclose(real["rewards"], data.rewards[:50], atol=1e-4)
    assert np.abs(np.diff(data.observations[:50], axis=0)).min(axis=0).max() > 0
