import pytest
import torch

from polygrad_edu.guidance_theory import ExactDenoiser, LinearGaussianWorld
from polygrad_edu.noise_schedule import CLEAN, NoiseSchedule
from polygrad_edu.variants.forcing_theory import VIEWS, ForcedDenoiser, forced_moments, forced_sampler, kept

SCHEDULE = NoiseSchedule.cosine(128, 1.0)
WINDY = LinearGaussianWorld(process_std=0.1, hidden_std=0.3, gain=0.0)


def constant(view, visits, delay, world=WINDY):
    return kept(world, forced_moments(world, view, SCHEDULE, visits, delay)).constant


def test_the_worlds_own_moments_keep_all_of_the_constant():
    assert kept(WINDY, WINDY.moments()) == pytest.approx((1, 1))


def test_the_hidden_constant_is_that_of_the_recursion():
    generator = torch.Generator().manual_seed(0)
    world = LinearGaussianWorld(process_std=0.1, hidden_std=0.3)
    n = 200_000
    state = torch.full((n,), world.first_state)
    hidden = world.hidden_std * torch.randn(n, generator=generator)
    states, actions = [], []
    for _ in range(world.horizon):
        action = world.gain * state + world.policy_std * torch.randn(n, generator=generator)
        states.append(state)
        actions.append(action)
        noise = world.process_std * torch.randn(n, generator=generator)
        state = world.transition * state + world.control * action + hidden + noise
    drawn = torch.stack([*states, *actions])  # [2H, n]
    torch.testing.assert_close(drawn.cov().double(), world.moments().covariance, rtol=0, atol=0.02)


def test_at_one_level_the_whole_view_is_the_denoiser_of_the_guidance_theory():
    step = torch.tensor([[CLEAN] + [40] * 5])
    generator = torch.Generator().manual_seed(0)
    trajectory, actions = torch.randn(7, 6, 3, generator=generator), torch.randn(7, 6, 1, generator=generator)
    trajectory[:, 0, 0] = WINDY.first_state
    ours = ForcedDenoiser(WINDY, SCHEDULE, "whole")(trajectory, actions, step, trajectory)
    signal = SCHEDULE.alphas_cumprod[40].sqrt()
    theirs = ExactDenoiser(WINDY, SCHEDULE)(trajectory, signal * actions, torch.tensor([40]))
    torch.testing.assert_close(ours[:, 1:], theirs[:, 1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_uses_only_what_it_sees(view):
    denoiser = ForcedDenoiser(WINDY, SCHEDULE, view)
    step = torch.tensor([[CLEAN, 20, 30, 40, 50, 60]])
    trajectory = torch.randn(1, 6, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    output = denoiser(trajectory, torch.zeros(1, 6, 1), step, trajectory)
    (gradient,) = torch.autograd.grad(output[0, 3, 0], trajectory)
    seen = {point for point in range(6) if gradient[0, point, 0].abs() > 1e-9}
    assert seen == {"whole": {1, 2, 3, 4, 5}, "past": {1, 2, 3}, "step": {2, 3}}[view]  # 0 is known beforehand


@pytest.mark.parametrize(("view", "delay"), [("whole", 0), ("past", 2), ("step", 8)])
def test_sampling_has_the_moments_computed_for_it(view, delay):
    world = LinearGaussianWorld(process_std=0.1, hidden_std=0.3)
    generator = torch.Generator().manual_seed(0)
    first = torch.full((20_000, 1), world.first_state)
    drawn = forced_sampler(world, view, SCHEDULE, 8, delay).sample(first, world.policy, world.horizon, generator)
    sampled = torch.cat([drawn.observations[..., 0], drawn.actions[..., 0]], dim=1).double()
    moments = forced_moments(world, view, SCHEDULE, 8, delay)
    torch.testing.assert_close(sampled.mean(dim=0), moments.mean, rtol=0, atol=0.03)
    torch.testing.assert_close(sampled.T.cov(), moments.covariance, rtol=0, atol=0.03)


def test_the_whole_view_keeps_the_constant_with_enough_visits_and_a_causal_one_asked_at_once_never_does():
    whole = [constant("whole", visits, 0) for visits in (8, 16, 64)]
    assert whole == sorted(whole)
    assert whole[-1] > 0.93
    assert constant("past", 64, 0) < 0.3
    assert constant("step", 64, 0) < 0.15


@pytest.mark.parametrize("view", ["past", "step"])
def test_a_delay_gives_the_constant_back(view):
    by_delay = [constant(view, 16, delay) for delay in (0, 1, 2, 4, 16)]
    assert by_delay == sorted(by_delay)
    assert by_delay[-1] > 2.5 * by_delay[0]


def test_one_after_the_other_the_future_says_nothing_so_whole_and_past_agree():
    world = LinearGaussianWorld(process_std=0.1, hidden_std=0.3)
    whole, past = (forced_moments(world, view, SCHEDULE, 8, 8).covariance for view in ("whole", "past"))
    torch.testing.assert_close(whole, past, rtol=0, atol=1e-3)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("delay", [0, 2, 16])
def test_where_nothing_is_hidden_every_view_is_right_at_every_delay(view, delay):
    world = LinearGaussianWorld(process_std=0.1)
    moments = forced_moments(world, view, SCHEDULE, 16, delay)
    assert 0.94 < kept(world, moments).spread < 1.01
    torch.testing.assert_close(moments.mean, world.moments().mean, rtol=0, atol=1e-3)


def test_a_policy_that_answers_deludes_the_whole_view_and_a_delay_cures_it():
    world = LinearGaussianWorld(process_std=0.1, hidden_std=0.3)  # its policy answers the state
    assert constant("whole", 16, 0, world) > 1.15
    assert constant("whole", 64, 0, world) > 1.3
    assert constant("whole", 16, 16, world) < 1


def test_unknown_views_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="choose one of whole, past, step"):
        ForcedDenoiser(WINDY, SCHEDULE, "future")
