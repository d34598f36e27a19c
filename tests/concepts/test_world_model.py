from dataclasses import replace

import pytest
import torch
from torch.distributions import Independent, Normal

from polygrad_edu.course import shipped
from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.polygrad import PolyGRAD
from polygrad_edu.replay import Normaliser, SequenceReplay
from polygrad_edu.world_model_error import Starts, measure_errors
from tests.concepts.test_imagination_loop import tiny


def policy(observations):
    mean = observations[..., :1].tanh()
    return Independent(Normal(mean, torch.full_like(mean, 0.5)), 1)


def polygrad(seed=0, **overrides):
    torch.manual_seed(seed)
    model = PolyGRAD(tiny(horizon=5, **overrides), Normaliser(3, 1), torch.Generator().manual_seed(seed))
    model.averaged_network.requires_grad_(False)
    return model


def noisy_circle(window, n=300):
    """A replay of points that turn with the action: something small to learn."""
    replay, state = SequenceReplay(n, window, Normaliser(3, 1)), torch.tensor([1.0, 0.0, 0.0])
    for i in range(n):
        action = torch.rand(1) * 2 - 1
        replay.add(state.numpy(), action.numpy(), state[0].item(), i % 60 == 59, False)
        turned = torch.atan2(state[1], state[0]) + 0.2 * action[0]
        state = torch.stack([turned.cos(), turned.sin(), action[0]])
    replay.refresh_normaliser()
    return replay


@pytest.mark.parametrize("denoiser", ["mlp", "transformer", "causal-mlp"])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_every_denoiser_and_schedule_learns(denoiser, schedule):
    preset = tiny(horizon=5, denoiser=denoiser, schedule=schedule, width=64, depth=2, batch_size=64)
    replay = noisy_circle(5)
    model = PolyGRAD(preset, replay.normaliser, torch.Generator().manual_seed(0))
    losses = [model.fit(replay).item() for _ in range(150)]
    assert sum(losses[-20:]) < 0.7 * sum(losses[:20])


def test_a_longer_horizon_is_imagined_in_blocks_that_share_a_time_point():
    model, first = polygrad(), torch.randn(4, 3)
    long = model.imagine(first, policy, 12)
    assert long.observations.shape == (4, 12, 3)
    assert long.actions.shape == (4, 12, 1)
    # by hand: the second block starts where the first ends, and its action there replaces the first's
    model.generator.manual_seed(0)
    blocks, start = [], first
    for _ in range(3):
        blocks.append(model.imagine(start, policy, 5))
        start = blocks[-1].observations[:, -1]
    by_hand = torch.cat([blocks[0].actions[:, :4], blocks[1].actions[:, :4], blocks[2].actions[:, :4]], dim=1)
    model.generator.manual_seed(0)
    again = model.imagine(first, policy, 12)
    assert torch.equal(again.actions, by_hand)
    assert torch.equal(again.observations[:, 4], blocks[0].observations[:, 4])
    assert torch.equal(again.observations[:, 0], model.imagine(first, policy, 1).observations[:, 0])


def test_a_shorter_horizon_is_the_beginning_of_a_longer_one():
    first = torch.randn(4, 3)
    short, whole = polygrad().imagine(first, policy, 3), polygrad().imagine(first, policy, 5)
    assert all(torch.equal(a, b[:, :3]) for a, b in zip(short[:4], whole[:4], strict=True))


@pytest.mark.parametrize("horizon", [10, 50, 200])
def test_the_papers_horizons(horizon):
    preset = tiny(horizon=horizon, sampling_steps=4)
    model = PolyGRAD(preset, Normaliser(3, 1), torch.Generator().manual_seed(0))
    assert model.imagine(torch.randn(2, 3), policy, horizon).observations.shape == (2, horizon, 3)


def test_a_generator_of_its_own_leaves_the_models_alone():
    model = polygrad()
    before = model.generator.get_state()
    one, other = (model.imagine(torch.zeros(2, 3), policy, 5, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(one.observations, other.observations)
    assert torch.equal(model.generator.get_state(), before)


def test_advantage_guidance_draws_to_what_the_critic_prefers():
    """With a critic that likes a large first coordinate, imagined states have more of it; scale 0 changes nothing."""

    def likes_large(observations, rewards, terminals):
        return observations[:, 1:, 0] - observations[:, :-1, 0].detach()

    plain, indifferent, drawn = polygrad(), polygrad(advantage_scale=0), polygrad(advantage_scale=3)
    indifferent.advantage = drawn.advantage = likes_large
    first = torch.zeros(64, 3)
    ends = [model.imagine(first, policy, 5).observations[:, 1:, 0].mean() for model in (plain, indifferent, drawn)]
    assert ends[0] == ends[1]
    assert ends[2] > ends[0] + 0.1


def test_the_scale_is_tuned_for_the_gradient_rule_alone():
    assert polygrad(guidance="sample").tune(torch.tensor(2.0)) == {}
    model = polygrad(guidance="gradient")
    before = model.guidance_tuner.scale
    assert model.tune(torch.tensor(2.0))["guidance_scale"] > before
    assert torch.equal(model.tuned()["guidance_log_scale"].exp(), model.guidance_tuner.scale)


def test_large_batches_are_imagined_in_parts_that_stay_in_the_cache(monkeypatch):
    monkeypatch.setattr("polygrad_edu.polygrad.CACHE_SIZED", 4)
    loop = ImaginationLoop(tiny(), seed=0)
    for _ in range(45):
        loop.act()
    first = loop.draw_states(10)
    imagined = loop.imagine_from(first)
    assert imagined.observations.shape == (10, loop.preset.horizon, 4)
    torch.testing.assert_close(imagined.observations[:, 0], first, atol=1e-5, rtol=1e-5)


def test_inertia_and_no_noise_make_sixteen_steps_worth_more():
    """On a hopper that learned to hop, the shipped one: error against the simulator nine steps ahead."""
    loop, _, observations, states = shipped("hopper-cpu")
    env = loop.make_env()
    starts = [Starts(loop.best_policy, observations.numpy(), states.numpy())]
    errors = {}
    for name, settings in {"ancestral": {}, "damped": {"eta": 0.0, "inertia": 0.86}}.items():
        loop.world_model.preset = replace(loop.preset, **settings)
        errors[name] = measure_errors(loop.world_model, env, starts, 9)
    assert errors["damped"].at(9).value < 0.8 * errors["ancestral"].at(9).value
    assert errors["damped"].at(5).value < 0.8 * errors["ancestral"].at(5).value
    assert abs(errors["damped"].on_policyness.std - 1) < 0.03
