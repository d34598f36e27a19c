"""The fork in the road: its closed forms against draws and against automatic differentiation."""

import math

import pytest
import torch

from polygrad_edu.noise_schedule import NoiseSchedule
from polygrad_edu.tasks import road_fork

NOISY = torch.tensor([[0.0, 0.0], [0.3, 0.9], [-1.2, 0.4], [2.0, 2.0]])


def drawn(count, seed=0):
    return road_fork.record_routes(count, torch.Generator().manual_seed(seed))


def test_two_of_three_go_left_and_nobody_hits_the_wall():
    routes = drawn(20_000)
    assert (routes[:, 1] > 0).float().mean().item() == pytest.approx(2 / 3, abs=0.015)
    assert not road_fork.hits_wall(routes).any()
    left = routes[routes[:, 1] > 0]
    torch.testing.assert_close(left.mean(0), road_fork.WAYS[0], atol=0.01, rtol=0)
    torch.testing.assert_close(left.std(0), torch.full((2,), road_fork.SPREAD), atol=0.01, rtol=0)
    assert road_fork.hits_wall(torch.tensor([[3.0, 0.0], [0.0, -0.79], [0.0, 0.81]])).tolist() == [True, True, False]


@pytest.mark.parametrize("alpha_bar", [0.01, 0.3, 0.9])
def test_the_density_is_one_in_all_and_the_score_is_its_gradient(alpha_bar):
    line = torch.linspace(-7, 7, 500, dtype=torch.float64)
    plane = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=-1)
    step = (line[1] - line[0]).item()
    assert road_fork.log_density(plane, alpha_bar).exp().sum().item() * step**2 == pytest.approx(1, abs=1e-3)
    x_t = NOISY.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(road_fork.log_density(x_t, alpha_bar).sum(), x_t)
    torch.testing.assert_close(road_fork.score(NOISY, alpha_bar), gradient, atol=1e-3, rtol=1e-4)


def test_the_best_denoiser_says_the_mean_of_what_may_be_behind():
    alpha_bar, x_t = 0.3, torch.tensor([0.2, 0.1])
    routes = drawn(400_000)
    off = ((x_t - math.sqrt(alpha_bar) * routes) ** 2).sum(-1)
    weights = (-off / (2 * (1 - alpha_bar))).softmax(0)  # by Bayes' rule, over routes
    torch.testing.assert_close(road_fork.best_denoiser(x_t, alpha_bar), weights @ routes, atol=0.01, rtol=0)
    # under pure noise it is the mean of all routes, and that is in the wall
    middle = road_fork.best_denoiser(torch.tensor([2.0, -1.0]), 0.0)
    torch.testing.assert_close(middle, road_fork.SHARES @ road_fork.WAYS)
    assert road_fork.hits_wall(middle)


def test_the_guess_from_many_recordings_is_the_best_denoisers():
    for alpha_bar in (0.0, 0.2, 0.6):
        guess = road_fork.best_guess(NOISY, drawn(200_000), alpha_bar)
        torch.testing.assert_close(guess, road_fork.best_denoiser(NOISY, alpha_bar), atol=0.02, rtol=0)


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_a_visit_is_the_one_of_the_noise_schedule(eta):
    walk = NoiseSchedule.cosine(128).walk(12, eta)
    left = [visit.signal.item() ** 2 for visit in walk] + [1.0]
    generator = torch.Generator().manual_seed(0)
    for number, visit in enumerate(walk):
        x_t, guess, noise = torch.randn(3, 50, 2, generator=generator)
        ours = road_fork.next_visit(x_t, guess, left[number], left[number + 1], visit.noise_std.item(), noise)
        torch.testing.assert_close(ours, visit.mean(guess, x_t) + visit.noise_std * noise, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_chain_ends_on_both_ways_in_their_shares(eta):
    signals = [visit.signal.item() ** 2 for visit in NoiseSchedule.cosine(128).walk(40)] + [1.0]
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(3000, 2, generator=generator)
    routes = road_fork.drive(start, road_fork.best_denoiser, signals, eta, generator)
    assert not road_fork.hits_wall(routes).any()
    assert (routes[:, 1] > 0).float().mean().item() == pytest.approx(2 / 3, abs=0.035)
    recorded = drawn(400)
    by_heart = road_fork.drive(start, lambda x, left: road_fork.best_guess(x, recorded, left), signals, eta, generator)
    assert torch.cdist(by_heart, recorded).amin(1).median() < 0.02  # nothing that was not recorded
