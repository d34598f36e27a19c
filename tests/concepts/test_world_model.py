import dataclasses

import pytest
import torch
from torch.distributions import Independent, Normal

from polygrad_edu.baselines import make_world_model
from polygrad_edu.course import shipped
from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.presets import get_preset
from polygrad_edu.replay import Normaliser, SequenceReplay
from polygrad_edu.settings import DENOISERS
from polygrad_edu.world_model import PolyGRAD
from polygrad_edu.world_model_error import Starts, measure_errors
from tests.support.tiny_runs import tiny


def policy(observations):
    mean = observations[..., :1].tanh()
    return Independent(Normal(mean, torch.full_like(mean, 0.5)), 1)


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


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


@pytest.mark.parametrize("denoiser", DENOISERS)
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_every_denoiser_and_schedule_learns(denoiser, schedule):
    preset = tiny(horizon=5, denoiser=denoiser, schedule=schedule, width=64, depth=2, batch_size=64)
    replay = noisy_circle(5)
    model = make_world_model(preset, replay.normaliser, torch.Generator().manual_seed(0))
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
    assert equal(short, whole.up_to(3))


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

    first = torch.zeros(64, 3)
    plain = polygrad().imagine(first, policy, 5)
    indifferent = polygrad(advantage_scale=0).with_advantage(likes_large).imagine(first, policy, 5)
    drawn = polygrad(advantage_scale=3).with_advantage(likes_large).imagine(first, policy, 5)
    assert equal(plain, indifferent)
    ends = [imagined.observations[:, 1:, 0].mean() for imagined in (plain, drawn)]
    assert ends[1] > ends[0] + 0.1


def test_the_scale_is_tuned_for_the_gradient_rule_alone():
    other = polygrad(guidance="sample")
    before = other.guidance_tuner.scale.clone()
    assert other.adapt_guidance(torch.tensor(2.0)) == {}
    assert other.guidance_tuner.scale == before
    model = polygrad(guidance="gradient")
    before = model.guidance_tuner.scale.clone()
    assert model.adapt_guidance(torch.tensor(2.0))["guidance_scale"] > before
    assert torch.equal(model.extra_state()["guidance_log_scale"].exp(), model.guidance_tuner.scale)


def imagine_anew(model):
    """Actions that the model imagines, from the same noise each time."""
    return model.imagine(torch.ones(4, 3), policy, 5, torch.Generator().manual_seed(3)).actions


def test_the_sampler_follows_the_tuner():
    model = polygrad(guidance="gradient")
    before = imagine_anew(model)
    model.adapt_guidance(torch.tensor(2.0))
    after = imagine_anew(model)
    assert not torch.equal(after, before)
    assert torch.equal(
        after, imagine_anew(polygrad(guidance="gradient", guidance_scale=model.guidance_tuner.scale.item()))
    )


def test_a_tuned_scale_is_kept_and_taken_up_again():
    tuned, fresh = polygrad(guidance="gradient"), polygrad(guidance="gradient")
    for _ in range(3):
        tuned.adapt_guidance(torch.tensor(2.0))
    kept = {name: tensor.clone() for name, tensor in tuned.extra_state().items()}
    assert not torch.equal(imagine_anew(fresh), imagine_anew(tuned))
    fresh.load_extra_state(kept)
    assert torch.equal(imagine_anew(fresh), imagine_anew(tuned))
    for model in (tuned, fresh):  # and it can be tuned on
        model.adapt_guidance(torch.tensor(0.5))
    assert torch.equal(imagine_anew(fresh), imagine_anew(tuned))


def test_other_settings_to_imagine_by_change_the_walk_and_keep_what_was_learned():
    model = polygrad(guidance="gradient")
    preset = model.preset
    before = imagine_anew(model)
    assert len(model.sampler.walk) == preset.sampler.sampling_steps
    model.adapt_guidance(torch.tensor(2.0))
    tuned = imagine_anew(model)
    model.reconfigure(preset.with_overrides(sampling_steps=5, eta=0.5, guidance="fixed-noise"))
    assert (len(model.sampler.walk), model.sampler.walk.eta) == (5, 0.5)
    assert model.sampler.guidance.rule == model.preset.guidance.rule == "fixed-noise"
    assert not torch.equal(imagine_anew(model), tuned)
    model.reconfigure(preset)
    assert torch.equal(imagine_anew(model), tuned)  # the tuned scale is still there
    assert not torch.equal(tuned, before)
    assert model.sampler.guidance.scale is model.guidance_tuner.scale


def test_guidance_settings_reach_the_sampler():
    preset = get_preset("inverted-pendulum-states-too").with_overrides(clip_std="0", advantage_scale="0.5")
    model = PolyGRAD(preset, Normaliser(3, 1), torch.Generator())
    guidance = model.sampler.guidance
    assert guidance.scale == pytest.approx(preset.guidance.scale)
    assert dataclasses.replace(guidance, scale=preset.guidance.scale) == preset.guidance
    assert (guidance.rule, guidance.clip_std, guidance.update_states) == ("gradient", 0, True)
    assert guidance.advantage_scale == 0.5
    assert model.sampler.diffusion is model.averaged_network
    assert model.sampler.normaliser is model.normaliser


def test_large_batches_are_imagined_in_parts_that_stay_in_the_cache(monkeypatch):
    monkeypatch.setattr("polygrad_edu.acceleration.CACHE_SIZED", 4)
    loop = ImaginationLoop(tiny(), seed=0)
    for _ in range(45):
        loop.act()
    first = loop.draw_states(10)
    imagined = loop.imagine_from(first)
    assert imagined.observations.shape == (10, loop.preset.world_model.horizon, 4)
    torch.testing.assert_close(imagined.observations[:, 0], first, atol=1e-5, rtol=1e-5)


def test_sixteen_visits_err_less_without_noise_and_with_inertia():
    """On a hopper that learned to hop, the shipped one: error against the simulator nine steps ahead."""
    loop, _, observations, states = shipped("hopper-cpu")
    env = loop.make_env()
    starts = [Starts(loop.best_policy, observations.numpy(), states.numpy())]
    errors = {}
    for name, settings in {"ancestral": {}, "damped": {"eta": 0.0, "inertia": 0.86}}.items():
        loop.world_model.reconfigure(loop.preset.with_overrides(settings))
        errors[name] = measure_errors(loop.world_model, env, starts, 9)
    assert errors["damped"].at(9).value < 0.8 * errors["ancestral"].at(9).value
    assert errors["damped"].at(5).value < 0.8 * errors["ancestral"].at(5).value
    assert abs(errors["damped"].on_policyness.std - 1) < 0.03
