import functools

import pytest
import torch
from torch.distributions import Independent, Normal

from polygrad_edu.baselines import make_world_model, window_of
from polygrad_edu.replay import Normaliser, SequenceReplay
from polygrad_edu.settings import WORLD_MODELS
from polygrad_edu.world_model import PolyGRAD
from tests.support.tiny_runs import tiny

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


def rail(window, n=1500):
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
    replay = rail(window_of(preset))
    torch.manual_seed(0)
    model = make_world_model(preset, replay.normaliser, torch.Generator().manual_seed(0))
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
def test_a_baseline_predicts_endings(name):
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
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not one.observations.requires_grad


@pytest.mark.parametrize("name", WORLD_MODELS)
@pytest.mark.parametrize("horizon", [2, 7])
def test_the_window_is_known_before_there_is_a_model(name, horizon):
    preset = tiny(world_model=name, horizon=horizon)
    model = make_world_model(preset, Normaliser(2, 1), torch.Generator())
    assert window_of(preset) == model.window
    assert isinstance(model, PolyGRAD) == (name == "polygrad")


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_has_no_guidance_to_adapt_and_nothing_else_to_keep(name):
    model = make_world_model(tiny(world_model=name), Normaliser(2, 1), torch.Generator())
    assert model.adapt_guidance(torch.tensor(2.0)) == {}
    assert model.extra_state() == {}
    model.load_extra_state({})


@pytest.mark.parametrize("name", BASELINES)
def test_a_critics_advantage_draws_no_baseline(name):
    model, _ = trained(name)
    first = torch.zeros(3, 2)

    def advantage(observations, rewards, terminals):
        raise AssertionError("nobody asks for it")

    plain = model.imagine(first, policy, 4, torch.Generator().manual_seed(5))
    drawn = model.with_advantage(advantage).imagine(first, policy, 4, torch.Generator().manual_seed(5))
    assert all(torch.equal(a, b) for a, b in zip(plain, drawn, strict=True))
