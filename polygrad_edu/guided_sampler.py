r"""The guided sampler: policy-guided trajectory diffusion (arXiv 2312.08533, Algorithm 1).

Sampling starts from noise and walks back. At each visit the denoiser says what it sees, the policy is asked what it
would do there, the actions are moved towards that, and the trajectory becomes a little less noisy. States and actions
come to agree on the way. The world model works in normalised units, the policy in the environment's own.

Built in lesson 6.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .acceleration import autocast
from .imagined_trajectories import ImaginedTrajectories
from .noise_schedule import Visit, Walk
from .replay import Normaliser
from .score_guidance import Policy, clip_to_policy, guide_actions, limit_actions
from .settings import GuidanceSettings
from .trajectory_diffusion import TrajectoryDiffusion, with_first
from .variants.state_guidance import advantage_score, states_shift

# From observations [B, H, O], rewards and terminals [B, H], all raw, to one-step advantages [B, H-1].
Advantage = Callable[[Tensor, Tensor, Tensor], Tensor]

CHANGE_LIMIT_STEPS = 10  # the change limit acts at this trained step and below


class SamplerState(NamedTuple):
    """A point of the reverse process, normalised."""

    trajectory: Tensor  # [B, H, O+2]
    actions: Tensor  # [B, H, A]


class SamplerNoise(NamedTuple):
    """Standard normal draws for one visit; the actions' are [k, B, H, A] where each trained step has its own."""

    trajectory: Tensor  # [B, H, O+2]
    actions: Tensor  # [B, H, A]


class Prediction(NamedTuple):
    """One visit's answers, before anything is moved."""

    noisy: Tensor  # [B, H, O+2] normalised
    reconstruction: Tensor  # [B, H, O+2] normalised
    mean: Tensor  # [B, H, O+2] normalised, of the less noisy trajectory


class GuidedSampler:
    """Imagines trajectories whose actions a policy would take.

    Args:
        diffusion: the trained denoiser and its schedule.
        walk: the visits that lead back from noise, ``diffusion.schedule.walk(n_visits, eta)``.
        guidance: the rule and its settings; its scale may be a tensor that somebody else tunes.
        normaliser: between the model's units and the environment's.

    Attributes:
        advantage: the critic's, in a sampler that :meth:`with_advantage` gave.
    """

    advantage: Advantage | None = None

    def __init__(self, diffusion: TrajectoryDiffusion, walk: Walk, guidance: GuidanceSettings, normaliser: Normaliser):
        self.diffusion = diffusion
        self.walk = walk
        self.guidance = guidance
        self.normaliser = normaliser

    def with_advantage(self, advantage: Advantage) -> GuidedSampler:
        """A copy that guides states, too: to more of the critic's ``advantage``, by ``guidance.advantage_scale``."""
        guided = copy.copy(self)
        guided.advantage = advantage
        return guided

    @torch.no_grad()
    def sample(
        self, first_observations: Tensor, policy: Policy, horizon: int, generator: torch.Generator
    ) -> ImaginedTrajectories:
        """Imagine on-policy trajectories from real first observations.

        Args:
            first_observations: [B, O] raw.
            policy: from raw observations to a ``torch.distributions.Distribution``.
            horizon: H, as many time points as the denoiser was made for.
            generator: source of all noise, on the model's device.
        """
        return self.imagined(self.last_of(self._states(first_observations, policy, horizon, generator)), generator)

    def sample_differentiably(
        self, first_observations: Tensor, policy: Policy, horizon: int, generator: torch.Generator
    ) -> ImaginedTrajectories:
        r"""As :meth:`sample`, with a gradient from all that is imagined to the policy's parameters.

        A sampled trajectory is a function of the noise and of the policy, $\tau = f(\epsilon, \pi_\theta)$: with the
        noise held, states, actions and rewards move as the policy does. Terminals do, too: they are probabilities.
        """
        return self.expected(self.last_of(self._states(first_observations, policy, horizon, generator)))

    def go_on(self, block: ImaginedTrajectories, policy: Policy, generator: torch.Generator) -> ImaginedTrajectories:
        """Imagine what follows: another block, which begins at the last time point of ``block``.

        That time point is imagined anew, with an action of its own.
        """
        horizon = block.observations.shape[1]
        return self.sample(block.observations[:, -1], policy, horizon, generator)

    @torch.no_grad()
    def chain(
        self, first_observations: Tensor, policy: Policy, horizon: int, generator: torch.Generator
    ) -> Iterator[SamplerState]:
        """Every state of the reverse process that :meth:`sample` goes through, pure noise first: S + 1 of them."""
        yield from self._states(first_observations, policy, horizon, generator)

    def reverse(
        self, walk: Walk, state: SamplerState, normed_first: Tensor, policy: Policy, generator: torch.Generator
    ) -> Iterator[SamplerState]:
        """The states after each visit of a walk, from the ``state`` that it starts in."""
        kept_noise = state.actions  # the one draw that the fixed-noise rule uses throughout
        for visit in walk:
            noise = self.draw_noise(visit, state, kept_noise, generator)
            with autocast(normed_first.device, self.diffusion.precision):
                state = self.step(visit, state, normed_first, policy, noise)
            yield state

    def last_of(self, states: Iterator[SamplerState]) -> SamplerState:
        """The state at the end of a walk; the others are made here and not kept."""
        # Entered once, around the whole walk: entered at each visit, it would narrow the weights at each visit.
        with autocast(self.diffusion.schedule.betas.device, self.diffusion.precision):
            (end,) = deque(states, maxlen=1)
        return end

    def start(self, normed_first: Tensor, horizon: int, generator: torch.Generator) -> SamplerState:
        """Pure noise around the first observation, which is real; actions start as noise, too."""
        batch, observation_size = normed_first.shape
        device = normed_first.device
        trajectory = torch.randn(batch, horizon, observation_size + 2, generator=generator, device=device)
        actions = torch.randn(batch, horizon, self.normaliser.actions.size, generator=generator, device=device)
        return SamplerState(with_first(trajectory, normed_first), actions)

    def draw_noise(
        self, visit: Visit, state: SamplerState, kept_noise: Tensor, generator: torch.Generator
    ) -> SamplerNoise:
        """The draws that a step asks for; the fixed-noise rule keeps ``kept_noise`` [B, H, A] for its actions."""
        trajectory = torch.zeros_like(state.trajectory)
        if self.walk.eta:
            trajectory.normal_(generator=generator)
        if self.guidance.rule == "fixed-noise":
            return SamplerNoise(trajectory, kept_noise)
        shape = state.actions.shape
        if self.guidance.score == "autograd":
            shape = (len(visit.trained_stds), *shape)
        return SamplerNoise(trajectory, torch.randn(shape, generator=generator, device=trajectory.device))

    def step(
        self, visit: Visit, state: SamplerState, normed_first: Tensor, policy: Policy, noise: SamplerNoise
    ) -> SamplerState:
        r"""One guided reverse step: pure, so noise in, next state out (the body of Algorithm 1's loop).

        Args:
            normed_first: [B, O] normalised, put back after the step.
        """
        guidance = self.guidance_at(visit)
        predicted = self.predict(visit, state, normed_first)
        mean = predicted.mean
        distribution = policy(self._raw_states(self.states_to_ask_at(predicted)))
        actions = self.normaliser.actions.denormalise(state.actions)  # [B, H, A]
        if not visit.trained_stds:  # the last step: no guidance and no noise
            actions = clip_to_policy(actions, distribution, guidance.clip_std)
            return self._state(mean, normed_first, actions)
        unit = self.normaliser.actions.scale
        if guidance.update_states:
            pulled = guide_actions(actions, distribution, guidance, 0 * noise.actions, visit.trained_stds, unit)
            mean = self._mean_moved_by_policy(visit, predicted, normed_first, policy, pulled)
        mean = self._mean_moved_by_advantage(visit, mean, predicted.reconstruction)
        # a <- a + \lambda \nabla_a \log \pi(a | \hat s) + \tilde\beta_t^{1/2} \epsilon
        actions = guide_actions(actions, distribution, guidance, noise.actions, visit.trained_stds, unit)
        # x_{t-1} = \tilde\mu_t + \tilde\beta_t^{1/2} \epsilon
        return self._state(mean + visit.noise_std * noise.trajectory, normed_first, actions)

    def predict(self, visit: Visit, state: SamplerState, normed_first: Tensor) -> Prediction:
        """One visit's answers: the clean trajectory that is seen, and where that leads before guidance and noise."""
        reconstruction = self.reconstruct(visit, state, normed_first)  # [B, H, O+2]
        mean = self._limited(visit, visit.mean(reconstruction, state.trajectory), state.trajectory)
        return Prediction(state.trajectory, reconstruction, mean)

    def reconstruct(self, visit: Visit, state: SamplerState, normed_first: Tensor) -> Tensor:
        """The clean trajectory [B, H, O+2] that the denoiser sees at a visit."""
        # \hat x_0 = f_\theta(x_t, \sqrt{\bar\alpha_t} a, t), with the first observation as it really was
        return self.diffusion.reconstruct(state.trajectory, visit.signal * state.actions, visit.step, normed_first)

    def guidance_at(self, visit: Visit) -> GuidanceSettings:
        """The guidance of one visit: the same at all of them."""
        return self.guidance

    def states_to_ask_at(self, predicted: Prediction) -> Tensor:
        """The trajectory [B, H, O+2] at whose states the policy is asked."""
        return predicted.reconstruction if self.guidance.guide_at == "reconstruction" else predicted.mean

    def imagined(self, state: SamplerState, generator: torch.Generator) -> ImaginedTrajectories:
        """A state of the process in the environment's units, in which an episode has ended or not.

        Args:
            generator: of what is drawn at the end: nothing here, endings where they are probabilities.
        """
        expected = self.expected(state)
        return expected._replace(terminals=(expected.terminals > 0.5).float())

    def expected(self, state: SamplerState) -> ImaginedTrajectories:
        """As :meth:`imagined`, with terminals from 0 to 1, through which a gradient can flow."""
        observations, rewards, terminals = self.normaliser.denormalise_trajectory(state.trajectory)
        actions = self.normaliser.actions.denormalise(state.actions)
        return ImaginedTrajectories(observations, actions, rewards, terminals.clamp(0, 1))

    def _states(
        self, first_observations: Tensor, policy: Policy, horizon: int, generator: torch.Generator
    ) -> Iterator[SamplerState]:
        """The states of :meth:`chain`, with whatever gradients the caller asks for."""
        normed_first = self.normaliser.observations.normalise(first_observations)  # [B, O]
        state = self.start(normed_first, horizon, generator)
        yield state
        yield from self.reverse(self.walk, state, normed_first, policy, generator)

    def _state(self, trajectory: Tensor, normed_first: Tensor, actions: Tensor) -> SamplerState:
        actions = limit_actions(actions, self.guidance.action_limit)
        return SamplerState(with_first(trajectory, normed_first), self.normaliser.actions.normalise(actions))

    def _raw_states(self, trajectory: Tensor) -> Tensor:
        """The states [B, H, O] of a normalised trajectory, as the policy knows them."""
        return self.normaliser.observations.denormalise(trajectory[..., : self.diffusion.observation_size])

    def _mean_moved_by_policy(
        self, visit: Visit, predicted: Prediction, normed_first: Tensor, policy: Policy, pulled: Tensor
    ) -> Tensor:
        """The mean after the predicted states were moved to where the policy likes its ``pulled`` actions better."""
        scale = len(visit.trained_stds) * self.guidance_at(visit).scale
        normed_states = self.states_to_ask_at(predicted)[..., : self.diffusion.observation_size]
        shift = states_shift(normed_states, pulled, lambda normed: policy(self._raw_states(normed)), scale)
        moved = predicted.reconstruction + F.pad(shift, (0, 2))  # [B, H, O+2]
        return visit.mean(with_first(moved, normed_first), predicted.noisy)

    def _mean_moved_by_advantage(self, visit: Visit, mean: Tensor, reconstruction: Tensor) -> Tensor:
        """``mean`` [B, H, O+2], moved towards trajectories with more advantage, where there is a critic to say so."""
        advantage, scale = self.advantage, self.guidance.advantage_scale
        if advantage is None or not scale:
            return mean

        def advantage_of(trajectory: Tensor) -> Tensor:
            return advantage(*self.normaliser.denormalise_trajectory(trajectory))

        return mean + visit.variance * advantage_score(reconstruction, advantage_of, scale)

    def _limited(self, visit: Visit, mean: Tensor, noisy: Tensor) -> Tensor:
        """``mean``, not further from x_t than the change limit allows near the end of the chain."""
        if visit.trained_step > CHANGE_LIMIT_STEPS:
            return mean
        limit = self.guidance.change_limit * visit.jump
        return noisy + (mean - noisy).clamp(-limit, limit)
