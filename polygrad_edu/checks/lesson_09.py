"""Checks of lesson 9: how good is the world model?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import given


def check_error_by_horizon(
    error_by_horizon: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> None:
    """Check ``error_by_horizon(imagined, real, terminals, std)``: median squared error of trajectories not ended."""
    real = np.zeros((3, 4, 2))
    running = np.zeros((3, 4))
    std = np.array([1.0, 10.0])
    same = given(error_by_horizon(real, real, running, std), "error_by_horizon")
    assert np.shape(same) == (4,), f"four time points should have four errors; yours has shape {np.shape(same)}."
    assert np.allclose(same, 0), "an imagination that equals the simulation should have an error of 0 everywhere."
    off = real + std
    by_one = np.asarray(error_by_horizon(off, real, running, std), dtype=float)
    assert not np.allclose(by_one, 2), (
        "both entries are off by one std: average the squares over them, do not add them."
    )
    assert np.allclose(by_one, 1), (
        "every entry is off by exactly one std of the data, so the error should be 1 at each time; yours is "
        f"{np.round(by_one, 3).tolist()}."
    )
    assert np.allclose(error_by_horizon(real + 2 * std, real, running, std), 4), (
        "twice as far off should be four times the error: it is a square."
    )
    exploded = real.copy()
    exploded[0] += 1e6
    assert np.allclose(error_by_horizon(exploded, real, running, std), 0), (
        "one of three trajectories explodes and two are perfect: the median is 0, and yours is not."
    )
    wrong_late = real.copy()
    ended = running.copy()
    wrong_late[1:, 2:] += std  # two are wrong from time 2 on ...
    ended[1:, 1] = 1  # ... and over since the step taken at time 1
    masked = np.asarray(error_by_horizon(wrong_late, real, ended, std), dtype=float)
    assert masked[2] == 0, (
        "the step taken at time 1 ended two of three episodes, so at time 2 only the third has a state; you count the "
        "two repeated rows."
    )
    assert masked[3] == 0, "an episode that ended at time 1 is still over at time 3, though its terminal there says 0."
    survivor = real.copy()
    survivor[0, 2:] += std  # the only one that goes on
    left = np.asarray(error_by_horizon(survivor, real, ended, std), dtype=float)
    assert left[2] == 1, (
        "at time 2 one of three trajectories still runs, and it is off by one std: the error there is 1; you say "
        f"{left[2]:g}. Those that have ended are to be left out, not counted as 0."
    )
    last = real.copy()
    last[1:, 1] += std
    kept = np.asarray(error_by_horizon(last, real, ended, std), dtype=float)
    assert kept[1] == 1, (
        "the state at time 1, in which the last action was taken, does exist and counts: the median there is 1, not "
        f"{kept[1]:g}."
    )


def check_bootstrap_interval(
    bootstrap_interval: Callable[[np.ndarray, Callable[..., Any], np.random.Generator], tuple[float, float]],
) -> None:
    """Check ``bootstrap_interval(values, statistic, generator)``: the middle 95% of resampled statistics."""
    ends = given(bootstrap_interval(np.full(20, 3.0), np.mean, np.random.default_rng(0)), "bootstrap_interval")
    assert np.shape(ends) == (2,), f"an interval has two ends, low and high; you return {ends!r}."
    assert np.allclose(ends, 3), f"twenty times the value 3 leave no doubt: both ends should be 3, not {ends}."
    values = np.random.default_rng(1).normal(size=400)
    low, high = bootstrap_interval(values, np.mean, np.random.default_rng(2))
    assert low <= high, f"the low end comes first; you return {low:.3f} and {high:.3f}."
    width = high - low
    right = 2 * 1.96 * values.std() / 20
    assert width > 0.01, "the interval has no width: are the values drawn *with* replacement, and anew each time?"
    assert width < 3 * right, (
        f"for the mean of 400 values of std {values.std():.2f} your interval is {width:.2f} wide, as wide as the "
        "values are scattered: is each resample as large as the sample, and is it the statistic that is ranked?"
    )
    assert abs(width / right - 1) < 0.1, (
        f"for the mean of 400 values with std {values.std():.2f} a 95% interval is about {right:.3f} wide, and yours "
        f"is {width:.3f}: how much is left out on either side?"
    )
    skewed = np.array([0.0] * 30 + [100.0])
    typical = bootstrap_interval(skewed, np.median, np.random.default_rng(3))
    assert np.allclose(typical, 0), (
        f"the *median* of thirty zeros and one 100 is 0 in nearly every resample; your interval is {typical}. Is it "
        "the given statistic that you compute?"
    )


def check_moved(moved: Callable[..., Tensor]) -> None:
    """Check ``moved(say, actions, t)``: movement of the state at each time when the actions at time t are changed."""
    actions = torch.randn(6, 5, 1, generator=torch.Generator().manual_seed(0))
    kept = actions.clone()

    def say(a: Tensor) -> Tensor:  # states that add up the actions before them; the second entry moves twice as far
        return (a.cumsum(dim=1) - a) * torch.tensor([1.0, 2.0])

    found = given(moved(say, actions, 2), "moved")
    assert torch.equal(actions, kept), "the actions that were handed in are changed afterwards: push a copy of them."
    assert tuple(found.shape) == (5,), f"five times should have five movements; yours has shape {tuple(found.shape)}."
    assert not torch.allclose(found, torch.zeros(5)), "nothing moves at all: do both questions see the same actions?"
    assert torch.allclose(found[:3], torch.zeros(3), atol=1e-5), (
        "these states depend on earlier actions only, so up to time 2 nothing should move: push time 2 alone."
    )
    right = 2.5**0.5
    assert not torch.allclose(found[3:], torch.full((2,), 2.5), atol=1e-4), "a root is missing: movements, not squares."
    assert torch.allclose(found[3:], torch.full((2,), right), atol=1e-4), (
        f"one entry moves by 1 and the other by 2 in all trajectories: the root of their mean square is {right:.3f}; "
        f"yours is {found[3].item():.3f}."
    )
    signs = torch.tensor([1.0, -1.0] * 3)[:, None, None]
    both = moved(lambda a: signs * say(a), actions, 2)
    assert torch.allclose(both[3:], torch.full((2,), right), atol=1e-4), (
        "where half of the trajectories move up and half down, the movements must not cancel: square, then average."
    )
    assert torch.allclose(moved(say, actions, 2, 2.0)[3:], 2 * found[3:], atol=1e-4), (
        "a push twice as hard should move these states twice as far: is `push` used?"
    )
