"""Schedule playground: what a noise schedule does to a trajectory, and which steps a sampler visits."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..noise_schedule import NoiseSchedule
from .base import Control, LessonWidget, check_number
from .page_noise import standard_normal

N_POINTS = 48  # of the trajectory
MAX_DRAWN = 64  # points of a curve


def schedule_frame(tau: float, n_steps: int, sampling_steps: int, progress: float) -> dict[str, Any]:
    """A frame of :class:`SchedulePlayground`.

    Args:
        tau: temperature of the cosine schedule.
        n_steps: T.
        sampling_steps: S of them that a sampler visits.
        progress: 0 to 1, how far through the chain the trajectory is shown.

    Raises:
        ValueError: a number that makes no schedule, or more visits than steps.
    """
    check_number("temperature", tau, 1e-3, 10)
    check_number("the number of steps", n_steps, 1, 1000, whole=True)
    check_number("the number of visited steps", sampling_steps, 1, whole=True)
    check_number("the place in the chain", progress, 0, 1)
    schedule = NoiseSchedule.cosine(n_steps, tau)
    walk = schedule.walk(sampling_steps)
    step = round(progress * (n_steps - 1))
    drawn = torch.linspace(0, n_steps - 1, min(n_steps, MAX_DRAWN)).round().long()
    signal, noise = schedule.alphas_cumprod.sqrt(), (1 - schedule.alphas_cumprod).sqrt()

    # a figure of eight, and one draw of noise for all settings, so that what changes is the schedule
    time = torch.linspace(0, 2 * math.pi, N_POINTS)
    clean = torch.stack([1.4 * torch.sin(time), torch.sin(2 * time)], dim=1)  # [H, 2]
    draw = standard_normal(0, 0, *clean.shape)
    noised = schedule.add_noise(clean[None], torch.tensor([step]), draw[None])[0]  # [H, 2]
    rough = sum(1 for t in walk.trained_steps.tolist() if signal[t] < 0.5)
    return {
        "curves": {"step": drawn, "signal": signal[drawn], "noise": noise[drawn]},
        "clean": clean.T,
        "noised": noised.T,
        "visits": {"step": walk.trained_steps, "signal": walk.alphas_cumprod.sqrt()},
        "at": {"step": step, "signal": signal[step].item(), "noise": noise[step].item()},
        "text": f"At step {step} of 0 to {n_steps - 1} the trajectory is {signal[step]:.2f} times itself plus "
        f"{noise[step]:.2f} times noise. A sampler that visits {sampling_steps} steps makes {rough} of its visits "
        f"where less than half of the trajectory is left.",
    }


class SchedulePlayground(LessonWidget):
    """Move the temperature and the number of steps; see the noised trajectory and the steps that are visited.

    Args:
        state: ``tau``, ``n_steps``, ``sampling_steps`` or ``progress`` to begin with.
    """

    title = "Schedule playground"
    script = "schedule_playground.js"
    page_scripts = ("imagination.js", "schedule_frame.js")
    compute = staticmethod(schedule_frame)

    def __init__(self, **state: Any):
        super().__init__(
            [
                Control("tau", "Temperature", (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0), 1.0),
                Control("n_steps", "Steps T", (4, 8, 16, 32, 64, 128, 256), 128),
                Control("sampling_steps", "Visited steps S", (1, 2, 4, 8, 16, 32, 64, 128), 16),
                Control("progress", "Place in the chain", tuple(i / 50 for i in range(51)), 0.5, play=True),
            ],
            **state,
        )
