"""Checks of assignment 3, second half: one guided step, many steps collapsed into one, and tuning the scale."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..guidance_theory import chain_std, tuned_scale
from ..noise_schedule import NoiseSchedule
from . import given
from .asserting import Draw, a_tensor
from .parts import Property, part, worth
from .properties import close

ON, WIDE, NARROW, OFF = WORDS = ("on-policy", "too wide", "too narrow", "off centre")

LESSONS = {
    "guided_step": "lesson 5, 'Following the score alone'",
    "collapsed": "lesson 5, 'The package's rule, and the same as yours'",
    "tune": "lesson 5, 'Inside a diffusion chain'",
}


@worth(
    pull=Property(1, "the pull is scale times the score"),
    clip=Property(1, "an action far out is brought to the edge, on both sides, if there is one"),
    order=Property(1, "it is clipped first, and pulled from there", ("pull", "clip")),
    noise=Property(1, "the noise comes last, in the environment's units"),
)
def check_guided_step(guided_step: Callable[..., Tensor], seed: int = 0) -> None:
    """Check ``guided_step(actions, mean, std, scale, clip_std, step_std, action_unit, noise)``."""
    draw = Draw(seed)
    batch = draw.whole(2, 5)
    horizon = draw.whole(2, 5)
    act = draw.whole(2, 3)
    mean = draw.normal(batch, horizon, act)
    std = 0.3 + draw.uniform(act)
    actions = mean + std * draw.normal(*mean.shape).clamp(-1.5, 1.5)
    noise = draw.normal(*mean.shape)
    unit = 0.5 + 2 * draw.uniform(act)
    scale = 0.02 * float(std.min())
    quiet = torch.zeros_like(mean)
    answer = guided_step(actions, mean, std, scale, 3.0, 0.1, unit, noise)
    guided_step(actions, mean, std, scale, None, 0.1, unit, noise)
    a_tensor(answer, tuple(mean.shape), "guided_step", "as its actions have")
    with part("pull"):
        assert close(guided_step(mean, mean, std, scale, 3.0, 0.0, unit, noise), mean), (
            "without noise (step_std 0) an action at the policy's mean should stay there."
        )
        same = guided_step(actions, mean, std, 0.0, None, 0.0, unit, noise)
        assert close(same, actions), "with scale 0, no clip and no noise the actions should stay as they are."
        pulled = guided_step(actions, mean, std, scale, None, 0.0, unit, quiet) - actions
        assert (pulled * (mean - actions) >= 0).all(), "the pull should lead towards the mean."
        assert close(pulled, scale * (mean - actions) / std**2, 1e-3), (
            f"in action dimensions with the std {[round(s, 2) for s in std.tolist()]} the pull does not have the "
            "strength of scale times the score."
        )
    far = mean + 10 * std
    with part("clip"):
        edge = guided_step(far, mean, std, 0.0, 2.0, 0.0, unit, quiet)
        assert close((edge - mean) / std, 2.0, 1e-3), (
            "with clip_std 2 an action 10 std above the mean should be brought to 2 std above it; yours stands at "
            f"{((edge - mean) / std).flatten()[0]:.2f}."
        )
        below = guided_step(mean - 10 * std, mean, std, 0.0, 2.0, 0.0, unit, quiet)
        assert close((below - mean) / std, -2.0, 1e-3), (
            "an action 10 std *below* the mean is not brought to the lower edge."
        )
        assert close(guided_step(far, mean, std, 0.0, None, 0.0, unit, quiet), far), (
            "with clip_std None nothing is clipped."
        )
    with part("order"):
        both = (guided_step(far, mean, std, scale, 2.0, 0.0, unit, quiet) - mean) / std
        assert (both < 2.0 - 1e-4).all(), (
            "an action far out should be clipped first and pulled from there, so that it ends inside the edge; yours "
            "ends on it. In which order do you clip and pull?"
        )
        assert close(both, 2 * (1 - scale / std**2), 1e-3), (
            "an action far out is pulled too hard: the score should be taken where the clipped action stands."
        )
    with part("noise"):
        loud = guided_step(mean, mean, std, 0.0, 2.0, 50.0, unit, torch.ones_like(mean)) - mean
        assert (loud > 2.1 * std).all(), "the noise of the step should not be clipped away; it comes last."
        step = guided_step(actions, mean, std, 0.0, None, 0.1, unit, noise) - actions
        assert close(step, 0.1 * unit * noise, 1e-3), (
            f"step_std is in normalised units, of which one is {[round(u, 2) for u in unit.tolist()]} of the "
            "environment's; the noise that you add has not that size."
        )


@worth(
    slide=Property(1.5, "without noise it ends where the single steps end"),
    spread=Property(2, "the noise of all steps is there, each as faded as it should be"),
    none=Property(0.5, "no steps change nothing", ("slide",)),
)
def check_collapsed(collapsed: Callable[..., Tensor], seed: int = 0) -> None:
    """Check ``collapsed(actions, mean, std, scale, step_stds, action_unit, noise)``: k unclipped steps at once."""
    draw = Draw(seed)
    batch = draw.whole(2, 6)
    act = draw.whole(2, 3)
    mean = draw.normal(batch, 4, act)
    std = 0.3 + 0.5 * draw.uniform(act)
    unit = 0.5 + draw.uniform(act)
    actions = mean + draw.normal(*mean.shape)
    noise = draw.normal(*mean.shape)
    quiet = torch.zeros_like(mean)
    for scale, stds in (
        (0.01, [0.3, 0.2, 0.1]),
        (draw.number(0.01, 0.04), [0.2] * 8),
        (1.6 * float(std.min()) ** 2, [0.1] * 3),
    ):
        where = f"with scale {scale:.3f} and {len(stds)} steps of noise {stds}"
        answer = collapsed(actions, mean, std, scale, stds, unit, noise)
        a_tensor(answer, tuple(mean.shape), "collapsed", where)
        r = (1 - scale / std**2).double()
        slid = collapsed(actions, mean, std, scale, stds, unit, quiet)
        with part("slide"):
            at_rest = collapsed(mean, mean, std, scale, stds, unit, quiet)
            assert close(at_rest, mean), f"{where}: without noise an action at the mean should stay there."
            one_by_one = actions.double()
            for _ in stds:
                one_by_one = one_by_one + scale * (mean - one_by_one) / std**2
            assert close(slid, one_by_one, 1e-3), (
                f"{where}: without noise, one collapsed visit should end where {len(stds)} single steps end; it does "
                "not. What does each step do to the distance to the mean?"
            )
        with part("spread"):
            spread = (collapsed(mean, mean, std, scale, stds, unit, torch.ones_like(mean)) - mean).double()
            assert (spread >= 0).all(), (
                f"{where}: the noise should come with a standard deviation, which is not negative."
            )
            variance = torch.zeros_like(r)
            for step_std in stds:
                variance = r**2 * variance + (step_std * unit.double()) ** 2
            assert close(spread, variance.sqrt().expand_as(spread), 1e-3), (
                f"{where}: single steps leave the spread {variance.sqrt()[0]:.4f} in the first dimension, yours "
                f"{spread[0, 0, 0]:.4f}. It is variances that add up, and the noise of an early step is pulled in by "
                "those after it."
            )
            assert close(answer - slid, spread * noise, 1e-3), (
                f"{where}: the given noise is not what moves the actions."
            )
    with part("spread"):
        early, late = (
            collapsed(mean, mean, std, 0.02, stds, unit, torch.ones_like(mean)) - mean
            for stds in ([0.2, 0.0], [0.0, 0.2])
        )
        assert (early < late).all(), (
            "step_stds come noisiest, and earliest, first. Noise of the first of two steps should have faded more than "
            "noise of the second; yours has not."
        )
    with part("none"):
        assert close(collapsed(actions, mean, std, 0.02, [], unit, noise), actions), (
            "no steps at all should change nothing."
        )


@worth(
    direction=Property(1, "too wide calls for a stronger pull, too narrow for a weaker one"),
    factor=Property(1, "each round changes the scale by the factor that the error and the rate call for"),
    bounded=Property(0.5, "a batch gone astray moves it no further"),
    rest=Property(0.5, "it comes to rest where the spread is the policy's own"),
)
def check_tune(tune: Callable[..., list[float]], seed: int = 0) -> None:
    """Check ``tune(spread_of, scale, learning_rate, rounds)``: the scales tried, the first one included."""
    draw = Draw(seed)
    scale = draw.number(0.001, 0.1)
    rate = draw.number(0.05, 0.3)

    def run(spread: Callable[[float], float], rate: float, rounds: int) -> tuple[list[float], list[float]]:
        asked: list[float] = []

        def spread_of(scale: Any) -> float:
            asked.append(float(scale))
            return spread(float(scale))

        scales = [float(value) for value in given(tune(spread_of, scale, rate, rounds), "tune")]
        assert len(scales) == rounds + 1, (
            f"{rounds} rounds should give {rounds + 1} scales, the first one included; yours are {len(scales)}."
        )
        return scales, asked

    same, asked = run(lambda value: 1.0, rate, 5)
    assert close(same[0] / scale, 1), f"the first scale should be the one given, {scale:.4f}; yours is {same[0]:.4f}."
    assert close(torch.tensor(same) / scale, 1), "where the spread is the policy's own nothing should change."
    assert len(asked) == 5, (
        f"5 rounds measure 5 times; yours measured {len(asked)} times, and each measurement is an imagining."
    )
    wider, asked = run(lambda value: 1.3, rate, 4)
    narrow, _ = run(lambda value: 0.2, 2.0, 6)
    with part("direction"):
        assert wider[1] > wider[0], "actions that are too wide (std 1.3) call for a *stronger* pull."
        assert narrow[1] < narrow[0], "actions that are too narrow call for a weaker pull."
        assert close(torch.tensor(asked), torch.tensor(wider[:4]), 1e-6), (
            "each round should measure the spread at the scale of that round."
        )
    with part("factor"):
        ratios = [b / a for a, b in itertools.pairwise(wider)]
        assert max(ratios) - min(ratios) < 1e-4, (
            "at the same spread of 1.3 each round should change the scale by the same *factor*; yours are "
            f"{[round(r, 3) for r in ratios]}."
        )
        assert abs(math.log(ratios[0]) / (0.3 * rate) - 1) < 1e-2, (
            "the logarithm of the scale should move by the learning rate times what is wrong with the spread; with a "
            f"rate of {rate:.2f} and a spread of 1.3 yours moved by {math.log(ratios[0]):.4f}."
        )
        assert min(narrow) > 0, (
            "a scale should never become negative or 0: then the guidance would push away, or never return."
        )
    with part("bounded"):
        astray, _ = run(lambda value: 60.0, rate, 1)
        assert abs(math.log(astray[1] / astray[0]) - rate) < 1e-3, (
            "a batch gone astray (a spread of 60) should move the scale by no more than one that is off by 1; yours "
            f"multiplied it by {astray[1] / astray[0]:.3g}."
        )
    with part("rest"):
        schedule = NoiseSchedule.cosine(32)
        std = draw.number(0.3, 0.6)
        found, _ = run(lambda value: min(chain_std(value, schedule, std) / std, 100.0), 0.3, 150)
        assert abs(found[-1] / tuned_scale(schedule, std) - 1) < 0.02, (
            f"in a chain of 32 steps and for a policy of std {std:.2f}, 150 rounds should come to rest where the "
            f"spread is 1; at your {found[-1]:.4f} it is {chain_std(found[-1], schedule, std) / std:.3f}."
        )
