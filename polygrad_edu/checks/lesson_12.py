"""Checks of lesson 12: reading the paper again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import given


def check_expected_best(expected_best: Callable[[np.ndarray, int], float]) -> None:
    """Check ``expected_best(returns, k)``: the expected best of k draws with replacement."""
    two = np.array([10.0, 0.0])
    once = given(expected_best(two, 1), "expected_best")
    assert np.ndim(once) == 0, f"the expectation is one number; you return something of shape {np.shape(once)}."
    assert abs(once - 5) < 1e-9, (
        f"with k = 1 nothing is chosen: from 10 and 0 the report is 5 on average, not {once:g}."
    )
    assert np.array_equal(two, [10, 0]), "the returns that were handed in are in another order now: sort a copy."
    twice = expected_best(two, 2)
    assert twice < 10 - 1e-9, (
        "with k = 2 both draws can be the 0, for repeats are allowed: the report is not always 10."
    )
    assert abs(twice - 7.5) < 1e-6, (
        f"of two draws from 10 and 0 both are 0 in one case of four, so the best is 7.5 on average; you say {twice:g}."
    )
    low = expected_best(np.array([1.0, 2.0, 6.0]), 1)
    high = expected_best(np.array([1.0, 2.0, 6.0]), 50)
    assert abs(low - 3) < 1e-6, f"with k = 1 the report from 1, 2 and 6 is their mean, 3, not {low:g}."
    assert abs(high - 6) < 1e-6, f"with k = 50 one of the draws is nearly surely the best: 6, not {high:g}."
    ties = expected_best(np.array([4.0, 4.0, 4.0]), 3)
    assert abs(ties - 4) < 1e-9, f"where all returns are 4 every report is 4, not {ties:g}."


def check_interquartile_mean(interquartile_mean: Callable[[np.ndarray], float]) -> None:
    """Check ``interquartile_mean(returns)``: a quarter, rounded down, is cut at either end."""
    same = given(interquartile_mean(np.array([7.0, 7.0, 7.0, 7.0])), "interquartile_mean")
    assert abs(same - 7) < 1e-9, f"of four times 7 any mean is 7, not {same:g}."
    shuffled = np.array([100.0, 2.0, -50.0, 4.0])
    four = interquartile_mean(shuffled)
    assert np.array_equal(shuffled, [100, 2, -50, 4]), "the returns handed in are in another order now: sort a copy."
    assert abs(four - 14) > 1e-9, (
        "100, 2, -50 and 4: that is the mean of all four; the lowest and the highest are to go."
    )
    assert abs(four - 3) < 1e-9, (
        f"of 100, 2, -50 and 4 the middle half is 2 and 4, whatever their order: 3, not {four:g}."
    )
    three = interquartile_mean(np.array([0.0, 0.0, 9.0]))
    assert abs(three - 3) < 1e-9, (
        f"a quarter of three, rounded down, is nothing: the IQM of 0, 0 and 9 is their mean, 3, not {three:g}."
    )
    eight = interquartile_mean(np.array([0.0, 0.0, 1.0, 2.0, 4.0, 5.0, 9.0, 9.0]))
    assert abs(eight - 3) < 1e-9, f"of eight runs two are cut at either end: (1 + 2 + 4 + 5) / 4 = 3, not {eight:g}."


def check_probability_of_improvement(
    probability_of_improvement: Callable[[np.ndarray, np.ndarray], float],
) -> None:
    """Check ``probability_of_improvement(x, y)``: share of pairs that x wins, with a tie as half a win."""
    low = np.array([1.0, 2.0, 3.0])
    high = np.array([4.0, 5.0])
    always = given(probability_of_improvement(high, low), "probability_of_improvement")
    assert np.ndim(always) == 0, f"it is one number; you return something of shape {np.shape(always)}."
    assert always != 0, "4 and 5 beat 1, 2 and 3 in every pair, and you say 0: which of the two is to win?"
    assert abs(always - 1) < 1e-9, f"4 and 5 beat 1, 2 and 3 in all six pairs: 1, not {always:g}."
    equal = probability_of_improvement(low, low)
    assert abs(equal - 0.5) < 1e-9, (
        f"a method against itself is even: 0.5, not {equal:.3f}. What do the ties among the pairs count?"
    )
    mixed = probability_of_improvement(np.array([0.0, 10.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert abs(mixed - 0.5) < 1e-9, (
        f"10 beats all four and 0 none of them: 0.5, not {mixed:.3f}. Is each run compared with each?"
    )
    one = probability_of_improvement(np.array([3.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert abs(one - 0.625) < 1e-9, f"3 beats two of 1, 2, 3, 4 and ties with one: 2.5 of 4, not {one:.3f}."
