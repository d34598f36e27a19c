"""Statistics of a VecNormalize, which belong to a Stable-Baselines3 policy but not to the file of its model.

A policy that was trained on normalised observations acts differently on raw ones. Here its normalisation is taken from
the environments around the model or from the VecNormalize that is handed in, and where it may be missing, that is
said. The file that ``VecNormalize.save`` writes can hold code that runs when it is read; nothing here reads it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import environments
from ..files.input_error import InputError
from .task_specs import is_harmless, storable, wrapper_name, wrappers_beyond

FEW = 100  # observations: statistics of fewer are not those that a policy was trained with
# Wrappers around several environments that leave their observations alone, or are taken along.
_KNOWN = ("VecNormalize", "VecMonitor", "VecCheckNan", "VecVideoRecorder")
# Wrappers of a task that change rewards alone, or the units of actions, which the model's action space tells.
_NOT_SEEN = ("ClipReward", "NormalizeReward", "TransformReward", "RescaleAction")


class Normalisation(NamedTuple):
    """The clipped ``(observation - mean) / scale`` that a policy takes for its observation."""

    mean: np.ndarray  # [O]
    scale: np.ndarray  # [O]
    clip: float


def normalisation_of(model: Any, statistics: Any, size: int) -> Normalisation:
    """The normalisation of observations that a policy was trained behind; one that changes nothing if there was none.

    Args:
        model: of Stable-Baselines3.
        statistics: a VecNormalize; None: the one around the model's environments.
        size: of an observation.

    Raises:
        InputError: the statistics cannot be read, or are no statistics of such observations.
    """
    given = model.get_vec_normalize_env() if statistics is None else statistics
    if isinstance(given, str | Path):
        raise InputError(
            f"{given} is read by Stable-Baselines3 alone; give statistics=VecNormalize.load({str(given)!r}, envs), if "
            "you trust that file"
        )
    try:
        if given is None or not given.norm_obs:
            return Normalisation(np.zeros(size), np.ones(size), math.inf)
        mean = np.asarray(given.obs_rms.mean, dtype=np.float64)
        scale = np.sqrt(np.asarray(given.obs_rms.var, dtype=np.float64) + float(given.epsilon))
        clip = float(given.clip_obs)
    except (AttributeError, TypeError, ValueError):
        raise InputError(
            f"statistics of the kind {type(given).__name__} hold no means of a vector of observations; give the "
            "VecNormalize that the policy was trained behind"
        ) from None
    if mean.shape != (size,) or scale.shape != (size,):
        raise InputError(f"the statistics are of {mean.size} observations, the policy takes {size}")
    if not (np.isfinite([mean, scale]).all() and (scale > 0).all() and clip > 0):
        raise InputError("the statistics hold numbers that nothing can be normalised with")
    return Normalisation(mean, scale, clip)


def doubts_about(model: Any, statistics: Any) -> list[str]:
    """Reasons why a copy of a model's policy, which sees a task's own observations, may act differently."""
    found = [] if statistics is not None else [*_missing_statistics(model)]
    if others := _other_wrappers(model):
        found.append(
            f"was trained behind {', '.join(others)}, which a copy of the policy does not take along: if that changes "
            "observations, it acts differently; train it on environments.make, with a VecNormalize at most"
        )
    return found


def _missing_statistics(model: Any) -> list[str]:
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

    remedy = "without them it acts differently; pass the VecNormalize as statistics="
    attached = model.get_vec_normalize_env()
    if attached is not None:
        seen = getattr(getattr(attached, "obs_rms", None), "count", math.inf)
        if not attached.norm_obs or seen >= min(FEW, model.num_timesteps):
            return []
        steps = f"{model.num_timesteps:,} steps"
        return [f"learned from {steps}, of which the VecNormalize around it has no statistics: {remedy}"]
    if isinstance(model, OnPolicyAlgorithm):
        if model._last_original_obs is not None:  # remembered behind a VecNormalize alone
            return [f"was trained behind a VecNormalize, whose statistics its file does not hold: {remedy}"]
        if model._last_obs is not None:
            return []
    if model.get_env() is not None:
        return []
    return [
        "has no environments attached, and may have been trained behind a VecNormalize, whose statistics its file does "
        f"not hold: {remedy}; if there was none, load it with env="
    ]


def _other_wrappers(model: Any) -> list[str]:
    """Wrappers around the model's environments that may change observations, by name."""
    from stable_baselines3.common.vec_env import VecEnvWrapper

    found: list[str] = []
    envs = model.get_env()
    while isinstance(envs, VecEnvWrapper):
        if type(envs).__name__ not in _KNOWN:
            found.append(type(envs).__name__)
        envs = envs.venv
    if envs is None:
        return found
    try:
        recorded = storable(envs.get_attr("spec", 0)[0])
        task = environments.make(recorded.id)
    except (AttributeError, InputError):  # nothing that can be made here, and so nothing to compare with
        return found
    wrappers = [vars(wrapper) for wrapper in recorded.additional_wrappers]
    for wrapper in wrappers_beyond({"additional_wrappers": wrappers}, task) or ():
        if not is_harmless(wrapper) and wrapper_name(wrapper) not in _NOT_SEEN:
            found.append(wrapper_name(wrapper))
    task.close()
    return found
