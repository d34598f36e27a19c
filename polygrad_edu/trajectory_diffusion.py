"""Trajectory diffusion: the world model that denoises a whole trajectory at once.

Training teaches the denoiser to find the clean trajectory under the noise. Sampling starts from noise
and walks back, guided by the policy at every step (arXiv 2312.08533, Algorithm 1). Trajectories are
[B, H, O+2] (observation, reward, terminal) in normalised units; the policy sees the environment's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from .acceleration import autocast
from .noise_schedule import NoiseSchedule
from .replay import Normaliser
from .score_guidance import Guidance, clip_to_policy, guide_actions
from .variants.state_guidance import advantage_score, states_shift

Policy = Callable[[Tensor], Distribution]
PREDICTIONS = ("x0", "velocity")


class ImaginedTrajectories(NamedTuple):
    """What the world model imagined, in the environment's units.

    ``trajectory_chain`` and ``action_chain`` hold every state of the reverse process in normalised
    units, noisiest first, when they were asked for.
    """

    observations: Tensor  # [B, H, O]
    actions: Tensor  # [B, H, A]
    rewards: Tensor  # [B, H]
    terminals: Tensor  # [B, H] 0 or 1
    trajectory_chain: Tensor | None = None  # [S+1, B, H, O+2]
    action_chain: Tensor | None = None  # [S+1, B, H, A]


class TrajectoryDiffusion(nn.Module):
    """A denoiser and its noise schedule: the loss it is trained with and the sampler that uses it.

    Args:
        denoiser: predicts the clean trajectory, see :mod:`polygrad_edu.denoiser`.
        schedule: the T steps it is trained on.
        observation_size: O.
        precision: of the networks' matrix products, see :mod:`polygrad_edu.acceleration`. Training in float16
            would lose small gradients, so then it stays in float32.
        prediction: what the network's output stands for. ``x0`` is the paper's, the clean trajectory itself.
            ``velocity`` (arXiv 2202.00512) lets it say what to change in its input instead, so that it need
            not learn to copy what is hardly noisy; on 1,000 transitions of InvertedPendulum the error
            one step ahead was less than half.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        schedule: NoiseSchedule,
        observation_size: int,
        prediction: str = "x0",
        precision: str = "float32",
    ):
        super().__init__()
        if prediction not in PREDICTIONS:
            raise ValueError(f"prediction {prediction!r} is unknown; choose one of {', '.join(PREDICTIONS)}")
        self.prediction, self.precision = prediction, precision
        self.denoiser = denoiser
        self.schedule = schedule
        self.observation_size = observation_size
        # Posterior standard deviation of every trained step, on the host, for the guidance rules.
        self._trained_stds: list[float] = schedule.posterior_variance.sqrt().tolist()
        self._respaced: dict[tuple[int, float], NoiseSchedule] = {}

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
        first = trajectory[:, 0, : self.observation_size]  # [B, O]
        noisy = self._with_first(self.schedule.add_noise(trajectory, step, noise), first)  # [B, H, O+2]
        scaled_actions = self.schedule.add_noise(actions, step, torch.zeros_like(actions))  # [B, H, A]
        with autocast(noisy.device, "float32" if self.precision == "float16" else self.precision):
            reconstruction = self.reconstruct(noisy, scaled_actions, step, first)
        # L = E || \hat x_0(x_t, a, t) - x_0 ||^2
        squared_error = (reconstruction - trajectory).square()
        if self.prediction == "velocity":
            # || \hat v - v ||^2 = || \hat x_0 - x_0 ||^2 / (1 - \bar\alpha_t)
            squared_error = squared_error / (1 - self.schedule.alphas_cumprod[step])[:, None, None]
        return squared_error.mean()

    def reconstruct(self, noisy: Tensor, scaled_actions: Tensor, step: Tensor, first_observations: Tensor) -> Tensor:
        """The clean trajectory that the denoiser sees in a noisy one, [B, H, O+2]; ``step`` is [B] or [1]."""
        output = self.denoiser(noisy, scaled_actions, step).to(noisy.dtype)
        if self.prediction == "velocity":
            alpha_bar = self.schedule.alphas_cumprod[step][:, None, None]
            # \hat x_0 = \sqrt{\bar\alpha_t} x_t - \sqrt{1 - \bar\alpha_t} \hat v
            output = alpha_bar.sqrt() * noisy - (1 - alpha_bar).sqrt() * output
        return self._with_first(output, first_observations)

    def reverse_step(
        self,
        schedule: NoiseSchedule,
        index: int,
        trajectory: Tensor,
        actions: Tensor,
        first_observations: Tensor,
        policy: Policy,
        normaliser: Normaliser,
        guidance: Guidance,
        trajectory_noise: Tensor,
        action_noise: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """One step of the guided reverse process: pure, so noise in, next state out (Algorithm 1's loop body).

        Args:
            schedule: the schedule walked, perhaps respaced; ``index`` is the step's place in it.
            trajectory, actions: [B, H, O+2] and [B, H, A] at this step, normalised.
            first_observations: [B, O] normalised, put back after the step.
            policy: from raw observations to a distribution over raw actions.
            trajectory_noise, action_noise: standard normal, shaped like what they are added to.

        Returns:
            The less noisy trajectory and the guided actions, both normalised.
        """
        step = schedule.trained_steps[index : index + 1]  # [1]
        signal = schedule.alphas_cumprod[index].sqrt()
        # \hat x_0 = f_\theta(x_t, \sqrt{\bar\alpha_t} a, t), with the first observation as it really was
        reconstruction = self.reconstruct(trajectory, signal * actions, step, first_observations)  # [B, H, O+2]
        mean = schedule.posterior_mean(reconstruction, trajectory, index)
        trained_step = schedule.trained_step_numbers[index]
        if trained_step <= guidance.change_limit_steps:
            limit = guidance.change_limit * schedule.jumps[index]
            mean = trajectory + (mean - trajectory).clamp(-limit, limit)

        guide_at = reconstruction if guidance.guide_at == "reconstruction" else mean
        guide_states = normaliser.observations.denormalise(guide_at[..., : self.observation_size])  # [B, H, O]
        distribution = policy(guide_states)
        raw_actions = normaliser.actions.denormalise(actions)  # [B, H, A]
        if trained_step == 0:  # the last step: no guidance and no noise
            raw_actions = clip_to_policy(raw_actions, distribution, guidance.clip_std)
            trajectory = mean
        else:
            first_skipped = trained_step - schedule.jumps[index] + 1
            # the step to x_{-1} is unguided, so a chain that jumps all the way stands for one step fewer
            step_stds = self._trained_stds[max(first_skipped, 1) : trained_step + 1][::-1]
            unit = normaliser.actions.scale
            if guidance.update_states:
                pulled = guide_actions(raw_actions, distribution, guidance, 0 * action_noise, step_stds, unit)
                shift = states_shift(
                    guide_at[..., : self.observation_size],
                    pulled,
                    lambda states: policy(normaliser.observations.denormalise(states)),
                    len(step_stds) * guidance.scale,
                )
                moved = reconstruction + F.pad(shift, (0, 2))  # [B, H, O+2]
                mean = schedule.posterior_mean(self._with_first(moved, first_observations), trajectory, index)
            if (advantage := guidance.advantage) is not None:
                mean = mean + schedule.posterior_variance[index] * advantage_score(
                    reconstruction,
                    lambda x: advantage(*normaliser.denormalise_trajectory(x)),
                    guidance.advantage_scale,
                )
            raw_actions = guide_actions(raw_actions, distribution, guidance, action_noise, step_stds, unit)
            # x_{t-1} = \tilde\mu_t + \tilde\beta_t^{1/2} \epsilon
            trajectory = mean + schedule.posterior_variance[index].sqrt() * trajectory_noise
        return self._with_first(trajectory, first_observations), normaliser.actions.normalise(raw_actions)

    @torch.no_grad()
    def imagine(
        self,
        first_observations: Tensor,
        policy: Policy,
        normaliser: Normaliser,
        guidance: Guidance,
        horizon: int,
        n_sampling_steps: int,
        generator: torch.Generator,
        return_chain: bool = False,
        eta: float = 1.0,
    ) -> ImaginedTrajectories:
        """Imagine on-policy trajectories from real first observations (Algorithm 1).

        Args:
            first_observations: [B, O] in the environment's units.
            policy: any callable from raw observations to a ``torch.distributions.Distribution``.
            n_sampling_steps: S, how many of the T trained steps to visit.
            generator: source of all noise, on the model's device.
            return_chain: keep all states of the reverse process (for plots and sliders).
            eta: noise of each reverse step, see :class:`NoiseSchedule`.
        """
        walk = (n_sampling_steps, eta)
        if walk not in self._respaced:
            self._respaced[walk] = self.schedule.respaced(*walk)
        schedule = self._respaced[walk]
        first = normaliser.observations.normalise(first_observations)  # [B, O]
        batch, observation_size = first.shape

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, device=first.device)

        action_size = normaliser.actions.size
        trajectory = self._with_first(draw(batch, horizon, observation_size + 2), first)
        # Actions start as noise; so does the one draw that the fixed-noise rule keeps.
        actions = start_actions = draw(batch, horizon, action_size)
        chain = [(trajectory, actions)]
        trajectory_noise = torch.zeros_like(trajectory)  # filled anew at each step that adds noise
        with autocast(first.device, self.precision):
            for index in reversed(range(schedule.n_steps)):
                if eta:
                    trajectory_noise.normal_(generator=generator)
                if guidance.rule == "fixed-noise":
                    action_noise = start_actions
                elif guidance.score == "autograd":
                    n_guided = min(schedule.jumps[index], schedule.trained_step_numbers[index])
                    action_noise = draw(n_guided, batch, horizon, action_size)
                else:
                    action_noise = draw(batch, horizon, action_size)
                state = (schedule, index, trajectory, actions, first)
                noise = (trajectory_noise, action_noise)
                trajectory, actions = self.reverse_step(*state, policy, normaliser, guidance, *noise)
                if return_chain:
                    chain.append((trajectory, actions))

        observations, rewards, terminals = normaliser.denormalise_trajectory(trajectory)
        chains = tuple(torch.stack(states) for states in zip(*chain, strict=True)) if return_chain else ()
        return ImaginedTrajectories(
            observations, normaliser.actions.denormalise(actions), rewards, (terminals > 0.5).float(), *chains
        )

    def _with_first(self, trajectory: Tensor, first_observations: Tensor) -> Tensor:
        """The trajectory with its first observation replaced by the real one (in place: it is ours)."""
        trajectory[:, 0, : self.observation_size] = first_observations
        return trajectory
