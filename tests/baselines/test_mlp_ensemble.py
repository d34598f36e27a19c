import math

import pytest
import torch

from polygrad_edu.baselines.mlp_ensemble import N_NETWORKS, MLPEnsemble, bootstrap_counts
from polygrad_edu.replay import Normaliser
from tests.baselines.test_baselines import FAST, policy
from tests.support.tiny_runs import tiny


def test_bootstrap_samples_are_poisson_and_differ_between_networks():
    rows = torch.arange(20_000)
    counts, held_out = bootstrap_counts(rows)
    assert counts.shape == (N_NETWORKS, 20_000)
    assert torch.equal(counts, bootstrap_counts(rows)[0])
    assert torch.equal(counts[:, 5:6], bootstrap_counts(torch.tensor([5]))[0])
    assert held_out.double().mean().item() == pytest.approx(0.1, abs=0.01)
    assert (counts[:, held_out] == 0).all()
    for network in counts[:, ~held_out]:
        for k in range(4):
            share = (network == k).double().mean().item()
            assert share == pytest.approx(math.exp(-1) / math.factorial(k), abs=0.015)
    correlation = torch.corrcoef(counts[:, ~held_out].double())
    assert (correlation - torch.eye(N_NETWORKS)).abs().max() < 0.04


def test_only_the_elites_imagine():
    model = MLPEnsemble(tiny(world_model="mlp-ensemble", **FAST), Normaliser(2, 1), torch.Generator().manual_seed(0))
    last = model.averaged_network.layers[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias[:, 0, 0] = torch.arange(N_NETWORKS)  # each network moves the first coordinate by its number
        last.bias[:, 0, 3:6] = -50  # and is sure of it
    model.network.held_out_error.copy_(torch.tensor([9.0, 1, 8, 1, 1, 1, 1]))
    moved = model.imagine(torch.zeros(400, 2), policy, 2).observations[:, 1, 0].round().unique()
    assert moved.tolist() == [1, 3, 4, 5, 6]
