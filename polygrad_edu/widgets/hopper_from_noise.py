"""A hopper out of the noise: the book's first picture, a trajectory that a policy pulls while it is denoised."""

from __future__ import annotations

import functools
from typing import Any

import torch

from ..settings import GuidanceSettings
from .base import Control, LessonWidget, check_number
from .guided_imagination import ConventionalSampler, load_playground
from .page_noise import chain_with_page_noise
from .robot import planar_links, planar_segments

VISITS = 32
START = 218  # row of the 256 stored real states: the foot is about to touch the ground
KNEE = 1  # index of the action that is drawn
STRENGTHS = (2e-4, 0.1)  # that can be chosen; beyond them a step overshoots the policy's mean
RIGHT_STRENGTH = 0.002  # at which this policy's standardised actions have a std of about 1


def hopper_frame(strength: float, visit: int, seed: int) -> dict[str, Any]:
    """Compute the frame of :class:`HopperFromNoise`, as ``hopper_frame.js`` does in the page.

    Args:
        strength: lambda of the gradient rule, 0 or more.
        visit: 0 (noise) to ``VISITS`` (what was imagined).
        seed: of the noise.

    Raises:
        ValueError: a number out of range.
    """
    check_number("the guidance strength", strength, 0, 100)
    check_number("the visit", visit, 0, VISITS, whole=True)
    check_number("the seed", seed, 0, 2**31, whole=True)
    frames, spread = _chain(float(strength), seed)
    return frames[visit] | {"text": sentence(visit, spread)}


@functools.lru_cache(maxsize=32)
@torch.no_grad()
def _chain(strength: float, seed: int) -> tuple[list[dict[str, Any]], float]:
    """The frames of a whole chain, and how wide its actions are at its end, in the policy's standard deviations."""
    playground = load_playground("hopper")
    diffusion, normaliser, policy = playground.diffusion, playground.normaliser, playground.policy
    sampler = ConventionalSampler(playground, GuidanceSettings(scale=strength), "polygrad", VISITS)
    first = playground.observations[START : START + 1]  # [1, O]
    normed_first = normaliser.observations.normalise(first)
    links = planar_links(playground.env)
    states = list(chain_with_page_noise(sampler, first, policy, playground.horizon, seed))
    frames: list[dict[str, Any]] = []
    for state, visit in zip(states, [*sampler.walk, None], strict=True):
        trajectory, actions = state
        seen = trajectory
        if visit is not None:
            seen = diffusion.reconstruct(trajectory, visit.signal * actions, visit.step, normed_first)
        asked = policy(normaliser.denormalise_trajectory(seen)[0])
        mean, std = asked.mean[0, :, KNEE], asked.stddev[0, :, KNEE]
        now = normaliser.denormalise_trajectory(trajectory)[0][0]  # [H, O]
        frames.append(
            {
                "robots": planar_segments(links, now[:, : 1 + len(links)].numpy()),
                "radii": [link["radius"] for link in links],
                "actions": {
                    "now": normaliser.actions.denormalise(actions)[0, :, KNEE],
                    "mean": mean,
                    "low": mean - std,
                    "high": mean + std,
                },
            }
        )
    imagined = sampler.expected(states[-1])
    at_end = policy(imagined.observations)
    spread = ((imagined.actions - at_end.mean) / at_end.stddev).square().mean().sqrt().item()
    return frames, spread


@functools.cache
def page_settings() -> dict[str, Any]:
    """Settings for ``hopper_frame.js``: where it begins, how the robot is built, what is drawn."""
    note = "All of this is computed in the page, by the course's world model of Hopper, as you drag."
    links = planar_links(load_playground("hopper").env)
    return {"row": START, "visits": VISITS, "links": links, "action": KNEE, "note": note}


def sentence(visit: int, spread: float) -> str:
    """Sentence that says what the picture shows."""
    where = f"After {visit} of {VISITS} visits of the denoiser."
    if visit == 0:
        where = "One real pose, and nine that are noise."
    elif visit == VISITS:
        where = "Imagined: nine steps ahead, written at once."
    verdict = "too strong" if spread < 0.8 else "too weak" if spread > 1.25 else "about right"
    return f"{where} The policy's pull is {verdict}, the actions end {spread:.2f} times as wide as the policy."


class HopperFromNoise(LessonWidget):
    """A hopper's poses on their way out of the noise, for any strength of the policy's pull.

    Args:
        state: ``strength``, ``visit`` or ``seed`` to begin with.
    """

    title = "A hopper out of the noise"
    script = "hopper_from_noise.js"
    page_scripts = ("imagination.js", "planar_robot.js", "hopper_frame.js")
    compute = staticmethod(hopper_frame)

    def __init__(self, **state: Any):
        super().__init__(
            [
                Control.log("strength", "Strength of the policy's pull", *STRENGTHS, 28, RIGHT_STRENGTH),
                Control("visit", "Visits of the denoiser", tuple(range(VISITS + 1)), 0, play=True),
                Control("seed", "Seed", tuple(range(100)), 0, button="New noise"),
            ],
            load_playground("hopper").packed,
            page_settings(),
            **state,
        )
