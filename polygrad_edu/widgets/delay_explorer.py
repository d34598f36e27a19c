"""Delay explorer: turn policy-guided diffusion into autoregressive diffusion by hand, on a pendulum."""

from __future__ import annotations

import functools
import time
from typing import Any, NamedTuple

import numpy as np
import torch

from .. import environments
from ..course.paths import shipped
from ..runs.browser_export import pack
from ..runs.shipped import ShippedResult
from ..variants.diffusion_forcing import ForcedDiffusion
from ..variants.staggered_sampler import StaggeredSampler
from .base import Control, LessonWidget, check_number
from .page_noise import chain_with_page_noise

RESULT = "pendulum"
N_POINTS = 26  # of a trajectory: a second and a quarter
N_MEASURED = 24  # trajectories for the numbers
N_DRAWN = 3  # of them for the picture
RODS_AT = (0, 5, 10, 15, 20, 25)
NOTE = "All of this is computed in the page, by a world model of 65 kB and the pendulum's own equation."


class Imagined(NamedTuple):
    """A whole chain, and what the simulator makes of its actions."""

    states: np.ndarray  # [N, D, P, O] raw, of the drawn trajectories: noise first, and after each call
    real: np.ndarray  # [D, P, O]
    errors: np.ndarray  # [P] root of the median squared error, in units of the data's std
    calls: int
    seconds: float


def delay_frame(delay: int, visits: int, place: float, seed: int) -> dict[str, Any]:
    """Compute the frame of :class:`DelayExplorer`, as ``delay_frame.js`` does in the page.

    Args:
        delay: visits that each step waits for the one before it; more than ``visits`` is as many.
        visits: of each step.
        place: 0 to 1, how far through the chain the trajectories are shown.
        seed: of the noise.

    Raises:
        ValueError: a number out of range.
    """
    check_number("the delay", delay, 0, 1000, whole=True)
    check_number("the number of visits", visits, 1, 128, whole=True)
    check_number("the place in the chain", place, 0, 1)
    check_number("the seed", seed, 0, 2**31, whole=True)
    delay = min(delay, visits)
    found = _imagined(delay, visits, seed)
    shown = found.states[int(place * (len(found.states) - 1) + 0.5)]
    rods = list(RODS_AT)
    return {
        "heights": {"imagined": shown[..., 0], "real": found.real[..., 0]},
        "rods": {"at": rods, "imagined": shown[0, rods, :2], "real": found.real[0, rods, :2]},
        "levels": {
            "made": [[delay * step, delay * step + visits] for step in range(N_POINTS - 1)],
            "now": place * found.calls,
            "calls": found.calls,
        },
        "errors": found.errors[1:].tolist(),
        "text": sentence(delay, visits, found),
    }


@functools.lru_cache(maxsize=32)
def _imagined(delay: int, visits: int, seed: int) -> Imagined:
    result = _result()
    loop, model = result.loop, result.loop.world_model
    diffusion = model.averaged_network
    assert isinstance(diffusion, ForcedDiffusion)
    guidance = loop.preset.guidance
    sampler = StaggeredSampler(diffusion, diffusion.schedule.walk(visits), guidance, model.normaliser, N_POINTS, delay)
    rows = page_settings()["rows"]
    begin = time.perf_counter()
    states = list(chain_with_page_noise(sampler, result.observations[rows], loop.best_policy, N_POINTS, seed))
    seconds = time.perf_counter() - begin
    end = sampler.expected(states[-1])
    env = loop.make_env()
    real = np.stack(
        [
            environments.replay_actions(env, state, actions)["observations"]
            for state, actions in zip(result.simulator_states[rows].numpy(), end.actions.numpy(), strict=True)
        ]
    )
    scale = model.normaliser.observations.scale.numpy()
    squared = (((end.observations.numpy() - real) / scale) ** 2).mean(axis=-1)  # [B, P]
    raw = [model.normaliser.denormalise_trajectory(state.trajectory[:N_DRAWN])[0] for state in states]
    return Imagined(
        torch.stack(raw).numpy(),
        real[:N_DRAWN],
        np.sqrt(np.median(squared, axis=0)),
        len(sampler.walk),
        seconds,
    )


@functools.cache
def _result() -> ShippedResult:
    return shipped(RESULT)


@functools.cache
def page_settings() -> dict[str, Any]:
    """Settings for ``delay_frame.js``: where the trajectories begin, and what is drawn."""
    observations = _result().observations
    rows = np.random.default_rng(0).permutation(len(observations))[:N_MEASURED].tolist()
    rows.sort(key=lambda row: observations[row, 0].item())  # the lowest are drawn: there is much for them to do
    return {"rows": rows, "drawn": N_DRAWN, "points": N_POINTS, "rods": list(RODS_AT), "note": NOTE}


def sentence(delay: int, visits: int, found: Imagined) -> str:
    """Sentence that says what the picture shows."""
    order = f"Each step begins {delay} visit{'s' * (delay > 1)} after the one before it"
    if delay == 0:
        order = "All steps at once, as in the paper"
    elif delay == visits:
        order = "One step after the other: autoregressive diffusion"
    last = N_POINTS - 1
    return (
        f"{order}. {found.calls} call{'s' * (found.calls > 1)} of the denoiser in a row, {found.seconds:.2f} s here. "
        f"Imagined and true states are {found.errors[10]:.2g} of the data's std apart ten steps ahead, "
        f"{found.errors[last]:.2g} after {last}."
    )


class DelayExplorer(LessonWidget):
    """The dial of delay on a pendulum: from all steps at once to one after the other, beside the true physics.

    Args:
        state: ``delay``, ``visits``, ``place`` or ``seed`` to begin with.
    """

    title = "Delay explorer"
    script = "delay_explorer.js"
    page_scripts = ("imagination.js", "staggered_imagination.js", "pendulum.js", "measured.js", "delay_frame.js")
    compute = staticmethod(delay_frame)

    def __init__(self, **state: Any):
        packed = pack(_result().loop, _result().observations)
        super().__init__(
            [
                Control("delay", "Delay", (0, 1, 2, 3, 4, 6, 8), 0, "visits"),
                Control("visits", "Visits of each step S", (1, 2, 4, 8), 4),
                Control("place", "Place in the chain", tuple(i / 50 for i in range(51)), 1.0, play=True),
                Control("seed", "Seed", tuple(range(100)), 0, button="New noise"),
            ],
            packed,
            page_settings(),
            **state,
        )
