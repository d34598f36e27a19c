"""Statistics over several seeds: interquartile means with bootstrap intervals, after Agarwal and others.

*Deep Reinforcement Learning at the Edge of the Statistical Precipice* (arXiv 2108.13264) shows how far off a mean over
a few seeds can be, and what to report instead. The numbers come from its authors' library, rliable.

Scores are matrices ``[N, M]``: N runs (seeds) of each of M tasks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from rliable import library, metrics
from scipy.stats import trim_mean
from torch.distributions import Normal

from .. import environments
from ..imagination_loop import REPORT_SEED
from ..settings import Preset
from ..tasks.published_returns import references_for
from ..world_model_error import Interval

REPETITIONS = 2_000  # of the bootstrap
RANDOM_EPISODES = 20


class Scale(NamedTuple):
    """Two returns on a task that make returns on different tasks comparable: the score is 0 at one and 1 at the other.

    Attributes:
        random: the return of random actions, score 0.
        goal: score 1.
        source: origin of the goal, in words.
    """

    env_id: str
    random: float
    goal: float
    source: str

    def score(self, returns: np.ndarray) -> np.ndarray:
        """Returns in units of this scale."""
        return (np.asarray(returns) - self.random) / (self.goal - self.random)


def find_scale(preset: Preset, best: float) -> Scale:
    """The scale of a task: from the return of random actions to a goal, which others have set where there is one.

    Args:
        best: the best return in the study, for tasks without any other goal.
    """
    random = random_return(preset)
    threshold = gymnasium.spec(preset.task.env_id).reward_threshold
    published = references_for(preset.task.env_id)
    if threshold is not None:
        goal, source = float(threshold), "Gymnasium's own threshold for a solved task"
    elif published:
        highest = max(published, key=lambda reference: reference.mean)
        goal, source = float(highest.mean), f"{highest.algorithm} on {highest.env_id} ({highest.source})"
    else:
        goal, source = best, "the best trial of this study, as the task has no goal of its own"
    if goal <= random:
        goal, source = random + 1, "one more than random, as no trial here did better than random actions"
    return Scale(preset.task.env_id, random, goal, source)


def random_return(preset: Preset) -> float:
    """The mean return of uniformly random actions, over the same episodes as a trained policy's reported return."""
    env = environments.make(preset.task.env_id, preset.task.action_scale)
    size = gymnasium.spaces.flatdim(env.action_space)
    env.close()
    generator = torch.Generator().manual_seed(REPORT_SEED)

    def act(observations: torch.Tensor) -> Normal:
        return Normal(2 * torch.rand(len(observations), size, generator=generator) - 1, 1.0)  # its mean is played

    def make() -> gymnasium.Env:
        return environments.make(preset.task.env_id, preset.task.action_scale)

    return float(environments.evaluate(make, act, RANDOM_EPISODES, REPORT_SEED).mean())


@contextlib.contextmanager
def seeded() -> Generator[None, None, None]:
    """Seed NumPy's global generator, from which rliable draws its bootstrap samples, and leave it as it was."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def interquartile_mean(scores: np.ndarray) -> Interval:
    """The mean of the middle half of all scores [N, M], with the interval from resampling each task's runs."""
    value, (low, high) = _estimate(scores, lambda x: np.array([metrics.aggregate_iqm(x)]))
    return Interval(float(value[0]), float(low[0]), float(high[0]))


def learning_curve(returns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Interquartile mean of the returns [N, K] of N runs at K evaluations: value, low and high end, each [K]."""
    value, (low, high) = _estimate(returns[:, None], lambda x: trim_mean(x[:, 0], 0.25, axis=0))
    return value, low, high


def performance_profile(scores: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of runs whose score is above each of K levels: value, low and high end, each [K]."""

    def share_above(x: np.ndarray, tau: np.ndarray) -> np.ndarray:
        return (x.reshape(-1, 1) > tau).mean(axis=0)

    with seeded():
        value, ends = library.create_performance_profile(
            {"": scores}, levels, custom_profile_func=share_above, reps=REPETITIONS
        )
    return value[""], *ends[""]


def probability_of_improvement(scores: np.ndarray, others: np.ndarray) -> Interval:
    """Probability that a run of the first kind beats one of the second on the same task, averaged over tasks."""
    with seeded():
        value, ends = library.get_interval_estimates(
            {"": [scores, others]}, lambda x, y: np.array([metrics.probability_of_improvement(x, y)]), reps=500
        )
    (low,), (high,) = ends[""]
    return Interval(float(value[""][0]), float(low), float(high))


def _estimate(scores: np.ndarray, aggregate: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    with seeded():
        value, ends = library.get_interval_estimates({"": scores}, aggregate, reps=REPETITIONS)
    return value[""], ends[""]
