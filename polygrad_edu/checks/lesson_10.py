"""Checks of lesson 10: full-size MuJoCo training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..presets import get_preset
from ..settings import Preset
from . import given


def check_sustained(sustained: Callable[[Sequence[int], Sequence[float], float, int], int | None]) -> None:
    """Check ``sustained(steps, returns, level, evaluations)``: first step of enough good evaluations in a row."""
    steps = [10, 20, 30, 40, 50]
    lucky = [0.0, 9.0, 1.0, 8.0, 8.0]
    once = given(sustained(steps, lucky, 5.0, 1), "sustained")
    assert once == 20, f"returns {lucky} at {steps}: one evaluation of at least 5 is first found at 20; you say {once}."
    twice = sustained(steps, lucky, 5.0, 2)
    assert twice != 20, f"returns {lucky}: the evaluation after the one at 20 is below 5, so they are not two in a row."
    assert twice is not None, f"returns {lucky}: the last two are both above 5 and count; do you stop too early?"
    assert twice == 40, f"returns {lucky}: two in a row begin at 40, the *first* of them; you say {twice}."
    never = sustained(steps, lucky, 5.0, 3)
    assert never is None, f"returns {lucky} have no three in a row of at least 5: the answer is None, not {never}."
    exact = sustained([10, 20], [5.0, 5.0], 5.0, 2)
    assert exact == 10, "a return of exactly the level counts: the task says at least."


def check_hours(hours: Callable[[Preset, float, float, float], float]) -> None:
    """Check ``hours(preset, seconds_per_step, seconds_per_update, seconds_per_improvement)``."""
    preset = get_preset("hopper-cpu").with_overrides(env_steps=3600, updates_per_step=1.0, policy_update_every=4)
    acting = given(hours(preset, 1.0, 0.0, 0.0), "hours")
    assert abs(acting - 3600) > 1e-6, "3,600 steps of one second are an hour; you seem to answer in seconds."
    assert abs(acting - 1) < 1e-6, f"3,600 steps of one second and nothing else take 1 hour; you say {acting:g}."
    twice = hours(preset.with_overrides(updates_per_step=2.0), 0.0, 1.0, 0.0)
    assert abs(twice - 2) < 1e-6, f"two updates of one second for each of 3,600 steps take 2 hours; you say {twice:g}."
    improving = hours(preset, 0.0, 0.0, 1.0)
    assert abs(improving - 4) > 1e-6, "the policy is improved once in policy_update_every steps, not that often a step."
    assert abs(improving - 0.25) < 1e-6, (
        f"with one second of improvement every 4 steps, 3,600 steps take a quarter of an hour; you say {improving:g}."
    )
    together = hours(preset, 1.0, 1.0, 4.0)
    assert abs(together - 3) < 1e-6, f"acting, updating and improving add up; you say {together:g} hours for 3."
