import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal

from polygrad_edu.noise_schedule import CLEAN, NoiseSchedule
from polygrad_edu.replay import Normaliser
from polygrad_edu.settings import PREDICTIONS, GuidanceSettings
from polygrad_edu.trajectory_diffusion import TrajectoryDiffusion
from polygrad_edu.variants.diffusion_forcing import ForcedDiffusion, draw_levels, level_features, of_step_after
from polygrad_edu.variants.ending_network import EndingMLP
from polygrad_edu.variants.staggered_sampler import StaggeredSampler
from polygrad_edu.variants.step_denoiser import StepMLPDenoiser

O, A, P, T = 3, 2, 5, 64  # noqa: E741 - the field's letters


def seeded(seed):
    return torch.Generator().manual_seed(seed)


class Silent(nn.Module):
    """A denoiser that has nothing to add."""

    lookback = 1

    def forward(self, trajectory, actions, step, surprise):
        self.seen = trajectory, actions, step, surprise
        return torch.zeros_like(trajectory)


def diffusion(denoiser=None, prediction="change"):
    return ForcedDiffusion(denoiser or Silent(), NoiseSchedule.cosine(T, 1.0), O, prediction)


def test_levels_rise_with_time_but_in_the_share_where_they_are_unrelated():
    step = draw_levels(20_000, P, T, seeded(0))
    assert (step[:, -1].min(), step.min(), step.max()) == (0, CLEAN, T - 1)
    rising = (step.diff(dim=1) >= 0).all(dim=1).float().mean()
    assert 0.88 < rising < 0.94  # all but the unrelated, some of which rise by chance


def test_a_step_after_a_clean_past_is_met_at_every_level_and_pure_noise_most_often():
    before, last = draw_levels(200_000, 2, T, seeded(0)).T
    after_clean = last[before == CLEAN]
    counts = torch.bincount(after_clean, minlength=T)
    assert (counts > 0).all()
    assert counts.argmax() == T - 1
    assert counts[-1] > 0.12 * counts.sum()


def test_the_same_generator_draws_the_same_levels():
    assert torch.equal(draw_levels(9, P, T, seeded(3)), draw_levels(9, P, T, seeded(3)))
    assert not torch.equal(draw_levels(9, P, T, seeded(3)), draw_levels(9, P, T, seeded(4)))


def test_a_reward_has_the_level_of_the_state_after_it():
    step = torch.tensor([[CLEAN, 3, 9, 20, 40]])
    parts = diffusion().of_parts(step)
    assert parts[..., :O].unique(dim=-1).squeeze(-1).tolist() == step.tolist()
    assert parts[0, :, O:].T.tolist() == [[3, 9, 20, 40, 40]] * 2
    assert of_step_after(step).tolist() == [[3, 9, 20, 40, 40]]


def test_features_tell_every_level_from_its_neighbours():
    features = level_features(NoiseSchedule.cosine(T, 1.0))
    assert features.shape == (T + 1, 8)
    assert (features.diff(dim=0).abs().amax(dim=1) > 1e-3).all()
    assert features.abs().max() < 4


@pytest.mark.parametrize("levels", [(CLEAN, T - 1), (CLEAN, 20), (30, 50), (50, 50)])
def test_the_guess_is_bayes_rule_for_two_neighbours(levels):
    """Against the regression of the clean state on the two noisy ones, over many drawn pairs."""
    model = diffusion()
    rho = 0.9
    model.change_variance.fill_(1 - rho**2)
    generator = seeded(0)
    n = 200_000
    first = torch.randn(n, 1, O + 2, generator=generator)
    second = rho * first + (1 - rho**2) ** 0.5 * torch.randn(n, 1, O + 2, generator=generator)
    clean = torch.cat([first, second], dim=1)  # [n, 2, O+2]
    step = torch.tensor([levels])
    noise = torch.randn(clean.shape, generator=generator)
    noisy = model.schedule.add_noise(clean, model.of_parts(step).expand_as(clean), noise)
    guess = model.guess(noisy, step)
    error = (guess.mean - clean)[:, 1, :O]
    assert abs(error.mean()) < 0.01
    torch.testing.assert_close(error.std(), guess.std[0, 1, 0], rtol=0.01, atol=0)
    regressors = noisy[:, :, 0].numpy()
    weights, *_ = np.linalg.lstsq(regressors, clean[:, 1, 0].numpy(), rcond=None)
    np.testing.assert_allclose(guess.mean[:100, 1, 0].numpy(), regressors[:100] @ weights, atol=0.02)
    torch.testing.assert_close(guess.surprise[:, 1, :O].std(), torch.tensor(1.0), rtol=0.01, atol=0)


def test_a_network_that_adds_nothing_gives_the_guess_and_leaves_what_is_clean():
    model = diffusion()
    noisy, actions = torch.randn(4, P, O + 2, generator=seeded(0)), torch.zeros(4, P, A)
    step = torch.tensor([[CLEAN, CLEAN, 10, 30, 60]])
    seen = model.reconstruct(noisy, actions, step)
    guess = model.guess(noisy, step).mean
    clean = (model.of_parts(step) == CLEAN).expand_as(noisy)
    assert torch.equal(seen[clean], noisy[clean])
    torch.testing.assert_close(seen[~clean], guess[~clean])


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_is_least_where_the_denoiser_is_right(prediction):
    class Knows(nn.Module):
        lookback = 1

        def forward(self, trajectory, actions, step, surprise):
            alpha_bar = model.schedule.signal_variance(model.of_parts(step))
            if prediction == "x0":
                return clean + off
            if prediction == "velocity":
                return (alpha_bar.sqrt() * trajectory - clean - off) / (1 - alpha_bar).sqrt().clamp(min=1e-6)
            guess = model.guess(trajectory, step)
            return (clean + off - guess.mean) / guess.std.clamp(min=1e-6)

    model = diffusion(Knows(), prediction)
    model.log_error.requires_grad_(False)[-1].weight.zero_()
    model.log_error[-1].bias.zero_()
    clean = torch.randn(40, P, O + 2, generator=seeded(0))
    step = draw_levels(40, P, T, seeded(1))
    noise = torch.randn(clean.shape, generator=seeded(2))
    losses = []
    for off in (0.0, 0.01, -0.1):  # noqa: B007 - the denoiser's error
        losses.append(model.loss(clean, torch.zeros(40, P, A), step, noise).item())
    assert losses[0] < 1e-4
    assert losses[0] < losses[1] < losses[2]


def test_the_expected_error_is_learned_for_each_level_and_number():
    """With a network that adds nothing, u must become the logarithm of the guess's own error in its units: 0."""
    model = diffusion()
    optimiser = torch.optim.Adam(model.log_error.parameters(), lr=1e-2)
    generator = seeded(0)
    scales = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.1])  # endings that vary ten times less than standard numbers
    for _ in range(300):
        clean = torch.randn(512, 2, O + 2, generator=generator) * scales
        step = model.draw_steps(512, 2, generator)
        optimiser.zero_grad()
        model.loss(clean, torch.zeros(512, 2, A), step, torch.randn(clean.shape, generator=generator)).backward()
        optimiser.step()
    expected = model._log_error(torch.tensor([[CLEAN, T - 1]]))[0, 0]
    assert expected[:O].abs().max() < 0.4
    assert expected[-1] < -2.5  # log 0.01 is -4.6


def test_the_correlation_of_neighbours_is_measured():
    model = diffusion()
    generator = seeded(0)
    rho = torch.tensor([0.0, 0.9, 0.999])
    for _ in range(1500):
        first = torch.randn(256, 1, O, generator=generator)
        second = rho * first + (1 - rho**2).sqrt() * torch.randn(256, 1, O, generator=generator)
        clean = torch.cat([torch.cat([first, second], dim=1), torch.zeros(256, 2, 2)], dim=-1)
        model.loss(clean, torch.zeros(256, 2, A), torch.full((256, 2), 9), torch.zeros_like(clean))
    torch.testing.assert_close(model.change_variance.data, 1 - rho**2, rtol=0.05, atol=0)


def test_the_paper_s_diffusion_knows_no_change():
    with pytest.raises(ValueError, match="prediction 'change' is unknown; choose one of x0, velocity"):
        TrajectoryDiffusion(Silent(), NoiseSchedule.cosine(T, 1.0), O, "change")


def rare_endings(n=4000, probability=0.2):
    """Steps that end the episode by chance, normalised."""
    generator = seeded(5)
    states = torch.randn(n, 2, O, generator=generator)
    ended = (torch.rand(n, 1, generator=generator) < probability).float()
    outcomes = torch.stack([torch.zeros(n, 1), (ended - probability) / 0.4], dim=-1)
    trajectory = torch.cat([states, torch.cat([outcomes, 0 * outcomes], dim=1)], dim=-1)
    return trajectory, torch.randn(n, 2, A, generator=generator), ended[:, 0]


def forced(endings):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        schedule = NoiseSchedule.cosine(T, 1.0)
        ending = EndingMLP(O, width=16) if endings == "read" else None
        return ForcedDiffusion(StepMLPDenoiser(O, A, 32, 1, schedule), schedule, O, "change", ending=ending)


def train(model, trajectory, actions, updates=600):
    generator = seeded(6)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(updates):
        rows = torch.randint(len(trajectory), (256,), generator=generator)
        noise = torch.randn(256, 2, O + 2, generator=generator)
        loss = model.loss(trajectory[rows], actions[rows], model.draw_steps(256, 2, generator), noise)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


def imagine_a_step(model, first, visits):
    normaliser = Normaliser(O, A)
    normaliser.terminals.set(torch.tensor([0.2]), torch.tensor([0.4]))
    walk = model.schedule.walk(visits)
    sampler = StaggeredSampler(model, walk, GuidanceSettings(rule="sample"), normaliser, 2, visits)
    return sampler.sample(first, lambda observations: Normal(0 * observations[..., :A], 1.0), 2, seeded(7))


def test_endings_that_are_read_happen_as_often_as_they_should():
    """With one visit a diffused ending is a mean, and a mean of 0.2 never ends anything."""
    trajectory, actions, ended = rare_endings()
    shares = {}
    for endings in ("diffused", "read"):
        model = train(forced(endings), trajectory, actions)
        imagined = imagine_a_step(model, trajectory[:2000, 0, :O], visits=1)
        shares[endings] = imagined.terminals[:, 0].mean().item()
        assert set(imagined.terminals.unique().tolist()) <= {0.0, 1.0}
    assert shares["read"] == pytest.approx(ended.mean().item(), abs=0.03)
    assert shares["diffused"] < 0.02
