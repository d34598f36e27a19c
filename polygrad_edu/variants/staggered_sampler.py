r"""The staggered sampler: policy-guided diffusion in which each step of a trajectory waits for the one before it.

It is Algorithm 1 (arXiv 2312.08533) with a noise level for each time point. An action is guided while the step that it
leads to is denoised, and decided before that begins. By then the state that it answers is nearly clean (or clean, if
the delay is long enough), so the action hardly changes any more and no later state has to be taken back. The policy is
asked at the states as they stand: clean ones as they are, noisy ones as the denoiser sees them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..guided_sampler import CHANGE_LIMIT_STEPS, GuidedSampler, Prediction, SamplerNoise, SamplerState
from ..imagined_trajectories import ImaginedTrajectories
from ..noise_schedule import CLEAN, Visit, Walk
from ..replay import Normaliser
from ..score_guidance import Policy, clip_to_policy, guide_actions, limit_actions
from ..settings import GuidanceSettings
from .diffusion_forcing import ForcedDiffusion, of_step_after


@dataclass(frozen=True, eq=False)
class StaggeredVisit(Visit):
    """One call of the denoiser in a staggered walk: each time point makes a visit of its own, or stands still.

    The numbers of a :class:`polygrad_edu.noise_schedule.Visit` are here for each of R time points: ``step`` [1, R] with
    ``CLEAN`` for those that have arrived; ``coef_x_0``, ``coef_x_t`` and ``variance`` [R, O+2], where coefficients of 0
    and 1 leave a number as it is; ``trained_stds`` [K, R, 1], for the actions, with zeros first where a visit stands
    for fewer than K trained steps. ``trained_step`` and ``jump`` are the noisiest time point's. Actions are not
    scaled: ``signal`` is 1.

    Attributes:
        part_steps: [R, O+2] diffusion step of each number.
        part_jumps: [R, O+2] how many trained steps its visit stands for.
        rows: the R time points that the call is about: those that move, and those that the denoiser needs to see.
        guided: [R, 1] actions that are guided after the call: those whose step makes a visit in the next one.
        arriving: [R, 1] actions whose step makes its last visit.
        asks_denoiser: False for the opening, in which only the action at the last known state is decided.
    """

    rows: slice
    part_steps: Tensor
    part_jumps: Tensor
    guided: Tensor
    arriving: Tensor
    asks_denoiser: bool


class StaggeredWalk(Walk):
    """The calls that lead a trajectory back from noise, each step ``delay`` visits behind the one before it.

    ``for visit in walk`` is the reverse process. Every step makes the same S visits, only the beginnings differ, so
    S + delay (P - 2) calls are made for P time points. A denoiser that looks back on few time points is asked about
    those alone that move, so that the work stays that of S calls.

    Args:
        walk: the visits of each step.
        diffusion: tells which part of a trajectory belongs to which step.
        n_points: P, time points in a trajectory.
        delay: visits that a step waits for the one before it. More than there are visits is as many.
        n_known: time points that are known to begin with; at least the first.
    """

    def __init__(self, walk: Walk, diffusion: ForcedDiffusion, n_points: int, delay: int, n_known: int = 1):
        if not 1 <= n_known < n_points:
            raise ValueError(f"of {n_points} time points 1 to {n_points - 1} can be known, not {n_known}")
        self.eta, self.trained_steps, self.alphas_cumprod = walk.eta, walk.trained_steps, walk.alphas_cumprod
        delay = min(delay, len(walk))
        self.n_calls = len(walk) + delay * (n_points - 1 - n_known)
        begins = [delay * (point - n_known) for point in range(n_points)]  # the call at which each step begins
        begins[:n_known] = [-len(walk) - 1] * n_known  # these made all their visits before
        # where steps wait for each other, an action is decided before its step begins; the first of them in an opening
        calls = range(-1 if delay else 0, self.n_calls)
        visits = [
            _staggered_visit(walk, diffusion, [call - begin for begin in begins], self.n_calls - 1 - call)
            for call in calls
        ]
        self._visits: list[Visit] = [*reversed(visits)]  # the last one first, as in any walk

    def __len__(self) -> int:
        """Calls of the denoiser."""
        return self.n_calls


def _staggered_visit(walk: Walk, diffusion: ForcedDiffusion, made: list[int], index: int) -> StaggeredVisit:
    """One call, given how many visits each time point has ``made``: less than 0 before it begins, S when it is done.

    Args:
        index: how many calls come after it.
    """
    n_visits = len(walk)
    moving = [point for point, count in enumerate(made) if 0 <= count < n_visits]
    rows = slice(0, len(made))
    if not moving:
        known = sum(count >= n_visits for count in made)
        rows = slice(known - 1, known)
    elif diffusion.lookback is not None:  # the reward and the action of a step stand a row before its state
        rows = slice(max(moving[0] - max(diffusion.lookback, 1), 0), moving[-1] + 1)
    visits = [walk.visit(n_visits - 1 - count) if 0 <= count < n_visits else None for count in made]
    steps: list[int] = walk.trained_steps.tolist()
    resting = [CLEAN if count > 0 else steps[-1] for count in made]
    step = [steps[visit.index] if visit else rest for visit, rest in zip(visits, resting, strict=True)]
    stds = [list(visit.trained_stds) if visit else [] for visit in visits]
    jumps = [visit.jump if visit else 0 for visit in visits]
    longest = max(1, *map(len, stds))
    padded = [[0.0] * (longest - len(own)) + own for own in stds]  # [P, K]
    device = diffusion.schedule.betas.device

    def per_part(values: Sequence[float]) -> Tensor:
        return diffusion.of_parts(torch.tensor(values, device=device))[rows]  # [R, O+2]

    def per_action(values: Sequence[bool]) -> Tensor:
        return of_step_after(torch.tensor(values, device=device))[rows, None]  # [R, 1]

    return StaggeredVisit(
        index=index,
        rows=rows,
        step=torch.tensor(step[rows], device=device)[None],
        signal=torch.ones((), device=device),
        coef_x_0=per_part([visit.coef_x_0.item() if visit else 0.0 for visit in visits]),
        coef_x_t=per_part([visit.coef_x_t.item() if visit else 1.0 for visit in visits]),
        variance=per_part([visit.variance.item() if visit else 0.0 for visit in visits]),
        trained_step=max(step),
        jump=max(jumps),
        part_steps=per_part(step),
        part_jumps=per_part(jumps),
        trained_stds=of_step_after(torch.tensor(padded, device=device).T)[:, rows, None],
        guided=per_action([-1 <= count < n_visits - 1 for count in made]),
        arriving=per_action([count == n_visits - 1 for count in made]),
        asks_denoiser=bool(moving),
    )


class StaggeredSampler(GuidedSampler):
    """Imagines trajectories step after step, with as much overlap as the delay leaves.

    Args:
        diffusion: the trained denoiser and its schedule.
        walk: the visits that each step makes.
        guidance: the rule and its settings.
        normaliser: between the model's units and the environment's.
        n_points: P, time points of a block.
        delay: visits that a step waits for the one before it.
    """

    diffusion: ForcedDiffusion

    def __init__(
        self,
        diffusion: ForcedDiffusion,
        walk: Walk,
        guidance: GuidanceSettings,
        normaliser: Normaliser,
        n_points: int,
        delay: int,
    ):
        super().__init__(diffusion, StaggeredWalk(walk, diffusion, n_points, delay), guidance, normaliser)
        self.n_points = n_points
        lookback = diffusion.lookback
        self.n_known = n_points // 2 if lookback is None else min(lookback, n_points // 2)  # when going on
        self.walk_on = StaggeredWalk(walk, diffusion, n_points, delay, self.n_known)

    @torch.no_grad()
    def go_on(self, block: ImaginedTrajectories, policy: Policy, generator: torch.Generator) -> ImaginedTrajectories:
        """Imagine what follows: another block, which begins at the last time point of ``block``.

        It is told as many of the time points before that one as the denoiser looks back on, or half a block.
        """
        known = block.map(lambda part: part[:, -self.n_known :])
        normed = self.normaliser.normalise_trajectory(known.observations, known.rewards, known.terminals)
        normed_actions = self.normaliser.actions.normalise(known.actions)
        normed_first = normed[:, 0, : self.diffusion.observation_size]
        state = self.start(normed_first, self.n_points, generator)
        # of the last known time point only the state is known; its action, reward and ending come with the next step
        state.trajectory[:, : self.n_known, : self.diffusion.observation_size] = normed[..., :-2]
        state.trajectory[:, : self.n_known - 1, -2:] = normed[:, :-1, -2:]
        state.actions[:, : self.n_known - 1] = normed_actions[:, :-1]
        states = self.reverse(self.walk_on, state, normed_first, policy, generator)
        imagined = self.imagined(self.last_of(states), generator)
        return imagined.map(lambda part: part[:, self.n_known - 1 :])

    def imagined(self, state: SamplerState, generator: torch.Generator) -> ImaginedTrajectories:
        """As :meth:`GuidedSampler.imagined`; endings that are read as probabilities are drawn."""
        if self.diffusion.ending is None:
            return super().imagined(state, generator)
        expected = self.expected(state)
        drawn = torch.rand(expected.terminals.shape, generator=generator, device=expected.terminals.device)
        return expected._replace(terminals=(drawn < expected.terminals).float())

    def expected(self, state: SamplerState) -> ImaginedTrajectories:
        """As :meth:`GuidedSampler.expected`, with endings as they are read."""
        expected = super().expected(state)
        if self.diffusion.ending is None:
            return expected
        probability = self.diffusion.ending_log_odds(state.trajectory).sigmoid()  # [B, P-1]
        return expected._replace(terminals=F.pad(probability, (0, 1)))

    def draw_noise(
        self, visit: Visit, state: SamplerState, kept_noise: Tensor, generator: torch.Generator
    ) -> SamplerNoise:
        """As :meth:`GuidedSampler.draw_noise`, for the rows of the visit: [B, R, O+2] and [B, R, A]."""
        assert isinstance(visit, StaggeredVisit)
        return super().draw_noise(visit, _rows(state, visit), kept_noise[:, visit.rows], generator)

    def step(
        self, visit: Visit, state: SamplerState, normed_first: Tensor, policy: Policy, noise: SamplerNoise
    ) -> SamplerState:
        """As :meth:`GuidedSampler.step`, with each time point at a visit of its own, or at rest."""
        assert isinstance(visit, StaggeredVisit)
        now = _rows(state, visit)
        predicted = self.predict(visit, now, normed_first) if visit.asks_denoiser else Prediction(*[now.trajectory] * 3)
        mean = self._mean_moved_by_advantage(visit, predicted.mean, predicted.reconstruction)
        distribution = policy(self._raw_states(self.states_to_ask_at(predicted)))
        actions = self.normaliser.actions.denormalise(now.actions)  # [B, R, A]
        unit = self.normaliser.actions.scale
        guided = guide_actions(actions, distribution, self.guidance, noise.actions, visit.trained_stds, unit)
        clipped = clip_to_policy(actions, distribution, self.guidance.clip_std)
        moved = limit_actions(torch.where(visit.guided, guided, clipped), self.guidance.action_limit)
        actions = torch.where(visit.guided | visit.arriving, moved, actions)
        trajectory, normed_actions = state.trajectory.clone(), state.actions.clone()
        trajectory[:, visit.rows] = mean + visit.noise_std * noise.trajectory
        normed_actions[:, visit.rows] = self.normaliser.actions.normalise(actions)
        return SamplerState(trajectory, normed_actions)

    def _limited(self, visit: Visit, mean: Tensor, noisy: Tensor) -> Tensor:
        assert isinstance(visit, StaggeredVisit)
        limit = self.guidance.change_limit * visit.part_jumps  # [R, O+2]
        limit = torch.where(visit.part_steps > CHANGE_LIMIT_STEPS, math.inf, limit)
        return noisy + torch.clamp(mean - noisy, -limit, limit)


def _rows(state: SamplerState, visit: StaggeredVisit) -> SamplerState:
    """The time points [B, R, ...] that a visit is about."""
    return SamplerState(*(part[:, visit.rows] for part in state))
