import pytest
import torch
from torch.distributions import Independent, Normal

from polygrad_edu.baselines import make_world_model, window_of
from polygrad_edu.imagined_trajectories import ImaginedTrajectories
from polygrad_edu.replay import Normaliser
from polygrad_edu.variants.forced_polygrad import ForcedPolyGRAD
from polygrad_edu.variants.staggered_sampler import StaggeredSampler
from polygrad_edu.world_model import PolyGRAD
from tests.support.tiny_runs import tiny

HORIZON = 5


def policy(observations):
    mean = observations[..., :1].tanh()
    return Independent(Normal(mean, torch.full_like(mean, 0.5)), 1)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def forced(**overrides):
    preset = tiny(horizon=HORIZON, denoiser="step-mlp", prediction="change", **overrides)
    torch.manual_seed(0)
    return make_world_model(preset, Normaliser(3, 1), seeded(0))


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_denoiser_step_mlp_makes_it_and_learns_from_as_little_as_it_looks_at():
    model = forced(delay=1)
    assert type(model) is ForcedPolyGRAD
    assert model.window == window_of(model.preset) == model.network.lookback + 1 == 2
    assert type(make_world_model(tiny(), Normaliser(3, 1), seeded(0))) is PolyGRAD


def test_the_papers_world_model_refuses_a_denoiser_of_single_steps():
    with pytest.raises(ValueError, match="the denoiser step-mlp sees single steps"):
        PolyGRAD(forced().preset, Normaliser(3, 1), seeded(0))


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_one_more_time_point_is_imagined_for_the_last_reward(delay):
    model, first = forced(delay=delay), torch.randn(4, 3)
    imagined = model.imagine(first, policy, HORIZON, seeded(1))
    diffusion = model.averaged_network
    walk = diffusion.schedule.walk(model.preset.sampler.sampling_steps, model.preset.sampler.eta)
    guidance = model.sampler.guidance
    by_hand = StaggeredSampler(diffusion, walk, guidance, model.normaliser, HORIZON + 1, delay)
    whole = by_hand.sample(first, policy, HORIZON + 1, seeded(1))
    assert whole.observations.shape == (4, HORIZON + 1, 3)
    assert equal(imagined, whole.up_to(HORIZON))


def test_a_longer_horizon_goes_on_from_the_last_time_point():
    model, first, noise = forced(delay=2), torch.randn(4, 3), seeded(1)
    long = model.imagine(first, policy, 2 * HORIZON, seeded(1))
    blocks = [model.sampler.sample(first, policy, HORIZON + 1, noise)]
    blocks.append(model.sampler.go_on(blocks[-1], policy, noise))
    assert equal(long, ImaginedTrajectories.chain(blocks).up_to(2 * HORIZON))


def test_other_settings_to_imagine_by_change_the_delay():
    model, first = forced(delay=2), torch.randn(4, 3)
    before = model.imagine(first, policy, HORIZON, seeded(1))
    delayed = model.preset
    model.reconfigure(delayed.with_overrides(delay=0))
    assert not equal(model.imagine(first, policy, HORIZON, seeded(1)), before)
    model.reconfigure(delayed)
    assert equal(model.imagine(first, policy, HORIZON, seeded(1)), before)
