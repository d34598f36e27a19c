"""Denoising scrubber: drag through the reverse chain of one trajectory, from noise to motion."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from ..drawing import poses
from ..guided_sampler import GuidedSampler
from ..settings import GuidanceSettings
from .base import Control, LessonWidget, check_number
from .guided_imagination import TASKS, load_playground
from .page_noise import chain_with_page_noise
from .robot import drawn_robots

VISITS = 16
POLICY_STD = {"point-mass": 0.3, "hopper": 0.4}
CHANNELS = {"point-mass": (0, "x"), "hopper": (0, "torso height (m)")}  # the observation that is drawn by step
ROBOTS_AT = (0, 3, 6, 9)
SEEDS = range(100)


def scrubber_frame(task: str, visit: int, seed: int) -> dict[str, Any]:
    """A frame of :class:`DenoisingScrubber`.

    Args:
        task: ``point-mass`` or ``hopper``.
        visit: 0 (pure noise) to ``VISITS`` (what was imagined).
        seed: of the start and of the noise.

    Raises:
        ValueError: no such task, or a visit outside the chain.
    """
    check_number("the visit", visit, 0, VISITS, whole=True)
    check_number("the seed", seed, 0, 2**31, whole=True)
    return _chain(task, seed)[visit]


@functools.lru_cache(maxsize=32)
@torch.no_grad()
def _chain(task: str, seed: int) -> list[dict[str, Any]]:
    """The frames of a whole chain, noisiest first."""
    playground = load_playground(task)
    normaliser = playground.normaliser
    size = playground.diffusion.observation_size
    policy = playground.policy_with(POLICY_STD[task])
    row = first_row(task, seed)
    first = playground.observations[row : row + 1]  # [1, O]
    walk = playground.diffusion.schedule.walk(VISITS)
    sampler = GuidedSampler(playground.diffusion, walk, GuidanceSettings(rule="fixed-noise"), normaliser)
    states = list(chain_with_page_noise(sampler, first, policy, playground.horizon, seed))
    imagined = sampler.expected(states[-1])
    normed_first = normaliser.observations.normalise(first)
    end = states[-1].trajectory
    frames: list[dict[str, Any]] = []
    for number, ((noisy, actions), visit) in enumerate(zip(states, [*walk, None], strict=True)):
        signal = torch.ones(())
        predicted = noisy
        if visit is not None:  # the step that the sampler takes next; none when it has arrived
            signal = visit.signal
            predicted = playground.diffusion.reconstruct(
                noisy, signal * actions, visit.step, normed_first
            )  # [1, H, O+2]
        now, rewards, _ = normaliser.denormalise_trajectory(noisy)  # [1, H, O], [1, H]
        seen, seen_rewards, _ = normaliser.denormalise_trajectory(predicted)
        distribution = policy(seen)
        mean, std = distribution.mean[0, :, 0], distribution.stddev[0, :, 0]
        away = [(part - end)[..., :size].square().mean().sqrt().item() for part in (noisy, predicted)]
        frames.append(
            {
                **_drawn(task, row, {"now": now[0], "seen": seen[0], "final": imagined.observations[0]}),
                "rewards": {"now": rewards[0], "seen": seen_rewards[0], "final": imagined.rewards[0]},
                "actions": {
                    "now": normaliser.actions.denormalise(actions)[0, :, 0],
                    "mean": mean,
                    "low": mean - std,
                    "high": mean + std,
                },
                "text": _sentence(number, signal.item(), *away),
            }
        )
    return frames


def first_row(task: str, seed: int) -> int:
    """Row of the stored real states that the trajectory of ``seed`` begins at."""
    n_rows = len(load_playground(task).observations)
    return int(torch.randint(n_rows, (1,), generator=torch.Generator().manual_seed(seed)))


def page_settings(task: str) -> dict[str, Any]:
    """Settings for ``scrubber_frame.js``: visits, the policy's std, a label, and where each seed begins."""
    rows = [first_row(task, seed) for seed in SEEDS]
    note = "All of this is computed in the page, by the course's world model."
    drawn = {"policy_std": POLICY_STD[task], "label": CHANNELS[task][1]}
    return {"visits": VISITS, "rows": rows, "note": note} | drawn


def _drawn(task: str, row: int, observations: dict[str, Tensor]) -> dict[str, Any]:
    """The trajectory in its world, and one of its observations by step; ``observations`` are [H, O] each."""
    playground, (channel, label) = load_playground(task), CHANNELS[task]
    plane = robots = None
    if task == "point-mass":
        plane = {name: path[:, :2].T for name, path in observations.items()}
    else:
        state = playground.simulator_states[row]
        places = {
            name: poses.states_from_observations(playground.env, state, observations[name].numpy())
            for name in ("now", "seen")
        }
        robots = {name: drawn_robots(playground.env, states[list(ROBOTS_AT)]) for name, states in places.items()}
    curves = {name: path[:, channel] for name, path in observations.items()}
    return {"plane": plane, "robots": robots, "channel": {"label": label, **curves}}


def _sentence(visit: int, signal: float, away: float, predicted_away: float) -> str:
    if visit == VISITS:
        return f"After all {VISITS} visits: this is what was imagined, and its actions are the policy's."
    before = "Before the first visit" if visit == 0 else f"After {visit} of {VISITS} visits"
    return (
        f"{before} {signal:.0%} of the signal is there. The states are {away:.2f} of the data's std away from where "
        f"they will end; what the denoiser sees in them is {predicted_away:.2f} away."
    )


class DenoisingScrubber(LessonWidget):
    """One trajectory on its way from noise to motion: states, what the denoiser sees in them, rewards and actions.

    The page computes the point mass's; the Hopper's robots need the simulator.

    Args:
        task: ``point-mass``, drawn in its plane, or ``hopper``, drawn as a robot.
        state: ``visit`` or ``seed`` to begin with.
    """

    title = "Denoising scrubber"
    script = "denoising_scrubber.js"
    page_scripts = ("imagination.js", "scrubber_frame.js")

    def __init__(self, task: str = "point-mass", **state: Any):
        if task not in TASKS:
            raise ValueError(f"there is no playground {task!r}; choose {' or '.join(TASKS)}")
        self.compute = functools.partial(scrubber_frame, task)
        controls = [
            Control("visit", "Visits of the sampler", tuple(range(VISITS + 1)), 0, play=True),
            Control("seed", "Seed", tuple(SEEDS), 0, button="New noise"),
        ]
        if task == "point-mass":
            super().__init__(controls, load_playground(task).packed, page_settings(task), **state)
        else:  # a robot is drawn by the simulator
            super().__init__(controls, in_page=False, **state)
