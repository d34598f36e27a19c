import pytest
import torch

from polygrad_edu.noise_schedule import NoiseSchedule
from polygrad_edu.replay import Sequences
from polygrad_edu.trajectory_diffusion import TrajectoryDiffusion, diffusion_loss, with_first
from tests.concepts.test_denoiser import load_official


def test_loss_is_the_official_one(golden, close):
    schedule, recorded = golden("schedule"), golden("training_loss")
    noise_schedule = NoiseSchedule.cosine(schedule["n_steps"], schedule["tau"])
    size = recorded["trajectory"].shape[-1] - 2
    model = TrajectoryDiffusion(load_official(golden("denoiser")), noise_schedule, size)
    loss = model.loss(recorded["trajectory"], recorded["actions"], recorded["step"], recorded["trajectory_noise"])
    close(loss.detach(), recorded["loss"])


class ReturnsItsInput(torch.nn.Module):
    """The simplest stub of a denoiser: its answer is the very tensor that it was given."""

    def forward(self, trajectory, actions, step):
        return trajectory


class PerfectVelocity(torch.nn.Module):
    """Knows the clean trajectory and answers with its velocity, sqrt(a) e - sqrt(1 - a) x_0."""

    def __init__(self, clean, schedule):
        super().__init__()
        self.clean = clean
        self.schedule = schedule

    def forward(self, noisy, actions, step):
        alpha_bar = self.schedule.alphas_cumprod[step][:, None, None]
        noise = (noisy - alpha_bar.sqrt() * self.clean) / (1 - alpha_bar).sqrt()
        return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * self.clean


def test_velocity_prediction_recovers_the_clean_trajectory():
    schedule = NoiseSchedule.cosine(16)
    clean, actions, step = torch.randn(8, 5, 4), torch.randn(8, 5, 1), torch.randint(16, (8,))
    model = TrajectoryDiffusion(PerfectVelocity(clean, schedule), schedule, 2, prediction="velocity")
    noisy = schedule.add_noise(clean, step, torch.randn_like(clean))
    torch.testing.assert_close(model.reconstruct(noisy, actions, step, clean[:, 0, :2]), clean, atol=1e-5, rtol=1e-5)
    assert model.loss(clean, actions, step, torch.randn_like(clean)) < 1e-8
    wrong = TrajectoryDiffusion(PerfectVelocity(clean + 1, schedule), schedule, 2, prediction="velocity")
    assert wrong.loss(clean, actions, step, torch.randn_like(clean)) > 0.1


def test_unknown_prediction_is_refused():
    with pytest.raises(ValueError, match="x0, velocity"):
        TrajectoryDiffusion(torch.nn.Identity(), NoiseSchedule.cosine(4), 1, prediction="epsilon")


# ---- nothing that is given is changed ----


def unchanged(function, *arguments):
    """Call ``function`` and return its answer, after checking that every tensor among ``arguments`` kept every bit."""
    before = [argument.clone() if isinstance(argument, torch.Tensor) else None for argument in arguments]
    answer = function(*arguments)
    for argument, copy in zip(arguments, before, strict=True):
        assert copy is None or torch.equal(argument, copy)
    return answer


def test_with_first_is_a_copy():
    trajectory, normed_first = torch.randn(3, 4, 5), torch.randn(3, 3)
    whole = unchanged(with_first, trajectory, normed_first)
    assert torch.equal(whole[:, 0, :3], normed_first)
    assert torch.equal(whole[:, 0, 3:], trajectory[:, 0, 3:])
    assert torch.equal(whole[:, 1:], trajectory[:, 1:])
    before = trajectory.clone()
    whole.zero_()
    assert torch.equal(trajectory, before)


@pytest.mark.parametrize("prediction", ["x0", "velocity"])
def test_no_argument_is_changed_even_if_the_denoiser_returns_its_input(prediction):
    schedule = NoiseSchedule.cosine(16)
    model = TrajectoryDiffusion(ReturnsItsInput(), schedule, 3, prediction)
    noisy, noise = torch.randn(2, 2, 4, 5)
    actions = torch.randn(2, 4, 1)
    normed_first = torch.randn(2, 3)
    reconstruction = unchanged(model.reconstruct, noisy, actions, torch.tensor([7]), normed_first)
    assert torch.equal(reconstruction[:, 0, :3], normed_first)
    for visit in schedule.walk(5):
        less_noisy = unchanged(model.reverse_step, visit, noisy, actions, normed_first, noise)
        assert torch.equal(less_noisy[:, 0, :3], normed_first)
    unchanged(model.loss, noisy, actions, torch.tensor([7, 3]), noise)


# ---- the plain reverse step and the loss of a batch ----


class SumOfAll(torch.nn.Module):
    """A denoiser whose answer depends on all that it is given: half the trajectory, the actions and the step."""

    def forward(self, trajectory, actions, step):
        return trajectory / 2 + actions + step[:, None, None]


def test_a_reverse_step_is_the_visits_mean_and_noise_around_what_the_denoiser_sees():
    schedule = NoiseSchedule.cosine(16)
    model = TrajectoryDiffusion(SumOfAll(), schedule, 3)
    noisy, noise = torch.randn(2, 2, 4, 5)
    actions = torch.randn(2, 4, 1)
    normed_first = torch.randn(2, 3)
    for visit in schedule.walk(5, eta=0.7):
        seen = noisy / 2 + schedule.alphas_cumprod[visit.trained_step].sqrt() * actions + visit.trained_step
        seen[:, 0, :3] = normed_first
        expected = visit.coef_x_0 * seen + visit.coef_x_t * noisy + visit.variance.sqrt() * noise
        expected[:, 0, :3] = normed_first
        torch.testing.assert_close(model.reverse_step(visit, noisy, actions, normed_first, noise), expected)
    assert visit.index == 0
    silence = torch.zeros_like(noise)
    assert torch.equal(  # the last step draws nothing
        model.reverse_step(visit, noisy, actions, normed_first, noise),
        model.reverse_step(visit, noisy, actions, normed_first, silence),
    )


def test_plain_reverse_steps_walk_back_to_what_the_denoiser_knows():
    schedule = NoiseSchedule.cosine(16)
    clean = torch.randn(8, 5, 4)
    model = TrajectoryDiffusion(PerfectVelocity(clean, schedule), schedule, 2, prediction="velocity")
    actions = torch.zeros(8, 5, 1)
    for n_visits in (1, 4, 16):
        trajectory = torch.randn_like(clean)
        for visit in schedule.walk(n_visits):
            noise = torch.randn_like(clean)
            trajectory = model.reverse_step(visit, trajectory, actions, clean[:, 0, :2], noise)
        torch.testing.assert_close(trajectory, clean, atol=1e-4, rtol=1e-4)


def test_a_batch_is_noised_by_the_generator_each_row_at_a_step_of_its_own():
    model = TrajectoryDiffusion(SumOfAll(), NoiseSchedule.cosine(16), 3)
    batch = Sequences(torch.randn(64, 4, 5), torch.randn(64, 4, 1), torch.randn(64, 3), torch.arange(64))
    ours = diffusion_loss(model, batch, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    step = torch.randint(16, (64,), generator=generator)
    noise = torch.randn(64, 4, 5, generator=generator)
    assert torch.equal(ours, model.loss(batch.trajectory, batch.actions, step, noise))
    assert torch.equal(ours, diffusion_loss(model, batch, torch.Generator().manual_seed(3)))
    assert not torch.equal(ours, diffusion_loss(model, batch, torch.Generator().manual_seed(4)))
