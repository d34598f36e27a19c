"""Guidance explorer: move the guidance strength and see imagined trajectories and their actions change."""

from __future__ import annotations

import functools
from typing import Any, cast

import numpy as np
import torch

from ..settings import RULES, GuidanceSettings
from .base import Control, LessonWidget, check_number
from .guided_imagination import (
    CONVENTIONS,
    STRENGTHS,
    TASKS,
    ConventionalSampler,
    Playground,
    expected_curve,
    load_playground,
    measure,
)

N_MEASURED = 32  # trajectories for the numbers
N_DRAWN = 8  # of them for the picture
N_ACTIONS = 90
BINS = 24


def guidance_frame(
    task: str, rule: str, convention: str, strength: float, sampling_steps: int, policy_std: float, seed: int
) -> dict[str, Any]:
    """Compute the frame of :class:`GuidanceExplorer`.

    Args:
        task: ``point-mass`` or ``hopper``.
        rule: of ``settings.RULES``.
        convention: how the gradient rule weighs and places its pull, see :func:`..guidance_theory.guidance_shift`.
        strength: lambda of the gradient rule, 0 or more.
        sampling_steps: S, at most the trained T.
        policy_std: sigma of the policy, in every action dimension.
        seed: of the noise.

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
    if rule == "gradient":
        return _frame(task, rule, convention, float(strength), sampling_steps, float(policy_std), seed)
    return _frame(task, rule, "polygrad", 0.0, sampling_steps, float(policy_std), seed)  # the other rules have neither


@functools.lru_cache(maxsize=256)
def _frame(
    task: str, rule: str, convention: str, strength: float, sampling_steps: int, policy_std: float, seed: int
) -> dict[str, Any]:
    playground = load_playground(task)
    rows = np.random.default_rng(0).permutation(len(playground.observations))[:N_MEASURED]
    policy = playground.policy_with(policy_std)
    sampler = ConventionalSampler(playground, GuidanceSettings(rule=rule, scale=strength), convention, sampling_steps)
    generator = torch.Generator().manual_seed(seed)
    imagined = sampler.sample(playground.observations[rows], policy, playground.horizon, generator)
    found = measure(playground, policy, imagined.observations, imagined.actions, playground.simulator_states[rows])
    heights, _ = np.histogram(np.clip(found.standardised, -3.99, 3.99), bins=BINS, range=(-4, 4))
    spread = found.deviations[..., :2].reshape(-1, 2)
    shown = np.random.default_rng(1).permutation(len(spread))[:N_ACTIONS]
    curve = None
    tuned = None
    if rule == "gradient":
        *curve, tuned = expected_curve(task, convention, policy_std, sampling_steps)
    errors = np.sqrt(found.errors)
    imagined_path = path(playground, found.observations)
    real_path = path(playground, found.real)
    drawn = far_apart(imagined_path[..., 0], N_DRAWN)
    return {
        "paths": {
            "imagined": imagined_path[drawn],
            "real": real_path[drawn],
            "task": task,
        },
        "actions": spread[shown].T.clip(-20, 20),
        "policy_std": policy_std,
        "histogram": heights / heights.sum() * BINS / 8,  # a density: bins are 8 / BINS wide
        "errors": errors[1:].clip(0, 10).tolist(),
        "expected": curve,
        "strength": {"chosen": strength, "std": found.std, "tuned": tuned, "ks": found.ks_distance},
        "text": sentence(rule, strength, tuned, found.std, found.ks_distance, errors),
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


def sentence(rule: str, strength: float, tuned: float | None, std: float, ks: float, errors: np.ndarray) -> str:
    """Sentence that says what the picture shows."""
    ahead = int(np.flatnonzero(np.isfinite(errors))[-1])  # the last step that any trajectory reached
    verdict = "as wide as the policy" if abs(std - 1) < 0.1 else "too narrow" if std < 1 else "too wide"
    words = f"The actions are {verdict}: standardised, their std is {std:.2f} (1 is right) and their distance to "
    words += f"N(0, 1) {ks:.2f} (Kolmogorov-Smirnov; 0 is right). {ahead} steps ahead the states are off by "
    words += f"{errors[ahead]:.2f} of the data's std."
    if rule != "gradient":
        return f"{words} The rule {rule} has no strength and one convention."
    where = f"it would be about {tuned:.2g}" if tuned else "there would be none"
    return f"{words} The strength is {strength:.2g}; if the policy's mean stood still, {where} that is right."


class GuidanceExplorer(LessonWidget):
    """Widget for guidance strength, rule, convention, sampling steps and the policy's standard deviation.

    World model and policy are shipped ones; the policy keeps its mean and gets the standard deviation you choose.

    Args:
        task: ``point-mass``, whose plane is drawn, or ``hopper``.
        state: first values of controls, by name.
    """

    title = "Guidance explorer"
    script = "guidance_explorer.js"

    def __init__(self, task: str = "point-mass", **state: Any):
        if task not in TASKS:
            raise ValueError(f"there is no playground {task!r}; choose {' or '.join(TASKS)}")
        self.compute = functools.partial(guidance_frame, task)
        strength = Control.log("strength", "Guidance strength λ", *STRENGTHS, 28, 0.01)
        super().__init__(
            [
                strength,
                Control("rule", "Rule", RULES, "gradient"),
                Control("convention", "Convention", CONVENTIONS, "polygrad"),
                Control("policy_std", "Policy's std σ", (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0), 0.5),
                Control("sampling_steps", "Sampling steps", (1, 2, 4, 8, 16, 32, 64, 128), 16),
                Control("seed", "Seed", tuple(range(10)), 0),
            ],
            **state,
        )
