import functools
import math

import pytest
import torch
from torch.distributions import Independent, Normal

from polygrad_edu.baselines import make_world_model
from polygrad_edu.baselines.mlp_ensemble import N_NETWORKS, MLPEnsemble, bootstrap_counts
from polygrad_edu.baselines.recurrent import kl, symexp, symlog
from polygrad_edu.baselines.stepwise import alive_and_ending, imagine_stepwise
from polygrad_edu.baselines.transformer import CONTEXT, NextStepTransformer
from polygrad_edu.replay import Normaliser, SequenceReplay
from polygrad_edu.settings import WORLD_MODELS
from tests.concepts.test_imagination_loop import tiny

BASELINES = WORLD_MODELS[1:]
FAST = {"width": 64, "depth": 2, "batch_size": 64, "learning_rate": 2e-3, "ema_decay": 0.98}
# Enough to learn the rail below in seconds: updates, and settings that differ.
TRAINING = {
    "autoregressive-diffusion": (800, {"prediction": "x0", "width": 128, "sampling_steps": 32}),
    "mlp-ensemble": (2000, {}),
    "transformer": (200, {}),
    "recurrent": (400, {"learning_rate": 5e-3, "batch_size": 32}),
}


def policy(observations):
    mean = -0.5 * observations[..., :1]
    return Independent(Normal(mean, torch.full_like(mean, 0.3)), 1)


def rail(window, n=1500, generator=None):
    """A replay of a cart on a rail: x' = 0.9 x + 0.5 a, reward -x, and the end of the rail at |x| > 2."""
    generator = torch.Generator().manual_seed(0)
    replay, x, step = SequenceReplay(n, window, Normaliser(2, 1)), torch.zeros(1), 0
    for _ in range(n):
        action = 4 * torch.rand(1, generator=generator) - 2
        following = 0.9 * x + 0.5 * action
        terminal, truncated = bool(following.abs() > 2), step == 30
        replay.add(torch.cat([x, 2 * x]).numpy(), action.numpy(), -x.item(), terminal, truncated)
        x, step = (torch.randn(1, generator=generator), 0) if terminal or truncated else (following, step + 1)
    replay.refresh_normaliser()
    return replay


@functools.cache
def trained(name):
    updates, overrides = TRAINING[name]
    preset = tiny(world_model=name, **(FAST | overrides))
    torch.manual_seed(0)
    model = make_world_model(preset, Normaliser(2, 1), torch.Generator().manual_seed(0))
    replay = rail(model.window)
    model.normaliser = replay.normaliser
    return model, [model.fit(replay).item() for _ in range(updates)]


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_learns_a_small_world_and_imagines_on_policy(name):
    model, losses = trained(name)
    assert sum(losses[-20:]) < sum(losses[:20])
    first = torch.linspace(-1, 1, 64)[:, None] * torch.tensor([1.0, 2.0])
    imagined = model.imagine(first, policy, 6)
    x, a = imagined.observations[..., 0], imagined.actions[..., 0]
    assert torch.equal(imagined.observations[:, 0], first)
    # one step ahead, against the law; the state's standard deviation is about 1
    assert (x[:, 1] - (0.9 * x[:, 0] + 0.5 * a[:, 0])).square().mean().sqrt() < 0.2
    assert (imagined.rewards[:, 0] + x[:, 0]).square().mean().sqrt() < 0.2
    noise = (a - -0.5 * x) / 0.3
    assert abs(noise.mean()) < 0.2
    assert abs(noise.std() - 1) < 0.2


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_sees_endings(name):
    model, _ = trained(name)

    def pushes(observations):
        mean = torch.full_like(observations[..., :1], 2.0)
        return Independent(Normal(mean, torch.full_like(mean, 0.01)), 1)

    def stays(observations):
        mean = -1.8 * observations[..., :1]
        return Independent(Normal(mean, torch.full_like(mean, 0.01)), 1)

    edge = torch.tensor([[1.5, 3.0]]).expand(64, -1)  # 0.9 * 1.5 + 0.5 * 2 = 2.35: over the edge
    assert model.imagine(edge, pushes, 3).terminals[:, 0].mean() > 0.8
    assert model.imagine(0 * edge, stays, 3).terminals[:, 0].mean() < 0.2


@pytest.mark.parametrize("name", BASELINES)
def test_the_same_generator_imagines_the_same(name):
    model, _ = trained(name)
    one, other = (model.imagine(torch.zeros(3, 2), policy, 4, torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one[:4], other[:4], strict=True))
    assert not one.observations.requires_grad


def test_nothing_moves_after_a_terminal_step():
    calls = []

    def predict(observation, action):
        calls.append(observation)
        return observation + 1, torch.ones(2), torch.tensor([0.0, float(len(calls) == 2)])

    imagined = imagine_stepwise(predict, torch.zeros(2, 1), policy, 4, Normaliser(1, 1), torch.Generator())
    torch.testing.assert_close(
        imagined.observations[..., 0], torch.tensor([[0.0, 1, 2, 3], [0, 1, 1, 1]]), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(imagined.rewards, torch.tensor([[1.0, 1, 1, 1], [1, 1, 0, 0]]), atol=1e-4, rtol=0)
    assert imagined.terminals.tolist() == [[0, 0, 0, 0], [0, 1, 1, 1]]


def test_windows_know_which_steps_happen():
    replay = SequenceReplay(10, 4, Normaliser(1, 1))
    for i in range(6):
        replay.add([i], [0], 0.0, i == 3, i == 5)
    replay.refresh_normaliser()
    alive, ending = alive_and_ending(replay.windows(torch.tensor([0, 2])), replay.normaliser)
    assert alive.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert ending[0].tolist() == [0, 0, 0, 1]
    assert ending[1, :2].tolist() == [0, 1]


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


def test_the_transformer_predicts_each_step_from_its_past():
    network = NextStepTransformer(2, 1, width=16, depth=1)
    observations, actions = torch.randn(3, CONTEXT, 2), torch.randn(3, CONTEXT, 1)
    following, _, _ = network(observations, actions)
    actions[:, 9] += 1
    changed = (network(observations, actions)[0] - following).abs().amax(dim=(0, 2))
    assert (changed[:9] == 0).all()
    assert changed[9] > 0


def test_symlog_and_kl_by_their_definitions():
    x = torch.linspace(-50, 50, 101)
    torch.testing.assert_close(symexp(symlog(x)), x, atol=1e-4, rtol=1e-4)
    p, q = torch.randn(4, 3, 5).log_softmax(-1), torch.randn(4, 3, 5).log_softmax(-1)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=p), torch.distributions.Categorical(logits=q)
    ).sum(-1)
    torch.testing.assert_close(kl(p, q), expected)
