"""Trajectory diffusion: a denoiser trained on whole trajectories, and one plain step back from noise.

Training teaches the denoiser to find the clean trajectory under the noise. A reverse step asks it and goes a little of
the way; no policy is needed for that. Guidance is built on it in :mod:`polygrad_edu.guided_sampler`. Trajectories are
[B, H, O+2] (observation, reward, terminal) in normalised units (arXiv 2312.08533, sections 3 and 4).

Built in lesson 4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .acceleration import autocast
from .noise_schedule import NoiseSchedule, Visit
from .replay import Sequences


class TrajectoryDiffusion(nn.Module):
    """A denoiser and its noise schedule: the loss it is trained with and the reverse step that uses it.

    Args:
        denoiser: predicts the clean trajectory, see :mod:`polygrad_edu.denoiser`.
        schedule: the T steps it is trained on.
        observation_size: O.
        prediction: what the network's output stands for. ``x0`` is the paper's, the clean trajectory itself.
            ``velocity`` (arXiv 2202.00512) lets it say what to change in its input instead, so that it need
            not learn to copy what is hardly noisy; on 1,000 transitions of InvertedPendulum the error
            one step ahead was less than half.
        precision: of the networks' matrix products, see :mod:`polygrad_edu.acceleration`. Training in float16
            would lose small gradients, so then it stays in float32.
    """

    predictions: tuple[str, ...] = ("x0", "velocity")

    def __init__(
        self,
        denoiser: nn.Module,
        schedule: NoiseSchedule,
        observation_size: int,
        prediction: str = "x0",
        precision: str = "float32",
    ):
        super().__init__()
        if prediction not in self.predictions:
            raise ValueError(f"prediction {prediction!r} is unknown; choose one of {', '.join(self.predictions)}")
        self.prediction = prediction
        self.precision = precision
        self.denoiser = denoiser
        self.schedule = schedule
        self.observation_size = observation_size

    def loss(self, trajectory: Tensor, actions: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        r"""Mean squared error of the predicted clean trajectory (arXiv 2312.08533, equation 3).

        The first observation is known when imagining, so it is given clean and not scored. Actions are
        scaled to the step's signal level and carry no noise: guidance will move them, not the denoiser.

        Args:
            trajectory: [B, H, O+2] clean, normalised.
            actions: [B, H, A] normalised.
            step: [B] diffusion step of each row.
            noise: [B, H, O+2] standard normal.
        """
        normed_first = trajectory[:, 0, : self.observation_size]  # [B, O]
        noisy = with_first(self.schedule.add_noise(trajectory, step, noise), normed_first)  # [B, H, O+2]
        scaled_actions = self.schedule.add_noise(actions, step, torch.zeros_like(actions))  # [B, H, A]
        with autocast(noisy.device, "float32" if self.precision == "float16" else self.precision):
            reconstruction = self.reconstruct(noisy, scaled_actions, step, normed_first)
        # L = E || \hat x_0(x_t, a, t) - x_0 ||^2
        squared_error = (reconstruction - trajectory).square()
        if self.prediction == "velocity":
            # || \hat v - v ||^2 = || \hat x_0 - x_0 ||^2 / (1 - \bar\alpha_t)
            squared_error = squared_error / (1 - self.schedule.alphas_cumprod[step])[:, None, None]
        return squared_error.mean()

    def draw_steps(self, n_rows: int, n_points: int, generator: torch.Generator) -> Tensor:
        """Steps to train on: one for each row, the same at all of its ``n_points`` time points; [B]."""
        return torch.randint(self.schedule.n_steps, (n_rows,), generator=generator, device=generator.device)

    def reconstruct(self, noisy: Tensor, scaled_actions: Tensor, step: Tensor, normed_first: Tensor) -> Tensor:
        """The clean trajectory that the denoiser sees in a noisy one, [B, H, O+2].

        Args:
            noisy: [B, H, O+2] at the step.
            scaled_actions: [B, H, A] scaled to the step's signal level.
            step: [B] or [1].
            normed_first: [B, O] real first observations, normalised; they stand in the answer as they are.
        """
        output = self.denoiser(noisy, scaled_actions, step).to(noisy.dtype)
        if self.prediction == "velocity":
            alpha_bar = self.schedule.alphas_cumprod[step][:, None, None]
            # \hat x_0 = \sqrt{\bar\alpha_t} x_t - \sqrt{1 - \bar\alpha_t} \hat v
            output = alpha_bar.sqrt() * noisy - (1 - alpha_bar).sqrt() * output
        return with_first(output, normed_first)

    def reverse_step(self, visit: Visit, noisy: Tensor, actions: Tensor, normed_first: Tensor, noise: Tensor) -> Tensor:
        r"""One step back from noise under given actions, with no policy: pure, noise in, next trajectory out.

        Args:
            visit: the step of the walk.
            noisy: [B, H, O+2] at this step.
            actions: [B, H, A] normalised.
            normed_first: [B, O] normalised, put back after the step.
            noise: [B, H, O+2] standard normal.
        """
        # \hat x_0 = f_\theta(x_t, \sqrt{\bar\alpha_t} a, t), with the first observation as it really was
        reconstruction = self.reconstruct(noisy, visit.signal * actions, visit.step, normed_first)  # [B, H, O+2]
        # x_{t-1} = \tilde\mu_t + \tilde\beta_t^{1/2} \epsilon
        less_noisy = visit.mean(reconstruction, noisy) + visit.noise_std * noise
        return with_first(less_noisy, normed_first)


def diffusion_loss(diffusion: TrajectoryDiffusion, batch: Sequences, generator: torch.Generator) -> Tensor:
    """The denoising loss of a batch, at steps that the diffusion draws."""
    n_rows, n_points = batch.trajectory.shape[:2]
    step = diffusion.draw_steps(n_rows, n_points, generator)
    noise = torch.randn(batch.trajectory.shape, generator=generator, device=generator.device)
    return diffusion.loss(batch.trajectory, batch.actions, step, noise)


def with_first(trajectory: Tensor, normed_first: Tensor) -> Tensor:
    """A copy of ``trajectory`` [B, H, O+2] whose first observation is the real one, ``normed_first`` [B, O]."""
    whole = trajectory.clone()
    whole[:, 0, : normed_first.shape[-1]] = normed_first
    return whole
