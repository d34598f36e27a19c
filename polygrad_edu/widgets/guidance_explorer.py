"""Guidance explorer: move the guidance strength and see imagined trajectories and their actions change."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from ..settings import RULES, GuidanceSettings
from .base import Control, LessonWidget, Place, check_number, compact
from .guided_imagination import (
    CONVENTIONS,
    STRENGTHS,
    TASKS,
    ConventionalSampler,
    Playground,
    expected_curve,
    load_playground,
    measure,
    verdict_on,
)
from .page_noise import chain_with_page_noise

N_MEASURED = 32  # trajectories for the numbers
N_DRAWN = 8  # of them for the picture
N_ACTIONS = 90
BINS = 28  # so that 3, at which actions are clipped, is the middle of a bin and not its edge
TURNS = tuple(range(-180, 181, 5))

NOTES = {
    "point-mass": "All of this is computed in the page, by the course's world model and the task's own physics.",
    "hopper": "Computed in the page by the course's world model. Moved on, it needs a kernel for the simulator's side.",
}

Places = Sequence[Sequence[float]]


def guidance_frame(
    task: str,
    rule: str,
    convention: str,
    strength: float,
    sampling_steps: int,
    policy_std: float,
    seed: int,
    turn: float = 0,
    goal: Sequence[float] = (0.0, 0.0),
    starts: Places = (),
) -> dict[str, Any]:
    """Compute the frame of :class:`GuidanceExplorer`, as ``guidance_frame.js`` does in the page.

    Args:
        task: ``point-mass`` or ``hopper``.
        rule: of ``settings.RULES``.
        convention: how the gradient rule weighs and places its pull, see :func:`..guidance_theory.guidance_shift`.
        strength: lambda of the gradient rule, 0 or more.
        sampling_steps: S, at most the trained T.
        policy_std: sigma of the policy, in every action dimension.
        seed: of the noise.
        turn: degrees by which the policy's mean is turned; point mass.
        goal: (x, y) that the policy takes for the middle of the arena; point mass.
        starts: (x, y) at which the drawn trajectories begin, empty for where they are stored; point mass.

    Raises:
        ValueError: a value is out of range, or there is no such task, rule or convention.
    """
    playground = load_playground(task)
    check_number("the guidance strength", strength, 0, 100)
    check_number("the sampling steps", sampling_steps, 1, playground.diffusion.schedule.n_steps, whole=True)
    check_number("the policy's std", policy_std, 0.01, 10)
    check_number("the seed", seed, 0, 2**31, whole=True)
    if rule not in RULES:
        raise ValueError(f"guidance rule {rule!r} is unknown; choose one of {', '.join(RULES)}")
    if convention not in CONVENTIONS:
        raise ValueError(f"convention {convention!r} is unknown; choose one of {', '.join(CONVENTIONS)}")
    _check_by_hand(task, turn, goal, starts)
    if rule != "gradient":  # the other rules have neither
        convention, strength = "polygrad", 0.0
    settings = page_settings(task)
    rows, drawn = settings["rows"], settings["drawn"]
    first, states = playground.observations[rows].clone(), playground.simulator_states[rows].copy()
    if len(starts):
        first[drawn, :2] = torch.tensor(starts)
        states[drawn, :2] = starts
    policy = playground.policy_with(float(policy_std), tuple(goal), turn)
    sampler = ConventionalSampler(playground, GuidanceSettings(rule=rule, scale=strength), convention, sampling_steps)
    *_, end = chain_with_page_noise(sampler, first, policy, playground.horizon, seed)
    imagined = sampler.expected(end)
    found = measure(playground, policy, imagined.observations, imagined.actions, states)
    heights, _ = np.histogram(np.clip(found.standardised, -3.99, 3.99), bins=BINS, range=(-4, 4))
    spread = found.deviations[..., :2].reshape(-1, 2)
    curve = None
    tuned = None
    if rule == "gradient":
        *curve, tuned = expected_curve(task, convention, policy_std, sampling_steps)
    errors = np.sqrt(found.errors)
    return {
        "paths": {
            "imagined": path(playground, found.observations)[drawn],
            "real": path(playground, found.real)[drawn],
            "task": task,
        },
        "actions": spread[settings["shown"]].T.clip(-20, 20),
        "policy_std": policy_std,
        "histogram": heights / heights.sum() * BINS / 8,  # a density: bins are 8 / BINS wide
        "errors": errors[1:].clip(0, 10).tolist(),
        "expected": curve,
        "strength": {"chosen": strength, "std": found.std, "tuned": tuned, "ks": found.ks_distance},
        "text": sentence(rule, compact(found.std), compact(found.ks_distance), errors),  # rounded as the titles are
        "answer": answer(strength, tuned) if rule == "gradient" else "",
    }


def _check_by_hand(task: str, turn: float, goal: Sequence[float], starts: Places) -> None:
    """Check the turn and the places that the reader's hand chose.

    Raises:
        ValueError: a value is out of range, or the task has nothing to move.
    """
    check_number("the turn", turn, -360, 360)
    if len(starts) not in (0, N_DRAWN):
        raise ValueError(f"starts must be {N_DRAWN} places, or none, not {len(starts)}")
    for place in (goal, *starts):
        if len(place) != 2:
            raise ValueError(f"a place must be x and y, not {place!r}")
        for value in place:
            check_number("a place", value, -1, 1)
    if task != "point-mass" and (turn or any(goal) or len(starts)):
        raise ValueError("only the point mass has starts and a goal to move, and a policy to turn")


@functools.cache
def page_settings(task: str) -> dict[str, Any]:
    """Settings for ``guidance_frame.js``: what is measured and drawn.

    ``rows`` of the stored real states to begin at, those ``drawn`` of them, and ``shown`` of all actions; ``dt`` is the
    task's time step; ``note`` stands below the picture.
    """
    playground = load_playground(task)
    rows = np.random.default_rng(0).permutation(len(playground.observations))[:N_MEASURED]
    starts = path(playground, playground.observations[rows].numpy()[:, None])[..., 0]
    n_points = N_MEASURED * playground.horizon
    return {
        "task": task,
        "rows": rows.tolist(),
        "drawn": far_apart(starts, N_DRAWN),
        "shown": [i * n_points // N_ACTIONS for i in range(N_ACTIONS)],
        "dt": float(getattr(playground.env.unwrapped, "dt", 1.0)),
        "note": NOTES[task],
    }


def path(playground: Playground, observations: np.ndarray) -> np.ndarray:
    """Path to draw for trajectories [B, H, O]: [B, 2, H], across and up.

    It is the point mass's position, or that of the Hopper's torso, whose distance is summed up from its velocity.
    """
    if playground.name == "point-mass":
        return observations[..., :2].transpose(0, 2, 1)
    forward = np.cumsum(observations[..., 5] * cast(Any, playground.env.unwrapped).dt, axis=1)
    return np.stack([forward - forward[:, :1], observations[..., 0]], axis=1)


def far_apart(points: np.ndarray, n: int) -> list[int]:
    """Choose ``n`` rows of ``points`` [B, 2], each as far as possible from those before it.

    Most points lie close together, so rows chosen at random would lie over each other.
    """
    chosen = [0]
    while len(chosen) < n:
        away = np.linalg.norm(points[:, None] - points[chosen], axis=-1).min(axis=1)  # [B] from the nearest chosen one
        chosen.append(int(away.argmax()))
    return chosen


def sentence(rule: str, std: float, ks: float, errors: np.ndarray) -> str:
    """Sentence that says what the picture shows."""
    ahead = int(np.flatnonzero(np.isfinite(errors))[-1])  # the last step that any trajectory reached
    words = f"{verdict_on(std)}: standardised, the actions' std is {std:.2f} (1 is right), their distance to N(0, 1) "
    words += f"{ks:.2f} (KS; 0 is right). {ahead} steps ahead, imagined and true states are {errors[ahead]:.2f} of the "
    words += "data's std apart."
    return words if rule == "gradient" else f"{words} The rule {rule} has no strength and one convention."


def answer(strength: float, tuned: float | None) -> str:
    """Sentence that says which strength is right, for a reader who asks."""
    where = f"about {tuned:.2g}" if tuned else "at none"
    return f"If the policy's mean stood still, the right strength would be {where}; yours is {strength:.2g}."


class GuidanceExplorer(LessonWidget):
    """Widget for guidance strength, rule, convention, sampling steps and the policy's standard deviation.

    World model and policy are shipped ones; the policy keeps its mean and gets the standard deviation you choose.

    Args:
        task: ``point-mass``, whose plane is drawn, or ``hopper``.
        state: first values of controls, by name.
    """

    title = "Guidance explorer"
    script = "guidance_explorer.js"
    page_scripts = ("imagination.js", "point_mass.js", "measured.js", "guidance_frame.js")

    def __init__(self, task: str = "point-mass", **state: Any):
        if task not in TASKS:
            raise ValueError(f"there is no playground {task!r}; choose {' or '.join(TASKS)}")
        self.compute = functools.partial(guidance_frame, task)
        spreads = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
        controls: list[Control | Place] = [
            Control.log("strength", "Guidance strength λ", *STRENGTHS, 28, 0.01),
            Control("rule", "Rule", RULES, "gradient", folded=True),
            Control("convention", "Convention", CONVENTIONS, "polygrad", folded=True),
            Control("policy_std", "Policy's std σ", spreads, 0.5, folded=True),
            Control("sampling_steps", "Sampling steps", (1, 2, 4, 8, 16, 32, 64, 128), 16, folded=True),
            Control("seed", "Seed", tuple(range(100)), 0, button="New noise"),
        ]
        if task == "point-mass":
            controls += [
                Control("turn", "Turn of its mean", TURNS, 0, "°", folded=True),
                Place("goal", "goal", [0.0, 0.0]),
                Place("starts", "starts", []),
            ]
        super().__init__(controls, load_playground(task).packed, page_settings(task), **state)
