"""Checks of lesson 1: why world models."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from . import given


def check_discounted_return(discounted_return: Callable[[Sequence[float], float], float]) -> None:
    """Check ``discounted_return(rewards, gamma)``: the return of one episode."""
    undiscounted = given(discounted_return([2.0, 2.0, 2.0], 1.0), "discounted_return")
    assert np.ndim(undiscounted) == 0, f"a return is one number; yours has shape {np.shape(undiscounted)}."
    assert abs(undiscounted - 6) < 1e-6, (
        f"with gamma = 1 every reward counts in full, so three rewards of 2 are worth 6; you say {undiscounted:g}."
    )
    first = discounted_return([3.0, 0.0, 0.0], 0.5)
    assert abs(first - 3) < 1e-6, f"a reward that is paid at once counts in full: 3, not {first:g}."
    late = discounted_return([0.0, 0.0, 8.0], 0.5)
    assert abs(late - 2) < 1e-6, f"8 paid two steps later, each of which halves it, is worth 2 now; you say {late:g}."
    together = discounted_return([1.0, 10.0, 100.0, 1000.0], 0.1)
    assert abs(together - 4) < 1e-6, (
        f"1, 10, 100 and 1000, discounted by 0.1, are worth 1 each; together that is 4, not {together:g}."
    )


def check_roll_out(
    roll_out: Callable[[Callable[..., float], Callable[..., float], float, int], Sequence[float]],
) -> None:
    """Check ``roll_out(step, act, first, steps)``: a model applied to its own predictions."""
    asked: list[tuple[float, float]] = []

    def step(state: float, action: float) -> float:
        asked.append((state, action))
        return 2 * state + action

    def act(state: float) -> float:  # both together: one more at each step
        return 1 - state

    states = list(given(roll_out(step, act, 5.0, 3), "roll_out"))
    assert len(states) == 4, f"3 steps from the first state make 4 states; yours are {len(states)}."
    assert states[0] == 5, f"the first of the states is the one that was given: 5, not {states[0]:g}."
    assert len(asked) == 3, f"for 3 steps the model should be asked 3 times, not {len(asked)}."
    began = [state for state, _ in asked]
    assert began != [5.0, 5.0, 5.0], "every prediction was made from the first state; go on from the last one."
    assert all(action == act(state) for state, action in asked), (
        f"the model was asked about (state, action) = {asked[-1]}, but the policy's action in that state is "
        f"{act(asked[-1][0]):g}. Ask the policy anew at each state."
    )
    assert states == [5, 6, 7, 8], f"this model and policy count upwards from 5; your states are {states}."


def check_growth(growth: Callable[[np.ndarray], float]) -> None:
    """Check ``growth(F)``: the spectral radius."""
    straight = given(growth(np.diag([0.5, 1.2])), "growth")
    assert np.ndim(straight) == 0, f"the growth is one number; yours has shape {np.shape(straight)}."
    assert not np.iscomplexobj(straight), f"a factor of growth is no complex number, as your {straight:.3g} is."
    assert abs(straight - 1.2) < 1e-6, (
        f"of an error with a part that halves and one that grows by 1.2 a step, 1.2 wins in the end, not {straight:g}."
    )
    across = growth(np.diag([-1.3, 0.5]))
    assert abs(across - 1.3) < 1e-6, (
        f"an error that changes sides and grows by 1.3 at each step grows by 1.3; you say {across:g}."
    )
    turn = 0.9 * np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    turning = growth(turn)
    assert abs(turning - 0.9) < 1e-6, (
        f"an error that is turned at each step and shortened to 0.9 of its length grows by 0.9; you say {turning:g}."
    )
    sheared = growth(np.array([[0.5, 10.0], [0.0, 0.5]]))
    assert abs(sheared - 0.5) < 1e-6, (
        f"[[0.5, 10], [0, 0.5]] enlarges some errors at first, but in the long run it halves them; you say {sheared:g}."
    )
