import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Independent, Normal

from polygrad_edu.guidance_theory import (
    ExactDenoiser,
    LinearGaussianWorld,
    Moments,
    action_effect,
    chain_std,
    compare,
    guidance_shift,
    guided_moments,
    guided_sampling,
    langevin_scale,
    langevin_std,
    tuned_guidance,
    tuned_scale,
)
from polygrad_edu.noise_schedule import NoiseSchedule
from polygrad_edu.score_guidance import GuidanceScaleTuner, clip_to_policy, guide_actions
from polygrad_edu.settings import GuidanceSettings

patient = settings(deadline=None)  # the first call of some torch functions is slow
UNIT = torch.ones(1)
SCHEDULE = NoiseSchedule.cosine(128)
UNCLIPPED = dict(clip_std=0.0, change_limit=1e9)
worlds = st.builds(
    LinearGaussianWorld,
    process_std=st.floats(0.05, 1),
    policy_std=st.floats(0.1, 1),
    behaviour_gain=st.floats(-1, 1),
    transition=st.floats(-1, 1),
    control=st.floats(-1, 1),
    gain=st.floats(-1, 1),
    first_state=st.floats(-1, 1),
    horizon=st.integers(2, 6),
)


def gaussian(mean, std):
    return Independent(Normal(mean, std), 1)


def moments_of(rows):
    return Moments(rows.mean(0), (rows - rows.mean(0)) / (len(rows) - 1) ** 0.5)


def in_halves(matrix):
    return [half.chunk(2, dim=1) for half in matrix.chunk(2)]


# ---- the gradient rule as Langevin dynamics ----


@given(st.floats(1e-3, 1), st.floats(0.05, 2))
@patient
def test_the_langevin_scale_settles_at_the_policys_spread(fraction, policy_std):
    noise_std = fraction * policy_std
    scale = langevin_scale(noise_std, policy_std)
    assert langevin_std(scale, noise_std, policy_std) == pytest.approx(policy_std, rel=1e-6)
    assert noise_std**2 / 2 <= scale <= noise_std**2 * (1 + 1e-12)
    # the excess over s^2 / 2 is 1/4 to all of (s / sigma)^2, relatively
    assert scale == pytest.approx(noise_std**2 / 2, rel=fraction**2 * (1 + 1e-9))


@given(st.floats(0.01, 1.99), st.floats(0.01, 2), st.floats(0.05, 2))
@patient
def test_the_stationary_spread_is_left_as_it_is_by_one_more_step(relative_scale, noise_std, policy_std):
    settled = langevin_std(relative_scale * policy_std**2, noise_std, policy_std)
    assert math.hypot((1 - relative_scale) * settled, noise_std) == pytest.approx(settled, rel=1e-9)


def test_where_no_scale_or_no_spread_exists():
    with pytest.raises(ValueError, match="no scale fits"):
        langevin_scale(0.51, 0.5)
    assert langevin_scale(0.5, 0.5) == 0.25
    assert langevin_std(0.0, 0.1, 0.5) == langevin_std(0.5, 0.1, 0.5) == math.inf
    with pytest.raises(ValueError, match="no guidance scale"):
        tuned_scale(SCHEDULE, policy_std=50)  # wider than all noise together
    with pytest.raises(ValueError, match="no guidance scale"):
        tuned_scale(SCHEDULE, policy_std=0.01, unit=10)  # the last noise alone is wider


@pytest.mark.parametrize("visits", [128, 16, 1])
@given(st.floats(0, 0.03), st.floats(0.2, 2), st.floats(0.1, 3), st.floats(0, 2))
@settings(patient, max_examples=20)
def test_the_chain_is_the_one_that_guide_actions_walks(visits, scale, policy_std, start_std, unit):
    """Each visit is linear in action and noise, so two probes give its contraction and its noise."""
    stds = SCHEDULE.posterior_variance.sqrt().tolist()[:0:-1]
    distribution = gaussian(torch.zeros(2, 1, dtype=torch.float64), torch.full((2, 1), policy_std, dtype=torch.float64))
    probes = torch.eye(2, dtype=torch.float64)
    guidance = GuidanceSettings(scale=scale, clip_std=0.0)
    variance, jump = start_std**2, 128 // visits
    for first in range(0, len(stds), jump):
        moved = guide_actions(
            probes[:, :1], distribution, guidance, probes[:, 1:], stds[first : first + jump], unit * UNIT
        )
        variance = moved[0].item() ** 2 * variance + moved[1].item() ** 2
    assert chain_std(scale, SCHEDULE, policy_std, start_std, unit) == pytest.approx(variance**0.5, rel=1e-5)


@given(st.floats(0.05, 1), st.floats(0.1, 1), st.sampled_from([SCHEDULE, NoiseSchedule.linear(20)]))
@patient
def test_the_tuned_scale_ends_in_the_policys_spread(policy_std, unit, schedule):
    policy_std, unit = policy_std * unit, 0.3 * unit
    scale = tuned_scale(schedule, policy_std, 1.0, unit)
    assert chain_std(scale, schedule, policy_std, 1.0, unit) == pytest.approx(policy_std, rel=1e-6)
    assert chain_std(0.9 * scale, schedule, policy_std, 1.0, unit) > policy_std


def where_the_tuner_rests(schedule, policy_std, **rule):
    stds = schedule.posterior_variance.sqrt().tolist()[:0:-1]
    mean = torch.full((4_000, 1, 1), 0.3)
    distribution = gaussian(mean, torch.full_like(mean, policy_std))
    tuner, scales = GuidanceScaleTuner(0.005, 0.3), []
    for _ in range(100):
        actions = mean + torch.randn_like(mean)
        guidance = GuidanceSettings(scale=tuner.scale, **rule)
        for first in range(0, len(stds), 8):
            noise = torch.randn_like(mean)
            actions = guide_actions(actions, distribution, guidance, noise, stds[first : first + 8], UNIT)
        tuner.update(((actions - mean) / policy_std).std())
        scales.append(tuner.scale.item())
    return sum(scales[-50:]) / 50


@pytest.mark.parametrize("noise_scale", [1.0, 0.0])
@pytest.mark.parametrize("policy_std", [0.7, 0.4])
def test_the_tuner_comes_to_rest_at_the_tuned_scale(policy_std, noise_scale):
    schedule = NoiseSchedule.cosine(32)
    tuned = tuned_scale(schedule, policy_std, unit=noise_scale)
    unclipped, clipped = (
        where_the_tuner_rests(schedule, policy_std, clip_std=clip_std, action_noise_scale=noise_scale)
        for clip_std in (0.0, 3.0)
    )
    assert unclipped == pytest.approx(tuned, rel=0.03)
    # The clip narrows, too, and leaves less to do for the pull.
    assert 0.5 * tuned < clipped < 1.01 * tuned


# ---- the exactly solved world ----


@given(worlds)
@patient
def test_the_exact_moments_are_those_of_the_recursion(world):
    """s_{t+1} = (F + G K) s_t + G z_t + w_t, one time after the other."""
    closed = world.transition + world.control * world.gain
    mean, variance = world.first_state, 0.0
    moments = world.moments()
    (states, _), (shared, actions) = in_halves(moments.covariance)
    for t in range(world.horizon):
        assert moments.mean[t].item() == pytest.approx(mean, abs=1e-9)
        assert moments.mean[world.horizon + t].item() == pytest.approx(world.gain * mean, abs=1e-9)
        assert states[t, t].item() == pytest.approx(variance, abs=1e-9)
        assert actions[t, t].item() == pytest.approx(world.gain**2 * variance + world.policy_std**2, abs=1e-9)
        if t + 1 < world.horizon:
            assert states[t, t + 1].item() == pytest.approx(closed * variance, abs=1e-9)
            follows = closed * world.gain * variance + world.control * world.policy_std**2
            assert shared[t, t + 1].item() == pytest.approx(follows, abs=1e-9)
        variance = closed**2 * variance + (world.control * world.policy_std) ** 2 + world.process_std**2
        mean = closed * mean


@given(worlds, st.integers(0, 2**31))
@patient
def test_the_joint_score_is_that_of_the_exact_gaussian(world, seed):
    states, actions = torch.randn(2, 4, world.horizon, generator=torch.Generator().manual_seed(seed)).double()
    states[:, 0] = world.first_state
    mean, covariance = world.moments().mean[1:], world.moments().covariance[1:, 1:]  # without the known s_0
    expected = torch.linalg.solve(covariance, (mean - torch.cat([states, actions], 1)[:, 1:]).T).T
    of_states, of_actions = world.score(states, actions)
    torch.testing.assert_close(torch.cat([of_states, of_actions], 1)[:, 1:], expected, rtol=1e-5, atol=1e-5)
    assert not of_states[:, 0].any()
    # the last action has no successor whose state could tell anything of it
    torch.testing.assert_close(of_actions[:, -1], (world.gain * states - actions)[:, -1] / world.policy_std**2)


@given(worlds)
@patient
def test_states_given_actions_and_the_actions_own_spread_make_up_the_behaviours_data(world):
    offset, by_actions, covariance = world.states_given_actions()
    behaviour = LinearGaussianWorld(**{**world.__dict__, "gain": world.behaviour_gain}).moments()
    (states, _), (shared, actions) = in_halves(behaviour.covariance)
    torch.testing.assert_close(by_actions @ actions @ by_actions.T + covariance, states, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(by_actions @ actions, shared.T, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(offset + by_actions @ behaviour.mean.chunk(2)[1], behaviour.mean.chunk(2)[0])


@given(worlds, st.integers(0, 2**31))
@patient
def test_random_actions_tell_nothing_but_their_consequences(world, seed):
    world = LinearGaussianWorld(**{**world.__dict__, "behaviour_gain": 0.0})
    actions = torch.randn(world.horizon, generator=torch.Generator().manual_seed(seed)).double()
    offset, by_actions, covariance = world.states_given_actions()
    state, variance = world.first_state, 0.0
    for t in range(world.horizon):
        assert (offset + by_actions @ actions)[t].item() == pytest.approx(state, abs=1e-9)
        assert covariance[t, t].item() == pytest.approx(variance, abs=1e-9)
        state = world.transition * state + world.control * actions[t].item()
        variance = world.transition**2 * variance + world.process_std**2


@pytest.mark.parametrize("behaviour_gain", [0.0, -0.5])
@pytest.mark.parametrize("step", [20, 70, 110])
def test_the_denoisers_error_has_nothing_to_do_with_what_it_was_given(behaviour_gain, step):
    """By this property one knows the posterior mean of a Gaussian."""
    world, batch = LinearGaussianWorld(0.3, behaviour_gain=behaviour_gain), 50_000
    data = LinearGaussianWorld(0.3, gain=behaviour_gain).moments()
    rows = data.mean + torch.randn(batch, len(data.response), dtype=torch.float64) @ data.response
    clean, actions = rows.chunk(2, dim=1)
    alpha_bar = SCHEDULE.alphas_cumprod[step].double()
    noisy = alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * torch.randn_like(clean)
    trajectory = torch.cat([noisy[..., None], torch.randn(batch, 6, 2)], dim=2)
    out = ExactDenoiser(world, SCHEDULE)(trajectory, alpha_bar.sqrt() * actions[..., None], torch.tensor([step]))
    assert out.shape == (batch, 6, 3)
    assert not out[..., 1:].any()
    error = (out[..., 0] - clean)[:, 1:]
    given_to_it = torch.cat([noisy, actions], 1)
    assert (error.mean(0).abs() <= 5 * error.std(0) / batch**0.5).all()
    shared = (error - error.mean(0)).T @ (given_to_it - given_to_it.mean(0)) / batch
    assert (shared.abs() <= 5 * error.std(0)[:, None] * given_to_it.std(0) / batch**0.5).all()


@pytest.mark.parametrize("rule", ["gradient", "ornstein-uhlenbeck", "fixed-noise", "sample", "none"])
def test_sampling_has_the_moments_computed_for_it(rule):
    """Every mean and covariance within 5 standard errors: the package's sampler, drawn from and worked out."""
    world, batch = LinearGaussianWorld(0.2), 20_000
    guidance = GuidanceSettings(rule, **UNCLIPPED)
    exact = guided_moments(world, guidance, SCHEDULE, 16)
    sampled = moments_of(guided_sampling(world, guidance, SCHEDULE, 16, batch, seed=1))
    variances = exact.covariance.diag()
    assert ((sampled.mean - exact.mean).abs() <= 5 * (variances / batch).sqrt() + 1e-5).all()
    # Var(\hat C_{ij}) = (C_{ii} C_{jj} + C_{ij}^2) / n
    errors = ((variances[:, None] * variances + exact.covariance**2) / batch).sqrt()
    assert ((sampled.covariance - exact.covariance).abs() <= 5 * errors + 1e-5).all()


def test_without_guidance_actions_stay_noise_and_states_are_those_of_the_actions():
    world, batch = LinearGaussianWorld(0.2), 20_000
    offset, by_actions, covariance = world.states_given_actions()
    states, actions = guided_sampling(world, GuidanceSettings("none", **UNCLIPPED), SCHEDULE, 128, batch, seed=3).chunk(
        2, 1
    )
    assert (actions.mean(0).abs() <= 5 / batch**0.5).all()
    eye = torch.eye(6, dtype=torch.float64)
    assert ((actions.T.cov() - eye).abs() <= 5 * ((1 + eye) / batch).sqrt()).all()
    residual = (states - offset - actions @ by_actions.T)[:, 1:]
    errors = residual.std(0) / batch**0.5
    assert (residual.mean(0).abs() <= 5 * errors).all()
    assert ((residual.T @ actions / batch).abs() <= 5 * errors[:, None]).all()
    # The steps' own variance leaves out what the denoiser is unsure of: 6 to 10 % are missing with 128 of them.
    missing = 1 - residual.var(0) / covariance.diag()[1:]
    assert (missing > 0.05 - 5 * (2 / batch) ** 0.5).all()
    assert (missing < 0.11 + 5 * (2 / batch) ** 0.5).all()


def test_unguided_states_have_the_right_mean_and_the_right_variance_in_the_limit_of_many_steps():
    world = LinearGaussianWorld(0.2)
    _, by_actions, covariance = world.states_given_actions()
    missing = []
    for n_steps in (64, 128):
        moments = guided_moments(world, GuidanceSettings("none"), NoiseSchedule.cosine(n_steps), n_steps)
        (states, shared), (_, actions) = in_halves(moments.covariance)
        torch.testing.assert_close(shared @ actions.inverse(), by_actions, atol=3e-4, rtol=0)
        missing.append(1 - (states - shared @ by_actions.T).diag()[1:] / covariance.diag()[1:])
    assert (missing[1] > 0).all()
    assert (missing[1] < 0.65 * missing[0]).all()  # measured 0.55 to 0.58


def test_the_bias_of_samples_without_bias_is_none():
    world, batch = LinearGaussianWorld(0.2), 50_000
    truth = world.moments()
    assert list(compare(world, truth).values()) == pytest.approx([0, 1, 1, 1])
    assert all(torch.allclose(effect, torch.ones(4).double()) for effect in action_effect(world, truth))
    rows = truth.mean + torch.randn(batch, 12, dtype=torch.float64) @ truth.response
    assert list(compare(world, moments_of(rows)).values()) == pytest.approx([0, 1, 1, 1], abs=0.02)


# ---- what the rules do to it: the measured findings ----


def effects_of(world, guidance, visits=16):
    """Means over time of the action's relative effect: on z_t alone, and beside s_t."""
    return [effect.mean().item() for effect in action_effect(world, guided_moments(world, guidance, SCHEDULE, visits))]


@pytest.mark.parametrize("rule", ["gradient", "ornstein-uhlenbeck", "fixed-noise", "sample", "none"])
@pytest.mark.parametrize("behaviour_gain", [0.0, -0.5])
def test_in_a_sure_model_no_rule_loses_an_actions_effect(rule, behaviour_gain):
    world = LinearGaussianWorld(0.0, behaviour_gain=behaviour_gain)
    moments = guided_moments(world, GuidanceSettings(rule), SCHEDULE, 16)
    torch.testing.assert_close(action_effect(world, moments)[1], torch.ones(4).double(), atol=1e-4, rtol=0)
    if rule == "fixed-noise":
        assert list(compare(world, moments).values()) == pytest.approx([0, 1, 1, 1], abs=1e-3)


@pytest.mark.parametrize("visits", [16, 128])
@pytest.mark.parametrize("process_std", [0.05, 0.2])
def test_an_unsure_model_loses_the_effect_of_renewed_noise_and_overstates_that_of_shrunk_actions(process_std, visits):
    world = LinearGaussianWorld(process_std)
    assert effects_of(world, GuidanceSettings("fixed-noise"), visits) == pytest.approx([1, 1], abs=0.005)
    assert max(effects_of(world, GuidanceSettings("sample"), visits)) < 0.12  # measured 0.004 to 0.088
    assert max(effects_of(world, GuidanceSettings("ornstein-uhlenbeck"), visits)) < 0.85  # 0.33 to 0.79
    for noise_scale, minimum in ((1.0, 1.05), (0.0, 1.02)):  # 1.09 to 1.40, and 1.04 to 1.53
        guidance = tuned_guidance(world, GuidanceSettings(action_noise_scale=noise_scale), SCHEDULE, 16)
        assert min(effects_of(world, guidance, visits)) > minimum
        bias = compare(world, guided_moments(world, guidance, SCHEDULE, visits))
        assert bias["noise std"] == pytest.approx(1, abs=0.01)  # all that the tuner looks at
        assert bias["state std"] > 1.1  # 1.14 to 1.45


def test_unguided_actions_keep_their_effect_but_go_along_with_the_states():
    alone, beside = effects_of(LinearGaussianWorld(0.2), GuidanceSettings("none"))
    assert beside == pytest.approx(1, abs=1e-3)
    assert alone > 1.2


def test_the_gradient_rule_can_err_the_other_way():
    """A narrow policy in a world noisier than its actions: late noise counts for nothing, whatever else does."""
    world = LinearGaussianWorld(0.2, policy_std=0.1)
    _, beside = effects_of(world, tuned_guidance(world, GuidanceSettings(), SCHEDULE, 16))
    assert beside < 0.8  # 0.71; with all 128 visits 0.49


def test_on_policy_data_lets_even_fixed_noise_go_along_with_the_states():
    """The denoiser then takes actions for signs of the states they were taken in."""
    alone, beside = effects_of(LinearGaussianWorld(0.2, behaviour_gain=-0.5), GuidanceSettings("fixed-noise"))
    assert alone < 0.9  # 0.83
    assert beside == pytest.approx(1, abs=0.05)  # 1.03


def test_an_actions_noise_counts_for_less_the_later_it_came():
    """Response of s_3 to the numbers in a_2, per response of z_2, relative to G, from the first visit on."""
    world = LinearGaussianWorld(0.05)
    guidance = tuned_guidance(world, GuidanceSettings(), SCHEDULE, 16)
    response = guided_moments(world, guidance, SCHEDULE, 16).response.reshape(17, 6, 4, 12)[:-1, 2, 3]  # [16, 2H]
    noise = response[:, 8] - world.gain * response[:, 2]
    relative = response[:, 3] / noise / world.control
    assert relative[-1] < 0.1  # 0.05
    assert relative[:8].min() > 1.3  # 1.36 to 1.38
    assert (relative[8:].diff() < 0).all()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("rule", "sign"), [("gradient", 1), ("ornstein-uhlenbeck", -1), ("sample", -1)])
def test_with_the_packages_clips_the_rules_err_in_the_same_direction(seed, rule, sign):
    """The package's defaults with all their clips; the standard error is that of least squares."""
    world, batch = LinearGaussianWorld(0.2), 20_000
    # 0.0041 is where the tuner rests with the clip; without it, at 0.0051. The effect was 1.12, 0.38 and 0.01.
    rows = guided_sampling(world, GuidanceSettings(rule, scale=0.0041), SCHEDULE, 16, batch, seed)
    moments = moments_of(rows)
    states, actions = (half - half.mean(0) for half in rows.chunk(2, 1))
    causes = torch.stack([states[:, 2], actions[:, 2] - world.gain * states[:, 2]], 1)
    fit = torch.linalg.lstsq(causes, states[:, 3:4])
    squared_error = (states[:, 3:4] - causes @ fit.solution).square().mean() * torch.linalg.inv(causes.T @ causes)[1, 1]
    coefficient = fit.solution[1].item() / world.control
    assert action_effect(world, moments)[1][1].item() == pytest.approx(coefficient, rel=1e-6)
    assert sign * (coefficient - 1) > 4 * squared_error.sqrt().item() / world.control
    assert compare(world, moments)["noise std"] == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("rule", "low", "high"), [("gradient", 0.99, 1.01), ("fixed-noise", 0.99, 1.01), ("sample", 0, 0.4)]
)
def test_the_change_limit_takes_the_effect_of_fresh_noise_even_where_the_model_is_sure(rule, low, high):
    """States may then not follow the last actions in the last steps. Measured 1.001, 1.002 and 0.25."""

    def beside(change_limit):
        guidance = GuidanceSettings(rule, scale=0.0041, change_limit=change_limit)
        rows = guided_sampling(world, guidance, SCHEDULE, 16, 10_000, seed=0)
        return action_effect(world, moments_of(rows))[1].mean().item()

    world = LinearGaussianWorld(0.0)
    assert low < beside(0.25) < high
    assert beside(1e9) == pytest.approx(1, abs=0.015)


# ---- three conventions ----


@given(st.floats(-3, 3), st.floats(0.1, 2), st.floats(0, 0.02))
@patient
def test_shifts_follow_their_formulas(offset, policy_std, scale):
    score = -offset / policy_std**2
    shift = {name: guidance_shift(name, SCHEDULE, offset, policy_std, scale) for name in CONVENTIONS}
    torch.testing.assert_close(shift["diffuser"], SCHEDULE.posterior_variance.double() * scale * score)
    ramp = torch.tensor([1 - k / 128 + 0.3 * math.sin(math.pi * (k + 1) / 128) for k in range(127)] + [0.0]).double()
    torch.testing.assert_close(shift["policy-guided"].flip(0), ramp * scale * score, rtol=1e-6, atol=1e-9)
    # PolyGRAD's is what the package's rule does without noise, and what its last step clips.
    distribution = gaussian(torch.zeros(1, 1), torch.full((1, 1), policy_std))
    action = torch.full((1, 1), offset)
    guided = guide_actions(action, distribution, GuidanceSettings(scale=scale), torch.zeros(1, 1), [0.1], UNIT) - action
    clipped = clip_to_policy(action, distribution, 3.0) - action
    expected = torch.cat([clipped, guided.expand(127, 1)]).flatten().double()
    torch.testing.assert_close(shift["polygrad"], expected, rtol=1e-4, atol=1e-5)


CONVENTIONS = ("polygrad", "diffuser", "policy-guided")


@given(st.floats(-30, 30), st.floats(0.1, 2), st.floats(0, 2))
@patient
def test_polygrad_never_leaves_the_clip(offset, policy_std, relative_scale):
    shift = guidance_shift("polygrad", SCHEDULE, offset, policy_std, relative_scale * policy_std**2)
    assert ((offset + shift).abs() <= 3 * policy_std * (1 + 1e-9)).all()


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_at_the_policys_mean_nothing_moves(convention):
    assert not guidance_shift(convention, SCHEDULE, 0.0, 0.5, 0.01).any()


def test_over_the_chain_polygrads_pull_is_constant_and_the_others_fade_out():
    shift = {name: guidance_shift(name, SCHEDULE, -0.5, 0.5, 0.01) for name in CONVENTIONS}
    assert shift["polygrad"][1:].unique().tolist() == [0.02]
    for name in ("diffuser", "policy-guided"):
        assert shift[name][0] == 0
        assert (shift[name].diff() > 0).all()
    # A convention's scale is its own: Diffuser's equals PolyGRAD's only where the posterior variance is 1.
    assert shift["diffuser"][-1].item() == pytest.approx(0.02, rel=0.01)
    assert shift["diffuser"][64] < 0.05 * shift["policy-guided"][64]


def test_unknown_conventions_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="polygrad, diffuser, policy-guided"):
        guidance_shift("classifier-free", SCHEDULE, 0.1, 0.5, 0.01)
