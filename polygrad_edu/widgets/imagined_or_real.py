"""Imagined or real: an imagined trajectory beside the simulator's trajectory under the same actions."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch

from .. import environments
from ..course.paths import shipped
from ..drawing import poses
from ..runs.shipped import ShippedResult
from ..world_model import WorldModel
from ..world_model_error import Errors, Starts, measure_errors
from .base import Control, LessonWidget, check_number
from .robot import drawn_robots

N_MEASURED = 48  # trajectories of the error curve
NAMES = {
    "Hopper-v5": ("height", "torso angle", "thigh angle", "leg angle", "foot angle", "forward speed", "upward speed"),
    "InvertedPendulum-v5": ("cart position", "pole angle", "cart velocity", "pole velocity"),
}
WAYS = {  # ways to sample from one world model: settings of the preset
    "16 visits": {},
    "16 visits, no noise, with inertia": {"eta": 0.0, "inertia": 0.86},
    "128 visits": {"sampling_steps": 128},
    "16 visits, actions not guided": {"guidance": "none"},
}


@dataclass(frozen=True, eq=False)  # compared by identity, so it can be the key of a cache
class Candidate:
    """World model with its policy, and the settings that differ when it imagines."""

    result: ShippedResult
    settings: dict[str, Any]


def comparison_frame(
    candidates: Mapping[str, Candidate], model: str, channel: str, ahead: int, seed: int
) -> dict[str, Any]:
    """Compute the frame of :class:`ImaginedOrReal`.

    Args:
        candidates: world models by name.
        model: a name in ``candidates``.
        channel: the observation whose curves are drawn.
        ahead: the step at which both robots are drawn, 0 to H - 1.
        seed: of the real state that both start from, and of the noise.

    Raises:
        ValueError: there is no such model or observation, or the step is beyond the horizon.
    """
    if model not in candidates:
        raise ValueError(f"there is no world model {model!r}; choose one of {', '.join(candidates)}")
    candidate = candidates[model]
    names = channel_names(candidate.result)
    if channel not in names:
        raise ValueError(f"there is no observation {channel!r}; choose one of {', '.join(names)}")
    check_number("the step", ahead, 0, candidate.result.loop.preset.world_model.horizon - 1, whole=True)
    check_number("the seed", seed, 0, 2**31, whole=True)
    both = _compared(candidate, seed)
    errors = _errors(candidate)
    place = names.index(channel)
    env = _env(candidate)
    shown = {name: drawn_robots(env, both[name]["states"][ahead : ahead + 1]) for name in ("imagined", "real")}
    own = both["error"]  # [H]
    typical = errors.at(ahead).value if ahead in errors.steps_ahead else None
    return {
        "robots": shown,
        "curves": {
            "label": channel,
            "imagined": both["imagined"]["observations"][:, place],
            "real": both["real"]["observations"][:, place],
        },
        "ahead": ahead,
        "errors": {
            "own": [None, *own[1 : ahead + 1].tolist()],
            "steps": errors.steps_ahead,
            "typical": [interval.value for interval in errors.observation],
        },
        "text": _sentence(model, ahead, own[ahead], typical, both["ended"]),
    }


def _sentence(model: str, ahead: int, error: float, typical: float | None, ended: int | None) -> str:
    """Sentence that says what the picture shows."""
    if ahead == 0:
        return f"Both start in the same real state. The world model ({model}) is given it and imagines the rest."
    words = f"{ahead} step{'s' if ahead > 1 else ''} ahead "
    if not np.isfinite(error):
        return f"{words}there is nothing to compare: in the simulator the episode ended at step {ended}."
    words += f"this trajectory is off by {error:.2g} (squared, in units of the data's variance; {model})"
    return words + (f"; the median of {N_MEASURED} is {typical:.2g}." if typical is not None else ".")


def channel_names(result: ShippedResult) -> tuple[str, ...]:
    """Names of the observation's dimensions, with numbers for those without a name."""
    size = result.observations.shape[1]
    named = NAMES.get(result.loop.preset.task.env_id, ())
    return (*named, *(f"observation {i}" for i in range(len(named), size)))


def _world_model(candidate: Candidate) -> WorldModel[Any]:
    """World model of a candidate, with the candidate's settings."""
    loop = candidate.result.loop
    loop.world_model.reconfigure(loop.preset.with_overrides(candidate.settings))
    return loop.world_model


@functools.lru_cache(maxsize=64)
@torch.no_grad()
def _compared(candidate: Candidate, seed: int) -> dict[str, Any]:
    """One imagined trajectory, the simulator's trajectory under the same actions, and the error at each step."""
    result = candidate.result
    env = _env(candidate)
    row = int(np.random.default_rng(seed).integers(len(result.observations)))
    state = result.simulator_states[row].numpy()
    imagined = _world_model(candidate).imagine(
        result.observations[row : row + 1],
        result.loop.best_policy,
        result.loop.preset.world_model.horizon,
        torch.Generator().manual_seed(seed),
    )
    dreamt = imagined.observations[0].numpy().astype(np.float64)  # [H, O]
    real = environments.replay_actions(env, state, imagined.actions[0].numpy())
    scale = result.loop.world_model.normaliser.observations.scale.numpy()
    error = (((dreamt - real["observations"]) / scale) ** 2).mean(axis=1)  # [H]
    ends = np.flatnonzero(real["terminals"])
    if len(ends):
        error[ends[0] + 1 :] = np.nan
    return {
        "imagined": {
            "observations": dreamt,
            "states": poses.states_from_observations(env, state, dreamt),
        },
        "real": real,
        "error": error,
        "ended": int(ends[0]) if len(ends) else None,
    }


@functools.lru_cache(maxsize=16)
def _errors(candidate: Candidate) -> Errors:
    """Median errors by steps ahead, as :mod:`..world_model_error` measures them."""
    result = candidate.result
    start = Starts(
        result.loop.best_policy,
        result.observations[:N_MEASURED].numpy(),
        result.simulator_states[:N_MEASURED].numpy(),
    )
    return measure_errors(_world_model(candidate), _env(candidate), [start], result.loop.preset.world_model.horizon - 1)


@functools.lru_cache(maxsize=8)
def _env(candidate: Candidate) -> gymnasium.Env:
    return candidate.result.loop.make_env()


class ImaginedOrReal(LessonWidget):
    """Widget with the robot imagined above and simulated below, one observation of both, and the growing error.

    Args:
        results: world models to choose from, by name, all of one MuJoCo task, for example checkpoints of a training
            run exported with ``polygrad-edu export`` and read with :func:`..runs.shipped.load_result`. Default: the
            Hopper that comes with the course, sampled in several ways.
        state: first values of controls, by name.

    Raises:
        ValueError: the world models belong to different tasks.
    """

    title = "Imagined or real"
    script = "imagined_or_real.js"

    def __init__(self, results: Mapping[str, ShippedResult] | None = None, **state: Any):
        if results is None:
            hopper = shipped("hopper-cpu")
            candidates = {name: Candidate(hopper, settings) for name, settings in WAYS.items()}
        else:
            candidates = {name: Candidate(result, {}) for name, result in results.items()}
        tasks = {candidate.result.loop.preset.task.env_id for candidate in candidates.values()}
        if len(tasks) != 1:
            raise ValueError(f"only world models of one task can be compared, not of {', '.join(sorted(tasks))}")
        names = channel_names(next(iter(candidates.values())).result)
        horizon = min(candidate.result.loop.preset.world_model.horizon for candidate in candidates.values())
        self.compute = functools.partial(comparison_frame, candidates)
        super().__init__(
            [
                Control("model", "World model", tuple(candidates), next(iter(candidates))),
                Control("channel", "Observation", names, names[0]),
                Control("ahead", "Steps ahead", tuple(range(horizon)), horizon - 1),
                Control("seed", "Start", tuple(range(20)), 0),
            ],
            **state,
        )
