import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polygrad_edu.noise_schedule import NoiseSchedule

schedules = st.builds(
    lambda n, tau: NoiseSchedule.cosine(n, tau), st.integers(2, 200), st.floats(0.05, 2.0)
) | st.builds(NoiseSchedule.linear, st.integers(10, 300))


def exactly(schedule):
    """The same schedule computed in float64, where its laws hold without float32's rounding."""
    return NoiseSchedule(schedule.betas.double())


def test_cosine_schedule_is_the_official_one(golden, close):
    recorded = golden("schedule")
    schedule = NoiseSchedule.cosine(recorded["n_steps"], recorded["tau"])
    for name in recorded.keys() - {"n_steps", "tau"}:
        close(getattr(schedule, name), recorded[name])


@given(schedules)
def test_signal_only_falls(schedule):
    alpha_bar = schedule.alphas_cumprod
    assert ((alpha_bar > 0) & (alpha_bar < 1)).all()
    assert (alpha_bar.diff() < 0).all()


@given(schedules, st.integers(0, 10_000))
def test_posterior_is_bayes_rule(schedule, pick):
    """Multiply the two Gaussians q(x_t | x_{t-1}) and q(x_{t-1} | x_0) by hand and compare."""
    schedule, t = exactly(schedule), 1 + pick % (schedule.n_steps - 1)
    betas = schedule.betas.double()
    beta, before = betas[t], torch.cumprod(1 - betas, dim=0)[t - 1]
    x_0, x_t = torch.tensor(0.7).double(), torch.tensor(-1.3).double()
    likelihood_precision, prior_precision = (1 - beta) / beta, 1 / (1 - before)
    variance = 1 / (likelihood_precision + prior_precision)
    mean = variance * ((1 - beta).sqrt() / beta * x_t + prior_precision * before.sqrt() * x_0)
    torch.testing.assert_close(schedule.posterior_variance[t].double(), variance, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(schedule.posterior_mean(x_0, x_t, t).double(), mean, rtol=1e-5, atol=1e-5)


@given(schedules, st.integers(0, 10_000))
def test_a_reverse_step_with_the_true_x0_gives_the_marginal_one_step_back(schedule, pick):
    schedule, t = exactly(schedule), 1 + pick % (schedule.n_steps - 1)
    c_0, c_t = schedule.posterior_mean_coef1[t], schedule.posterior_mean_coef2[t]
    alpha_bar, before = schedule.alphas_cumprod[t], schedule.alphas_cumprod[t - 1]
    torch.testing.assert_close(c_0 + c_t * alpha_bar.sqrt(), before.sqrt(), atol=1e-5, rtol=1e-5)
    variance = schedule.posterior_variance[t] + c_t**2 * (1 - alpha_bar)
    torch.testing.assert_close(variance, 1 - before, atol=1e-5, rtol=1e-5)


@given(schedules, st.floats(0, 1), st.data())
def test_whatever_noise_a_step_draws_it_leads_to_the_marginal_of_the_visit_before(schedule, eta, data):
    walk = exactly(schedule).respaced(data.draw(st.integers(2, schedule.n_steps)), eta)
    c_0, c_t = walk.posterior_mean_coef1, walk.posterior_mean_coef2
    alpha_bar, before = walk.alphas_cumprod, walk.alphas_cumprod_prev
    torch.testing.assert_close(c_0 + c_t * alpha_bar.sqrt(), before.sqrt(), atol=1e-5, rtol=1e-5)
    variance = walk.posterior_variance + c_t**2 * (1 - alpha_bar)
    torch.testing.assert_close(variance, 1 - before, atol=2e-5, rtol=1e-4)


def test_eta_scales_the_drawn_noise_from_the_posteriors_to_none():
    schedule = NoiseSchedule.cosine(128)
    ancestral, half, silent = (schedule.respaced(16, eta) for eta in (1.0, 0.5, 0.0))
    torch.testing.assert_close(half.posterior_variance, ancestral.posterior_variance / 4)
    assert (silent.posterior_variance == 0).all()
    almost = schedule.respaced(16, 1 - 1e-7)  # by the other formula
    torch.testing.assert_close(almost.posterior_mean_coef1, ancestral.posterior_mean_coef1, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(almost.posterior_mean_coef2, ancestral.posterior_mean_coef2, atol=1e-4, rtol=1e-4)


@given(schedules, st.data())
def test_a_respaced_schedule_is_the_same_process_seen_at_fewer_times(schedule, data):
    n = data.draw(st.integers(1, schedule.n_steps))
    fewer = schedule.respaced(n)
    assert fewer.n_steps == n
    assert sum(fewer.jumps) == schedule.n_steps
    assert fewer.trained_step_numbers[-1] == schedule.n_steps - 1
    assert n == 1 or fewer.trained_step_numbers[0] == 0
    torch.testing.assert_close(fewer.alphas_cumprod, schedule.alphas_cumprod[fewer.trained_steps], atol=1e-6, rtol=1e-3)


def test_visiting_every_step_changes_nothing():
    schedule = NoiseSchedule.cosine(32)
    assert schedule.respaced(32) is schedule


def test_noised_values_have_the_schedules_mean_and_variance():
    schedule = NoiseSchedule.cosine(20, 0.5)
    step = torch.full((200_000,), 12)
    noisy = schedule.add_noise(torch.full((200_000, 1), 2.0), step, torch.randn(200_000, 1))
    alpha_bar = schedule.alphas_cumprod[12]
    assert noisy.mean() == pytest.approx(2 * alpha_bar.sqrt().item(), abs=0.01)
    assert noisy.var() == pytest.approx(1 - alpha_bar.item(), abs=0.01)


@pytest.mark.parametrize("make", [
    lambda: NoiseSchedule.cosine(0), lambda: NoiseSchedule.cosine(4, 0.0), lambda: NoiseSchedule.linear(0),
    lambda: NoiseSchedule(torch.tensor([0.1, 1.0])), lambda: NoiseSchedule(torch.tensor([])),
    lambda: NoiseSchedule.cosine(8).respaced(9), lambda: NoiseSchedule.cosine(8).respaced(0),
    lambda: NoiseSchedule.cosine(8).respaced(4, 1.5), lambda: NoiseSchedule.cosine(8).respaced(4, -0.1),
])  # fmt: skip
def test_nonsense_is_refused(make):
    with pytest.raises(ValueError, match=r"need|must|can visit"):
        make()
