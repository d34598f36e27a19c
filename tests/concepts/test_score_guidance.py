import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal

from polygrad_edu.score_guidance import (
    GuidanceScaleTuner,
    clip_to_policy,
    guide_actions,
    policy_score,
    standardise_actions,
)
from polygrad_edu.settings import GuidanceSettings

UNIT = torch.ones(2)
seeds = st.integers(0, 2**31)


def gaussian(mean, std):
    return Independent(Normal(mean, std), 1)


@given(seeds)
def test_autograd_and_closed_form_scores_agree(seed):
    torch.manual_seed(seed)
    distribution = gaussian(torch.randn(4, 3, 2), torch.rand(4, 3, 2) + 0.1)
    actions = torch.randn(4, 3, 2)
    by_autograd = policy_score(distribution, actions, "autograd")
    torch.testing.assert_close(policy_score(distribution, actions), by_autograd, rtol=1e-4, atol=1e-4)
    assert not by_autograd.requires_grad


def test_autograd_score_serves_any_distribution():
    laplace = Independent(torch.distributions.Laplace(torch.zeros(1, 2), torch.full((1, 2), 0.5)), 1)
    actions = torch.tensor([[0.3, -0.2]])
    torch.testing.assert_close(policy_score(laplace, actions, "autograd"), -actions.sign() / 0.5)


@pytest.mark.parametrize("precondition", [False, True])
@given(seeds, st.integers(1, 9), st.floats(0.0, 0.04))
def test_one_visit_for_k_steps_moves_actions_as_k_steps_do(precondition, seed, k, scale):
    """Same predicted states, no noise: closed form in one go, closed form step by step, and autograd agree."""
    torch.manual_seed(seed)
    distribution = gaussian(torch.randn(4, 3, 2), 0.3 * torch.ones(4, 3, 2) + torch.rand(2))
    actions = torch.randn(4, 3, 2)
    settings = dict(scale=scale, precondition=precondition, clip_std=0.0)
    silence = torch.zeros(4, 3, 2)
    at_once = guide_actions(actions, distribution, GuidanceSettings(**settings), silence, [0.1] * k, UNIT)
    stepwise = actions
    for _ in range(k):
        stepwise = guide_actions(stepwise, distribution, GuidanceSettings(**settings), silence, [0.1], UNIT)
    autograd = GuidanceSettings(score="autograd", **settings)
    by_autograd = guide_actions(actions, distribution, autograd, silence.expand(k, 4, 3, 2), [0.1] * k, UNIT)
    torch.testing.assert_close(at_once, stepwise, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(at_once, by_autograd, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precondition", [False, True])
def test_one_visit_for_k_steps_adds_the_noise_of_k_steps(precondition):
    batch, stds = 100_000, [0.3, 0.2, 0.1]
    distribution = gaussian(torch.full((batch, 1, 2), 0.5), torch.tensor([0.4, 0.9]).expand(batch, 1, 2))
    settings = dict(scale=0.1, precondition=precondition, clip_std=0.0)
    actions, unit = torch.zeros(batch, 1, 2), torch.tensor([2.0, 0.5])
    at_once = guide_actions(actions, distribution, GuidanceSettings(**settings), torch.randn(batch, 1, 2), stds, unit)
    noise = torch.randn(3, batch, 1, 2)
    stepwise = guide_actions(actions, distribution, GuidanceSettings(score="autograd", **settings), noise, stds, unit)
    torch.testing.assert_close(at_once.mean((0, 1)), stepwise.mean((0, 1)), atol=0.01, rtol=0)
    torch.testing.assert_close(at_once.std((0, 1)), stepwise.std((0, 1)), atol=0, rtol=0.01)


@given(seeds, st.floats(0.0, 0.999), st.integers(1, 20))
def test_ornstein_uhlenbeck_keeps_the_policys_mean_and_variance(seed, rho, k):
    """The update is linear, a' = mu + r (a - mu) + q noise, so two probes give r and q, and r^2 + q^2 / sigma^2 = 1."""
    torch.manual_seed(seed)
    mean, std = torch.randn(1, 1, 2), torch.rand(1, 1, 2) + 0.1
    guidance = GuidanceSettings("ornstein-uhlenbeck", persistence=rho, clip_std=0.0)

    def step(actions, noise):
        return guide_actions(actions, gaussian(mean, std), guidance, noise, [0.1] * k, UNIT)

    zero, one = torch.zeros_like(mean), torch.ones_like(mean)
    torch.testing.assert_close(step(mean, zero), mean)
    memory = (step(mean + one, zero) - mean).double()
    injected = (step(mean, one) - mean).double()
    torch.testing.assert_close(memory, torch.full_like(memory, rho**k), atol=1e-5, rtol=1e-4)
    stationary = memory**2 * std.double() ** 2 + injected**2
    torch.testing.assert_close(stationary, std.double() ** 2, atol=1e-5, rtol=1e-4)


def test_fixed_noise_and_sample_are_the_policys_own_actions():
    mean, std, noise = torch.randn(3, 2, 2), torch.full((3, 2, 2), 0.3), torch.randn(3, 2, 2)
    for rule in ("fixed-noise", "sample"):
        actions = guide_actions(torch.randn(3, 2, 2), gaussian(mean, std), GuidanceSettings(rule), noise, [0.1], UNIT)
        torch.testing.assert_close(actions, mean + std * noise)


def test_no_guidance_leaves_actions_alone():
    actions = torch.randn(3, 2, 2)
    distribution = gaussian(torch.zeros(3, 2, 2), torch.ones(3, 2, 2))
    assert torch.equal(guide_actions(actions, distribution, GuidanceSettings("none"), actions, [0.1], UNIT), actions)


@given(seeds, st.floats(0.1, 4))
def test_clipped_actions_lie_within_reach_of_the_policy(seed, reach):
    torch.manual_seed(seed)
    distribution = gaussian(torch.randn(8, 2), torch.rand(8, 2) + 0.1)
    actions = 5 * torch.randn(8, 2)
    clipped = clip_to_policy(actions, distribution, reach)
    assert (standardise_actions(clipped, distribution).abs() <= reach * (1 + 1e-4)).all()
    inside = standardise_actions(actions, distribution).abs() < reach * (1 - 1e-4)
    assert torch.equal(clipped[inside], actions[inside])
    assert torch.equal(clip_to_policy(actions, distribution, 0.0), actions)


@pytest.mark.parametrize("precondition", [False, True])
def test_only_preconditioning_gives_unequal_sigmas_an_equal_spread(precondition):
    """One scale serves all sigmas only while its steps are small beside the smallest sigma^2; here they are not."""
    batch = 50_000
    distribution = gaussian(torch.zeros(batch, 1, 2), torch.tensor([0.2, 0.6]).expand(batch, 1, 2))
    guidance = GuidanceSettings(scale=0.03, precondition=precondition, clip_std=0.0)
    actions = torch.randn(batch, 1, 2)
    for _ in range(300):
        actions = guide_actions(actions, distribution, guidance, torch.randn(batch, 1, 2), [0.1], UNIT)
    narrow, wide = standardise_actions(actions, distribution).std((0, 1)).tolist()
    if precondition:
        assert narrow == pytest.approx(wide, rel=0.02)
    else:
        assert narrow / wide > 1.2 or wide / narrow > 1.2


def test_tuner_strengthens_what_is_too_wide_and_rests_at_one():
    tuner = GuidanceScaleTuner(0.1, 0.5)
    tuner.update(torch.tensor(1.0))
    assert tuner.scale.item() == pytest.approx(0.1)
    tuner.update(torch.tensor(1.2))
    assert tuner.scale.item() == pytest.approx(0.1 * 2.718281828**0.1, rel=1e-4)
    tuner.update(torch.tensor(0.6))
    assert tuner.scale.item() < 0.1


def test_the_tuned_scale_is_one_tensor_that_keeps_its_place():
    tuner = GuidanceScaleTuner(0.1, 0.5)
    scale = tuner.scale
    tuner.update(torch.tensor(1.2))
    tuner.set(torch.tensor(-3.0))
    assert tuner.scale is scale
    assert torch.equal(scale, tuner.log_scale.exp())
    assert tuner.log_scale == -3


def test_one_batch_gone_astray_moves_the_scale_no_more_than_one_that_is_off_by_1():
    steps = []
    for action_std in (1e6, 2.0):
        tuner = GuidanceScaleTuner(0.1, 0.5)
        tuner.update(torch.tensor(action_std))
        steps.append(tuner.scale.item())
    assert steps[0] == steps[1]


@pytest.mark.parametrize(
    ("wrong", "known"),
    [
        ({"rule": "push"}, "gradient or ornstein-uhlenbeck or fixed-noise or sample or none"),
        ({"guide_at": "middle"}, "reconstruction or posterior_mean"),
        ({"score": "numeric"}, "closed-form or autograd"),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(wrong, known):
    with pytest.raises(ValueError, match=f"must be {known}, not '{next(iter(wrong.values()))}'"):
        GuidanceSettings(**wrong)


def test_guiding_states_goes_with_the_gradient_rule_only():
    with pytest.raises(ValueError, match="update_states goes with the gradient rule"):
        GuidanceSettings(rule="sample", update_states=True)


def test_unknown_score_method_is_refused():
    with pytest.raises(ValueError, match="closed-form or autograd"):
        policy_score(gaussian(torch.zeros(1, 2), torch.ones(1, 2)), torch.zeros(1, 2), "numeric")


@given(seeds, st.integers(1, 9), st.floats(0.0, 0.99))
def test_inertia_of_a_visit_for_k_steps_is_that_of_k_steps(seed, k, inertia):
    torch.manual_seed(seed)
    distribution = gaussian(torch.randn(4, 3, 2), torch.rand(4, 3, 2) + 0.1)
    actions, noise = torch.randn(4, 3, 2), torch.randn(4, 3, 2)
    rule = GuidanceSettings(rule="fixed-noise", inertia=inertia)
    at_once = guide_actions(actions, distribution, rule, noise, [0.1] * k, UNIT)
    stepwise = actions
    for _ in range(k):
        stepwise = guide_actions(stepwise, distribution, rule, noise, [0.1], UNIT)
    torch.testing.assert_close(at_once, stepwise, rtol=1e-4, atol=1e-4)


def test_inertia_delays_actions_and_leaves_them_the_policys_own():
    distribution, noise = gaussian(torch.full((5000, 2), 0.5), torch.full((5000, 2), 0.2)), torch.randn(5000, 2)
    rule = GuidanceSettings(rule="fixed-noise", inertia=0.9)
    wanted = 0.5 + 0.2 * noise
    actions = torch.zeros(5000, 2)
    once = guide_actions(actions, distribution, rule, noise, [0.1], UNIT)
    torch.testing.assert_close(once, 0.1 * wanted)
    for _ in range(16):
        actions = guide_actions(actions, distribution, rule, noise, [0.1] * 8, UNIT)
    torch.testing.assert_close(actions, wanted)
    fresh = guide_actions(
        torch.zeros(5000, 2), distribution, GuidanceSettings(rule="sample", inertia=0.9), noise, [0.1], UNIT
    )
    torch.testing.assert_close(fresh, wanted)  # drawn anew: there is nothing to stay behind
