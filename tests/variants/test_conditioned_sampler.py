"""The conditioned sampler against closed forms, in a linear world with a hidden constant."""

import pytest
import torch
from torch.distributions import Independent, Normal

from polygrad_edu.guidance_theory import LinearGaussianWorld, exact_sampler
from polygrad_edu.guided_sampler import GuidedSampler
from polygrad_edu.noise_schedule import NoiseSchedule
from polygrad_edu.replay import Normaliser
from polygrad_edu.settings import GuidanceSettings
from polygrad_edu.trajectory_diffusion import TrajectoryDiffusion
from polygrad_edu.variants.conditioned_sampler import FARTHEST, ConditionedSampler, end_at, return_of

SCHEDULE = NoiseSchedule.cosine(128, 1.0)
WORLD = LinearGaussianWorld(process_std=0.1, hidden_std=0.3, gain=0.0, policy_std=1e-4)  # actions of nearly 0
N = 4_000


def standing_still(states):
    return Independent(Normal(0 * states, 1e-4), 1)


def drawn(condition, visits=128):
    sampler = ConditionedSampler(exact_sampler(WORLD, GuidanceSettings("fixed-noise"), SCHEDULE, visits), condition)
    first = torch.full((N, 1), WORLD.first_state)
    states = sampler.sample(first, standing_still, WORLD.horizon, torch.Generator().manual_seed(0)).observations
    return states[..., 0].double()  # [N, H]


def given_the_end(value):
    """Mean and covariance of the states, if the last one is known: Bayes' rule for Gaussians."""
    states = WORLD.horizon
    moments = WORLD.moments()
    mean, covariance = moments.mean[:states], moments.covariance[:states, :states]
    gain = covariance[:, -1] / covariance[-1, -1]
    return mean + gain * (value - mean[-1]), covariance - torch.outer(gain, covariance[-1])


@pytest.mark.parametrize("value", [-1.0, 0.5, 2.0])
def test_a_pinned_end_gives_the_true_distribution_of_the_way_there(value):
    states = drawn(end_at(torch.full((N, 1), value), -1, Normaliser(1, 1)))
    mean, covariance = given_the_end(value)
    torch.testing.assert_close(states[:, -1], torch.full_like(states[:, -1], value), rtol=0, atol=0.1)
    torch.testing.assert_close(states.mean(dim=0), mean, rtol=0, atol=0.02)
    torch.testing.assert_close(states.std(dim=0), covariance.diagonal().clamp(min=0).sqrt(), rtol=0, atol=0.025)


def test_without_the_condition_the_way_is_another():
    sampler = exact_sampler(WORLD, GuidanceSettings("fixed-noise"), SCHEDULE, 128)
    first = torch.full((N, 1), WORLD.first_state)
    states = sampler.sample(first, standing_still, WORLD.horizon, torch.Generator().manual_seed(0)).observations[..., 0]
    assert states[:, 3].std() > 2 * given_the_end(0.5)[1][3, 3].sqrt()


def test_each_trajectory_has_a_wish_of_its_own():
    wanted = torch.linspace(-1, 2, N)[:, None]
    states = drawn(end_at(wanted, -1, Normaliser(1, 1)), visits=32)
    torch.testing.assert_close(states[:, -1:], wanted.double(), rtol=0, atol=0.15)


def test_wishes_are_read_in_the_environments_units():
    normaliser = Normaliser(2, 1)
    normaliser.observations.set(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0]))
    normaliser.rewards.set(torch.tensor([0.5]), torch.tensor([3.0]))
    trajectory = torch.zeros(1, 4, 4)
    trajectory[0, 2, :2] = torch.tensor([1.0, -1.0])
    trajectory[0, :3, 2] = torch.tensor([1.0, 2.0, -1.0])
    place, rewards, _ = normaliser.denormalise_trajectory(trajectory)
    pinned = end_at(place[:, 2], 2, normaliser)
    torch.testing.assert_close(pinned.read(trajectory), pinned.wanted)
    asked = return_of(rewards[:, :3].sum(dim=1), 3, normaliser)
    torch.testing.assert_close(asked.read(trajectory), asked.wanted)


def test_a_sampler_is_conditioned_and_not_changed():
    sampler = exact_sampler(WORLD, GuidanceSettings("fixed-noise"), SCHEDULE, 8)
    first = torch.full((5, 1), WORLD.first_state)
    before = sampler.sample(first, standing_still, WORLD.horizon, torch.Generator().manual_seed(0))
    condition = end_at(torch.full((5, 1), 3.0), -1, Normaliser(1, 1))
    moved = ConditionedSampler(sampler, condition).sample(
        first, standing_still, WORLD.horizon, torch.Generator().manual_seed(0)
    )
    again = sampler.sample(first, standing_still, WORLD.horizon, torch.Generator().manual_seed(0))
    assert torch.equal(before.observations, again.observations)
    assert not torch.allclose(before.observations, moved.observations)
    assert torch.equal(moved.observations[:, 0], first)
    assert not moved.observations.requires_grad


class TooSure(torch.nn.Module):
    """A denoiser that is nearly sure of the last state, and lets the noise on all others move it."""

    def forward(self, trajectory, scaled_actions, step):
        last = 1e-3 * trajectory[:, -1:] + 10 * trajectory[:, 1:-1].sum(dim=1, keepdim=True)
        return torch.cat([trajectory[:, :-1], last], dim=1)


def test_a_denoiser_that_is_too_sure_throws_nothing_out_of_the_data():
    diffusion = TrajectoryDiffusion(TooSure(), SCHEDULE, 1)
    sampler = GuidedSampler(diffusion, SCHEDULE.walk(8), GuidanceSettings("fixed-noise"), Normaliser(1, 1))
    conditioned = ConditionedSampler(sampler, end_at(torch.full((5, 1), 2.0), -1, Normaliser(1, 1)))
    first = torch.zeros(5, 1)
    state = sampler.start(first, 6, torch.Generator().manual_seed(0))
    visit = sampler.walk.visit(3)
    moved = conditioned.reconstruct(visit, state, first) - sampler.reconstruct(visit, state, first)
    assert moved.abs().max() == pytest.approx(FARTHEST)
    assert torch.equal(moved[:, 0, 0], torch.zeros(5))
