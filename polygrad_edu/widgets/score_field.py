"""Score field: a cloud of noise finds its way to a fork in the road, and what the denoiser says on the way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..noise_schedule import NoiseSchedule
from ..tasks.road_fork import SHARES, SPREAD, WALL, WAYS, best_denoiser, hits_wall
from .base import Control, LessonWidget, check_number
from .page_noise import standard_normal

ROUTES = 60
VISITS = 32
REACH = 3.0  # metres, of the plane that is drawn
ARROWS = 11  # in a row
LONGEST = 0.45  # metres


def score_field_frame(progress: float, eta: float, seed: int) -> dict[str, Any]:
    """A frame of :class:`ScoreField`.

    Args:
        progress: 0 to 1, how far through the chain the routes are shown.
        eta: noise drawn in each visit, from 0 (DDIM) to 1 (DDPM).
        seed: of the noise.

    Raises:
        ValueError: a number out of its range.
    """
    check_number("the place in the chain", progress, 0, 1)
    check_number("the share of fresh noise", eta, 0, 1)
    check_number("the seed", seed, 0, 1000, whole=True)
    walk = NoiseSchedule.cosine(128).walk(VISITS, eta)
    signals = [visit.signal.item() ** 2 for visit in walk] + [1.0]  # of each state, pure noise first
    states = [standard_normal(seed, 0, ROUTES, 2)]
    for number, visit in enumerate(walk, start=1):
        seen = best_denoiser(states[-1], signals[number - 1])
        fresh = standard_normal(seed, number, ROUTES, 2)
        states.append(visit.mean(seen, states[-1]) + visit.noise_std * fresh)  # [N, 2]
    done = round(progress * VISITS)
    alpha_bar, routes, left = signals[done], states[done], states[-1][:, 1] > 0
    seen = best_denoiser(routes, alpha_bar)  # [N, 2]
    crashes = int(hits_wall(seen).sum())
    went = f"In the end {int(left.sum())} of {ROUTES} go left and {ROUTES - int(left.sum())} right."
    told = went if done == VISITS else "The arrows lead to what is left of them under this much noise."
    return {
        "routes": routes.T,
        "seen": seen.T,
        "left": left.int(),
        "arrows": _arrows(alpha_bar),
        "ways": alpha_bar**0.5 * WAYS,
        "shares": SHARES,
        "std": (alpha_bar * SPREAD**2 + 1 - alpha_bar) ** 0.5,
        "wall": WALL,
        "text": f"{100 * alpha_bar:.0f}% of the variance is signal, and {crashes} of {ROUTES} best guesses hit the "
        f"wall. {told}",
    }


def _arrows(alpha_bar: float) -> Tensor:
    r"""Arrows [4, N] from x, y to x, y: a part of $(1 - \bar\alpha) \nabla \log p(x_t)$, none longer than a limit."""
    line = torch.linspace(-REACH, REACH, ARROWS)
    start = torch.cartesian_prod(line, line)  # [N, 2]
    way = 0.3 * (alpha_bar**0.5 * best_denoiser(start, alpha_bar) - start)
    length = way.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    end = start + way * (LONGEST / length).clamp(max=1)
    return torch.cat([start, end], dim=1).T


class ScoreField(LessonWidget):
    """Take a cloud of noise through the chain; see score, denoiser and the choice of a way.

    Args:
        state: ``progress``, ``eta`` or ``seed`` to begin with.
    """

    title = "Score field"
    script = "score_field.js"
    page_scripts = ("imagination.js", "score_field_frame.js")
    compute = staticmethod(score_field_frame)

    def __init__(self, **state: Any):
        super().__init__(
            [
                Control("progress", "Place in the chain", tuple(i / VISITS for i in range(VISITS + 1)), 0.0, play=True),
                Control("eta", "Fresh noise in each visit", (0.0, 0.25, 0.5, 0.75, 1.0), 1.0),
                Control("seed", "Seed", tuple(range(20)), 0, button="Other noise"),
            ],
            **state,
        )
