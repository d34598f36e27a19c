"""Noise of a page: standard normal, the same for the same seed, and enough of it to imagine with."""

import numpy as np
import torch
from scipy import stats

from polygrad_edu.settings import GuidanceSettings
from polygrad_edu.widgets.guided_imagination import ConventionalSampler, load_playground
from polygrad_edu.widgets.page_noise import chain_with_page_noise, standard_normal
from polygrad_edu.world_model_error import on_policyness


def test_the_numbers_are_standard_normal_and_unrelated():
    drawn = standard_normal(0, 0, 200_000).numpy()
    assert stats.kstest(drawn, "norm").pvalue > 0.01
    for other in (standard_normal(0, 1, 200_000), standard_normal(1, 0, 200_000)):
        assert abs(np.corrcoef(drawn, other.numpy())[0, 1]) < 0.01
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.01


def test_each_seed_and_stream_begins_with_ordinary_numbers():
    begins = np.array([standard_normal(seed, stream, 20).numpy() for seed in range(100) for stream in range(34)])
    assert np.abs(begins).max() < 5.5  # of 68,000 numbers
    assert stats.kstest(begins[:, 0], "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(begins.T) - np.eye(20)).max() < 0.07


def test_a_number_depends_on_seed_stream_and_place_alone():
    few, many = standard_normal(5, 3, 4), standard_normal(5, 3, 6, 2)
    assert torch.equal(few, many.flatten()[:4])
    assert not torch.equal(few, standard_normal(5, 4, 4))


def test_with_it_actions_become_the_policys_own():
    playground = load_playground("point-mass")
    policy, first = playground.policy_with(0.5), playground.observations[:64]
    for rule in ("fixed-noise", "sample"):
        sampler = ConventionalSampler(playground, GuidanceSettings(rule=rule), "polygrad", 16)
        states = list(chain_with_page_noise(sampler, first, policy, playground.horizon, 3))
        imagined = sampler.expected(states[-1])
        found = policy(imagined.observations)
        assert on_policyness((imagined.actions - found.mean) / found.stddev).ks_distance < 0.05
        assert len(states) == 17
        torch.testing.assert_close(imagined.observations[:, 0], first, rtol=0, atol=1e-5)
