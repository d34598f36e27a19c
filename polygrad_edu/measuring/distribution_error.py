r"""Distribution error: imagined futures against real ones, where there is more than one that is right.

A squared error asks for the mean. Where the future is a distribution, these ask for the distribution: proper scores
(CRPS, energy score), the spread, and the share of a hidden constant's variance that lies within a trajectory. All are
functions of arrays, unbiased where the formula has an unbiased estimator, and give their best on real futures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist


def crps(imagined: np.ndarray, real: np.ndarray) -> float:
    r"""Continuous ranked probability score of samples [M] against real values [N], in their unit; lower is better.

    It is the mean squared difference of the distribution function and the step at a real value (Gneiting and Raftery
    2007, equation 21), and the energy score of one dimension.
    """
    return energy_score(imagined[:, None], real[:, None])


def energy_score(imagined: np.ndarray, real: np.ndarray) -> float:
    r"""Energy score of samples [M, D] against real values [N, D], in their unit; lower is better.

    Its expectation is least for the true distribution and for no other (Gneiting and Raftery 2007, equation 22). The
    samples' mean distance to each other is taken over pairs of different ones, which makes the estimate unbiased.
    """
    # ES = E|X - y| - E|X - X'| / 2
    return float(cdist(imagined, real).mean()) - mean_distance(imagined) / 2


def mean_distance(samples: np.ndarray) -> float:
    r"""Mean distance $E|X - X'|$ of two different ones of samples [M, D]: 2 / sqrt(pi) sigma for a normal variable."""
    n = len(samples)
    return float(cdist(samples, samples).sum()) / (n * (n - 1))


def energy_distance(imagined: np.ndarray, real: np.ndarray) -> float:
    r"""Excess of the imagined samples' energy score over the truth's own, twice: 0 for the same distribution.

    Unbiased, so it may come out a little below 0. Samples [M, D] and [N, D], in their unit.
    """
    # D^2 = 2 E|X - Y| - E|X - X'| - E|Y - Y'|
    return 2 * energy_score(imagined, real) - mean_distance(real)


def spread(values: np.ndarray) -> float:
    r"""Standard deviation among trajectories from the same start: values [S, M, D], one number for all starts."""
    # \sqrt{ \mathrm{mean}_{s,d} \mathrm{var}_m x_{smd} }
    return float(np.sqrt(values.var(axis=1, ddof=1).mean()))


class Variance(NamedTuple):
    """Variance of a quantity that each trajectory shows once a step, in two parts that add up.

    Attributes:
        between: of the trajectories' own constants.
        within: of what changes from step to step.
    """

    between: float
    within: float

    @property
    def share_within(self) -> float:
        """Share that lies within a trajectory: 0 for a constant, 1 for what is drawn anew in each step.

        It can exceed 1 where a step tends to undo the one before; then the estimate of ``between`` is negative.
        """
        total = self.between + self.within
        return self.within / total if total > 0 else float("nan")


def variance_parts(values: np.ndarray) -> Variance:
    r"""Variance between and within trajectories of values [M, K, D]: M from the same start, K steps each.

    The analysis of variance with random effects: $d_{mk} = c_m + e_{mk}$. The mean of K steps varies by
    $\sigma_c^2 + \sigma_e^2 / K$, so the part of the changing term is taken off again.
    """
    steps = values.shape[1]
    # \hat\sigma_e^2 = \mathrm{mean}_m \mathrm{var}_k d_{mk}
    within = float(values.var(axis=1, ddof=1).mean())
    # \hat\sigma_c^2 = \mathrm{var}_m \bar d_m - \hat\sigma_e^2 / K
    between = float(values.mean(axis=1).var(axis=0, ddof=1).mean()) - within / steps
    return Variance(between, within)


class Branches(NamedTuple):
    """Trajectories at a fork, as shares of all.

    Attributes:
        one_side: those that drift to one and the same side in every step, at about the true speed. Neither the average
            of both futures nor a change between them does.
        up: those that drift up on the whole.
        bang: those with a bang.
        bang_fits: those of which side and bang agree: down with one, up without.
    """

    one_side: float
    up: float
    bang: float
    bang_fits: float


def branches(drifts: list[np.ndarray], bangs: np.ndarray, speed: float) -> Branches:
    """Sides that trajectories take at a fork.

    Args:
        drifts: of each trajectory those of its steps behind the fork, up counted positive.
        bangs: of each trajectory, whether it had one.
        speed: true drift to either side. A step counts as on a side if it is within half of this.
    """
    up = np.array([drift.mean() > 0 for drift in drifts])
    side = np.where(up, speed, -speed)
    one_side = [(np.abs(drift - own) < speed / 2).all() for drift, own in zip(drifts, side, strict=True)]
    return Branches(float(np.mean(one_side)), float(up.mean()), float(bangs.mean()), float((bangs != up).mean()))
