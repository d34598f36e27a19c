import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polygrad_edu.noise_schedule import NoiseSchedule

schedules = st.builds(
    lambda n, tau: NoiseSchedule.cosine(n, tau), st.integers(2, 200), st.floats(0.05, 2.0)
) | st.builds(NoiseSchedule.linear, st.integers(10, 300))


X_0 = torch.tensor(0.7).double()
X_T = torch.tensor(-1.3).double()


def exactly(schedule):
    """The same schedule computed in float64, where its laws hold without float32's rounding."""
    return NoiseSchedule(schedule.betas.double())


def posterior_by_bayes_rule(beta, before, x_0, x_t):
    """Mean and variance of q(x_{t-1} | x_t, x_0): the product of q(x_t | x_{t-1}) and q(x_{t-1} | x_0), two Gaussians.

    ``before`` is alpha bar of step t - 1, below 1.
    """
    likelihood_precision = (1 - beta) / beta
    prior_precision = 1 / (1 - before)
    variance = 1 / (likelihood_precision + prior_precision)
    mean = variance * ((1 - beta).sqrt() / beta * x_t + prior_precision * before.sqrt() * x_0)
    return mean, variance


def drawn_walk(schedule, data, eta=1.0, min_visits=1):
    """A walk with any number of visits."""
    return schedule.walk(data.draw(st.integers(min_visits, schedule.n_steps)), eta)


def before_each(walk):
    """Alpha bar [S] of the next, less noisy visit, the least noisy first; 1 where x_0 comes next."""
    return torch.cat([torch.ones(1), walk.alphas_cumprod[:-1]])


def gathered(walk, name):
    """One number of each visit as a tensor [S], the least noisy first, as a walk's own tensors are."""
    return torch.stack([getattr(visit, name) for visit in walk]).flip(0)


def test_cosine_schedule_is_the_official_one(golden, close):
    recorded = golden("schedule")
    schedule = NoiseSchedule.cosine(recorded["n_steps"], recorded["tau"])
    ours = {"posterior_mean_coef1": "posterior_coef_x_0", "posterior_mean_coef2": "posterior_coef_x_t"}
    for name in recorded.keys() - {"n_steps", "tau", "alphas_cumprod_prev"}:
        close(getattr(schedule, ours.get(name, name)), recorded[name])
    close(torch.cat([torch.ones(1), schedule.alphas_cumprod[:-1]]), recorded["alphas_cumprod_prev"])


@given(schedules)
def test_the_signal_falls_from_step_to_step(schedule):
    alpha_bar = schedule.alphas_cumprod
    assert ((alpha_bar > 0) & (alpha_bar < 1)).all()
    assert (alpha_bar.diff() < 0).all()


@given(schedules, st.integers(0, 10_000))
def test_posterior_is_bayes_rule(schedule, pick):
    schedule = exactly(schedule)
    t = 1 + pick % (schedule.n_steps - 1)
    betas = schedule.betas.double()
    mean, variance = posterior_by_bayes_rule(betas[t], torch.cumprod(1 - betas, dim=0)[t - 1], X_0, X_T)
    torch.testing.assert_close(schedule.posterior_variance[t].double(), variance, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(schedule.posterior_mean(X_0, X_T, t).double(), mean, rtol=1e-5, atol=1e-5)


@given(schedules, st.integers(0, 10_000))
def test_a_reverse_step_with_the_true_x0_gives_the_marginal_one_step_back(schedule, pick):
    schedule, t = exactly(schedule), 1 + pick % (schedule.n_steps - 1)
    c_0, c_t = schedule.posterior_coef_x_0[t], schedule.posterior_coef_x_t[t]
    alpha_bar, before = schedule.alphas_cumprod[t], schedule.alphas_cumprod[t - 1]
    torch.testing.assert_close(c_0 + c_t * alpha_bar.sqrt(), before.sqrt(), atol=1e-5, rtol=1e-5)
    variance = schedule.posterior_variance[t] + c_t**2 * (1 - alpha_bar)
    torch.testing.assert_close(variance, 1 - before, atol=1e-5, rtol=1e-5)


# ---- the walk back ----


@given(schedules, st.data())
def test_a_walk_goes_from_the_noisiest_step_to_the_least_noisy_one(schedule, data):
    walk = drawn_walk(schedule, data)
    visits = list(walk)
    n = len(walk)
    assert [visit.index for visit in visits] == list(range(n))[::-1]
    assert all(walk.visit(visit.index) is visit for visit in visits)
    numbers = [visit.trained_step for visit in visits]
    assert numbers == sorted(set(numbers), reverse=True)
    assert numbers[0] == schedule.n_steps - 1
    assert n == 1 or numbers[-1] == 0
    assert walk.trained_steps.tolist() == numbers[::-1]
    assert [visit.step.tolist() for visit in visits] == [[number] for number in numbers]
    assert list(walk) == visits  # it can be gone again


@given(schedules, st.data())
def test_a_walk_is_the_same_process_seen_at_fewer_times(schedule, data):
    walk = drawn_walk(schedule, data)
    torch.testing.assert_close(walk.alphas_cumprod, schedule.alphas_cumprod[walk.trained_steps], atol=1e-6, rtol=1e-3)
    assert torch.equal(gathered(walk, "signal"), walk.alphas_cumprod.sqrt())


@given(schedules, st.floats(0, 1), st.data())
def test_the_visits_stand_for_all_trained_steps(schedule, eta, data):
    """Each visit for those since the next less noisy one, and every step but the last, to x_0, is guided once."""
    walk = drawn_walk(schedule, data, eta)
    assert sum(visit.jump for visit in walk) == schedule.n_steps
    guided = [std for visit in walk for std in visit.trained_stds]
    assert guided == schedule.posterior_variance.sqrt().tolist()[:0:-1]  # steps T-1 to 1
    for visit in walk:
        reaches_x_0 = visit.index == 0
        assert len(visit.trained_stds) == visit.jump - reaches_x_0


@given(schedules, st.data())
def test_with_eta_1_each_visit_draws_from_the_posterior(schedule, data):
    walk = drawn_walk(exactly(schedule), data)
    alpha_bar = torch.cumprod(1 - schedule.betas.double(), dim=0)
    for visit in walk:
        if visit.index == 0:
            mean, variance = X_0, torch.zeros(()).double()
        else:
            before = alpha_bar[visit.trained_step - visit.jump]
            # \beta' = 1 - \bar\alpha_t / \bar\alpha_s
            beta = 1 - alpha_bar[visit.trained_step] / before
            mean, variance = posterior_by_bayes_rule(beta, before, X_0, X_T)
        torch.testing.assert_close(visit.variance.double(), variance, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(visit.mean(X_0, X_T).double(), mean, rtol=1e-5, atol=1e-5)


@given(schedules, st.floats(0, 1), st.data())
def test_for_every_eta_a_visit_leads_to_the_marginal_of_the_next_one(schedule, eta, data):
    walk = drawn_walk(exactly(schedule), data, eta, min_visits=2)
    c_0 = gathered(walk, "coef_x_0")
    c_t = gathered(walk, "coef_x_t")
    alpha_bar = walk.alphas_cumprod
    before = before_each(walk)
    torch.testing.assert_close(c_0 + c_t * alpha_bar.sqrt(), before.sqrt(), atol=1e-5, rtol=1e-5)
    variance = gathered(walk, "variance") + c_t**2 * (1 - alpha_bar)
    torch.testing.assert_close(variance, 1 - before, atol=2e-5, rtol=1e-4)


@given(schedules, st.floats(0, 1), st.data())
def test_the_last_visit_draws_no_noise(schedule, eta, data):
    last = drawn_walk(exactly(schedule), data, eta).visit(0)
    assert last.variance == last.noise_std == 0
    torch.testing.assert_close(last.mean(X_0, X_T), X_0, atol=1e-5, rtol=1e-5)


def test_eta_scales_the_drawn_noise_from_the_posteriors_to_none():
    schedule = NoiseSchedule.cosine(128)
    ancestral, half, silent = (schedule.walk(16, eta) for eta in (1.0, 0.5, 0.0))
    assert (ancestral.eta, half.eta, silent.eta) == (1.0, 0.5, 0.0)
    torch.testing.assert_close(gathered(half, "variance"), gathered(ancestral, "variance") / 4)
    assert (gathered(silent, "variance") == 0).all()
    almost = schedule.walk(16, 1 - 1e-7)  # by the other formula
    for coefficient in ("coef_x_0", "coef_x_t"):
        torch.testing.assert_close(
            gathered(almost, coefficient), gathered(ancestral, coefficient), atol=1e-4, rtol=1e-4
        )


@given(schedules)
def test_the_walk_through_every_step_has_the_schedules_own_numbers_to_the_last_bit(schedule):
    for walk in (schedule.walk(), schedule.walk(schedule.n_steps), schedule.walk(schedule.n_steps, eta=1)):
        assert torch.equal(walk.alphas_cumprod, schedule.alphas_cumprod)
        assert torch.equal(gathered(walk, "variance"), schedule.posterior_variance)
        assert torch.equal(gathered(walk, "coef_x_0"), schedule.posterior_coef_x_0)
        assert torch.equal(gathered(walk, "coef_x_t"), schedule.posterior_coef_x_t)
        for visit in walk:
            assert torch.equal(visit.mean(X_0, X_T), schedule.posterior_mean(X_0, X_T, visit.index))


# ---- the forward process, and bad input ----


def test_noised_values_have_the_schedules_mean_and_variance():
    schedule = NoiseSchedule.cosine(20, 0.5)
    step = torch.full((200_000,), 12)
    noisy = schedule.add_noise(torch.full((200_000, 1), 2.0), step, torch.randn(200_000, 1))
    alpha_bar = schedule.alphas_cumprod[12]
    assert noisy.mean() == pytest.approx(2 * alpha_bar.sqrt().item(), abs=0.01)
    assert noisy.var() == pytest.approx(1 - alpha_bar.item(), abs=0.01)


@pytest.mark.parametrize(
    "make",
    [
        lambda: NoiseSchedule.cosine(0),
        lambda: NoiseSchedule.cosine(4, 0.0),
        lambda: NoiseSchedule.linear(0),
        lambda: NoiseSchedule(torch.tensor([0.1, 1.0])),
        lambda: NoiseSchedule(torch.tensor([])),
        lambda: NoiseSchedule.cosine(8).walk(9),
        lambda: NoiseSchedule.cosine(8).walk(0),
        lambda: NoiseSchedule.cosine(8).walk(4, 1.5),
        lambda: NoiseSchedule.cosine(8).walk(4, -0.1),
    ],
)
def test_impossible_schedules_and_walks_are_refused(make):
    with pytest.raises(ValueError, match=r"need|must|can visit"):
        make()
