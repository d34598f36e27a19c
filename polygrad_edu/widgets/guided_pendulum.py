"""Guided pendulum: the policy's pull where states lose their noise together, and where they wait for each other."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch

from ..course.paths import shipped
from ..settings import GuidanceSettings
from ..variants.diffusion_forcing import ForcedDiffusion
from ..variants.staggered_sampler import StaggeredSampler
from .base import Control, LessonWidget, check_number
from .guided_imagination import Playground, expected_std, measure, playground_of, verdict_on
from .page_noise import chain_with_page_noise

VISITS = 8  # of each step
N_POINTS = 16  # of a trajectory: three quarters of a second
N_MEASURED = 24  # trajectories
RODS_AT = (0, 3, 6, 9, 12, 15)
AHEAD = 10  # steps, at which the sentence tells the error
STRENGTHS = (1e-4, 0.1)  # that can be chosen
SPREADS = (0.2, 0.3, 0.5, 0.8)  # the policy's, that can be chosen
NOTE = (
    "Imagination and physics are computed in the page, by a world model of 65 kB and the pendulum's own equation; "
    "the orange curve came with it."
)


@functools.lru_cache(maxsize=64)
def pendulum_frame(strength: float, delay: int, policy_std: float, seed: int) -> dict[str, Any]:
    """Compute the frame of :class:`GuidedPendulum`, as ``guided_pendulum_frame.js`` does in the page.

    Args:
        strength: lambda of the gradient rule, of ``STRENGTHS``.
        delay: visits that each step waits for the one before it; more than ``VISITS`` is as many.
        policy_std: sigma of the policy, of ``SPREADS``.
        seed: of the noise.

    Raises:
        ValueError: a number out of range.
    """
    check_number("the guidance strength", strength, *STRENGTHS)
    check_number("the delay", delay, 0, 1000, whole=True)
    check_number("the seed", seed, 0, 2**31, whole=True)
    if policy_std not in SPREADS:
        raise ValueError(f"the policy's std must be one of {', '.join(map(str, SPREADS))}, not {policy_std!r}")
    playground, rows = _playground(), page_settings()["rows"]
    diffusion, normaliser = playground.diffusion, playground.normaliser
    assert isinstance(diffusion, ForcedDiffusion)
    policy = playground.policy_with(policy_std)
    guidance, walk = GuidanceSettings(scale=strength), diffusion.schedule.walk(VISITS)
    sampler = StaggeredSampler(diffusion, walk, guidance, normaliser, N_POINTS, delay)
    *_, end = chain_with_page_noise(sampler, playground.observations[rows], policy, N_POINTS, seed)
    imagined = sampler.expected(end)
    found = measure(
        playground, policy, imagined.observations, imagined.actions, playground.simulator_states[rows].copy()
    )
    actions = imagined.actions[0, :, 0].numpy()
    mean = actions - found.deviations[0, :, 0]
    scales, spread = expected_curve(policy_std)
    expected = math.exp(np.interp(math.log(strength), np.log(scales), np.log(spread)))
    error = math.sqrt(found.errors[AHEAD])
    at = list(RODS_AT)
    return {
        "rods": {"imagined": found.observations[0, at, :2], "real": found.real[0, at, :2]},
        "actions": {"now": actions, "mean": mean, "low": mean - policy_std, "high": mean + policy_std},
        "spread": {"expected": [scales, spread], "chosen": strength, "std": found.std},
        "error": error,
        "text": sentence(found.std, expected, error),
    }


@functools.cache
def expected_curve(policy_std: float) -> tuple[list[float], list[float]]:
    """Strengths, and the spread of the actions, relative to the policy's, about a mean that stands still."""
    scales = torch.logspace(math.log10(STRENGTHS[0]), math.log10(STRENGTHS[1]), 40)
    return scales.tolist(), expected_std(_playground(), "polygrad", scales, policy_std, VISITS).tolist()


@functools.cache
def page_settings() -> dict[str, Any]:
    """Settings for ``guided_pendulum_frame.js``: where the trajectories begin, and what is expected and drawn."""
    observations = _playground().observations
    rows = np.random.default_rng(0).permutation(len(observations))[:N_MEASURED].tolist()
    rows.sort(key=lambda row: observations[row, 0].item())  # the lowest is drawn: there is much for it to do
    expected = {str(std): expected_curve(std) for std in SPREADS}
    return {
        "rows": rows,
        "points": N_POINTS,
        "visits": VISITS,
        "rods": list(RODS_AT),
        "ahead": AHEAD,
        "expected": expected,
        "note": NOTE,
    }


@functools.cache
def _playground() -> Playground:
    return playground_of("pendulum", shipped("pendulum"))


def sentence(std: float, expected: float, error: float) -> str:
    """Sentence that says what the picture shows."""
    return (
        f"{verdict_on(std)}: the actions spread {std:.2f} times as far as the policy does; about a mean that stands "
        f"still it would be {expected:.2f}. Imagined and true states are {error:.2f} of the data's std apart {AHEAD} "
        "steps ahead."
    )


class GuidedPendulum(LessonWidget):
    """The strength of the policy's pull, and the delay between steps, on a pendulum beside its true equation.

    Args:
        state: ``strength``, ``delay``, ``policy_std`` or ``seed`` to begin with.
    """

    title = "Guided pendulum"
    script = "guided_pendulum.js"
    page_scripts = (
        "imagination.js",
        "staggered_imagination.js",
        "pendulum.js",
        "measured.js",
        "guided_pendulum_frame.js",
    )
    compute = staticmethod(pendulum_frame)

    def __init__(self, **state: Any):
        super().__init__(
            [
                Control.log("strength", "Guidance strength λ", *STRENGTHS, 28, 0.004),
                Control("delay", "Delay", (0, 1, 2, 4, 8), 0, "visits"),
                Control("policy_std", "Policy's std σ", SPREADS, 0.5),
                Control("seed", "Seed", tuple(range(100)), 0, button="New noise"),
            ],
            _playground().packed,
            page_settings(),
            **state,
        )
