"""Futures of a hidden world: episodes to learn from, real futures, and the hidden part that explains a path.

The world itself is run many times from the same first observation, with the hidden part drawn from its true
distribution.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch.distributions import Distribution, Independent, Normal

from .. import environments
from ..imagined_trajectories import ImaginedTrajectories
from ..interop.datasets import OfflineData
from ..score_guidance import Policy
from ..tasks.hidden_worlds import EPISODE_STEPS, Fork, HiddenWorld
from .distribution_error import Branches, Variance, branches, variance_parts

POLICY_STD = 0.5  # of the actions, which answer nothing: how well they are followed is not the question here


class Futures(NamedTuple):
    """M futures from each of S first observations."""

    positions: np.ndarray  # [S, M, H, 2] metres
    actions: np.ndarray  # [S, M, H, A]
    rewards: np.ndarray  # [S, M, H]

    def first_observations(self) -> torch.Tensor:
        """[S * M, 2]."""
        return torch.as_tensor(self.positions[:, :, 0].reshape(-1, 2), dtype=torch.float32)

    def like(self, imagined: ImaginedTrajectories) -> Futures:
        """Trajectories [S * M] that were imagined from :meth:`first_observations`, as futures of the same starts."""
        starts, each = self.positions.shape[:2]
        parts = (imagined.observations, imagined.actions, imagined.rewards)
        return Futures(*(part.cpu().double().numpy().reshape(starts, each, *part.shape[1:]) for part in parts))


def indifferent_policy(action_size: int, std: float = POLICY_STD) -> Policy:
    """A policy whose actions [.., A] answer nothing: normally distributed around 0, the same everywhere."""

    def policy(observations: torch.Tensor) -> Distribution:
        mean = observations.new_zeros(*observations.shape[:-1], action_size)
        return Independent(Normal(mean, torch.full_like(mean, std)), 1)

    return policy


def env_id_of(world: type[HiddenWorld]) -> str:
    """The Gymnasium id that a hidden world is registered under."""
    return f"polygrad_edu/{world.__name__}-v0"


def record_episodes(world: type[HiddenWorld], episodes: int, seed: int) -> OfflineData:
    """Episodes of the indifferent policy, to learn from."""
    env = world()
    env.reset(seed=seed)
    generator = np.random.default_rng(seed)
    actions = POLICY_STD * generator.standard_normal((episodes, EPISODE_STEPS, world.action_size))
    observations = np.zeros((episodes, EPISODE_STEPS, 2), np.float32)
    rewards = np.zeros((episodes, EPISODE_STEPS), np.float32)
    for episode in range(episodes):
        observation, _ = env.reset()
        for step in range(EPISODE_STEPS):
            observations[episode, step] = observation
            observation, rewards[episode, step], *_ = env.step(actions[episode, step])
    n = episodes * EPISODE_STEPS
    return OfflineData(
        env_id_of(world),
        observations.reshape(n, 2),
        actions.reshape(n, world.action_size).astype(np.float32),
        rewards.reshape(n),
        terminals=np.zeros(n, bool),
        episodes=np.repeat(np.arange(episodes), EPISODE_STEPS),
        levels=np.full(n, -1),
        simulator_states=None,
        policies={},
    )


def real_futures(
    world: type[HiddenWorld],
    starts: int,
    futures: int,
    ahead: int,
    seed: int,
    drawn_again: bool = False,
    policy_std: float = POLICY_STD,
) -> Futures:
    """Run the world from first observations, ``futures`` times from each.

    What is hidden when an episode begins is independent of the position that is shown then. So its distribution, given
    the first observation, is that of any new episode: one is begun for each future, and its mass put in the place.

    Args:
        drawn_again: other futures from the same first observations, to see how well the truth itself does.
    """
    env = world()
    env.reset(seed=2**20 + seed)  # the starts are new: the episodes to learn from begin with another seed
    places = np.stack([env.reset()[0] for _ in range(starts)]).astype(np.float64)  # [S, 2]
    env.reset(seed=2**21 + 2 * seed + drawn_again)
    generator = np.random.default_rng([seed, int(drawn_again)])
    actions = policy_std * generator.standard_normal((starts, futures, ahead + 1, world.action_size))
    positions = np.zeros((starts, futures, ahead + 1, 2))
    rewards = np.zeros((starts, futures, ahead + 1))
    for start, future in np.ndindex(starts, futures):
        env.reset()
        hidden = environments.get_simulator_state(env)[2:]
        observation = environments.set_simulator_state(env, np.concatenate([places[start], hidden]))
        for step in range(ahead + 1):
            positions[start, future, step] = observation
            observation, rewards[start, future, step], *_ = env.step(actions[start, future, step])
    return Futures(positions, actions, rewards)


def steps_before_drift(world: type[HiddenWorld], futures: Futures) -> list[int]:
    """Steps before anything hidden acts, for each first observation."""
    return [world.steps_before_drift(place) for place in futures.positions[:, 0, 0]]


def hidden_variance(world: type[HiddenWorld], futures: Futures) -> Variance:
    """Variance of the implied drift, from the step on in which something hidden acts."""
    drift = world.implied_drift(futures.positions, futures.actions)[..., world.drift_axes]  # [S, M, H-1, D]
    before = steps_before_drift(world, futures)
    parts = [variance_parts(own[:, first:]) for own, first in zip(drift, before, strict=True)]
    return Variance(*np.mean(parts, axis=0))


def sides(world: type[HiddenWorld], futures: Futures) -> Branches | None:
    """The sides that futures take at a fork; None where there is none."""
    if not issubclass(world, Fork):
        return None
    drift = world.implied_drift(futures.positions, futures.actions)[..., 1]  # [S, M, H-1]
    before = steps_before_drift(world, futures)
    each = [own for start, first in zip(drift, before, strict=True) for own in start[:, first:]]
    bangs = (futures.rewards[:, :, :-1] < -0.5).any(axis=2).ravel()  # [S * M]
    return branches(each, bangs, world.drift_speed)
