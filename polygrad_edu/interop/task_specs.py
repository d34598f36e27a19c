"""Specs of tasks: the differences between the task that others recorded or trained in and the one made here.

Gymnasium describes a task by a spec: its id, the arguments it was made with (kwargs) and the wrappers around it. Two
tasks of one id may differ in the other two, and then what is true of the one is wrong of the other.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.envs.mujoco.mujoco_env import MujocoEnv
from gymnasium.envs.registration import EnvSpec, WrapperSpec, load_env_creator

# Wrappers that change neither what a task shows nor what it does nor what it pays, and the packages that have them.
HARMLESS = (
    "ClipAction",  # every task is played so here
    "DataCollector",
    "HumanRendering",
    "Monitor",
    "OrderEnforcing",
    "PassiveEnvChecker",
    "RecordEpisodeStatistics",
    "RecordVideo",
    "Remembering",
    "RenderCollection",
    "TimeLimit",
)
_PACKAGES = ("gym", "gymnasium", "minari", "polygrad_edu", "stable_baselines3")
# Arguments of MuJoCo's tasks that only change pictures; render_mode is one of every task.
_DRAWING = ("width", "height", "camera_id", "camera_name", "default_camera_config", "max_geom", "visual_options")
_MISSING = object()


def plain_task(env: gymnasium.Env) -> gymnasium.Env:
    """The task as Gymnasium makes it, below what ``environments.make`` puts around it.

    Its action space holds actions in the task's own units, as others record them.
    """
    while not isinstance(env, gymnasium.wrappers.RescaleAction):
        env = cast("gymnasium.Wrapper", env).env
    return env.env


def storable(spec: EnvSpec) -> EnvSpec:
    """A spec with values that JSON can hold: a class or a function in it becomes its name."""
    creator: Any = spec.entry_point
    name = f"{creator.__module__}:{creator.__qualname__}" if callable(creator) else creator
    return EnvSpec(
        id=spec.id,
        entry_point=name,
        max_episode_steps=spec.max_episode_steps,
        kwargs=_plain(spec.kwargs),
        additional_wrappers=tuple(WrapperSpec(**_plain(vars(wrapper))) for wrapper in spec.additional_wrappers),
    )


def differences(recorded: Mapping[str, Any], env: gymnasium.Env) -> list[str]:
    """Arguments and wrappers in which a recorded task differs from the one made here, each in a few words.

    Another time limit counts only where the task's own wrappers may show the time: it is known from the episodes.

    Args:
        recorded: the recorded task's spec, as read from JSON.
        env: the task of the same id, made by ``environments.make``.
    """
    here = plain_task(env).spec
    assert here is not None
    found = _changed_kwargs(recorded.get("kwargs"), here, isinstance(env.unwrapped, MujocoEnv))
    beyond = wrappers_beyond(recorded, env)
    if beyond is None:
        return [*found, f"the wrappers {_names(_wrappers(recorded))} (here {_names(_own_wrappers(here)[0])})"]
    shape = cast("gymnasium.spaces.Box", plain_task(env).action_space).shape
    changing = [wrapper for wrapper in beyond if not is_harmless(wrapper) and _rescaled(wrapper, shape) is None]
    found += [f"the wrapper {wrapper_name(wrapper)}" for wrapper in changing]
    limit = recorded.get("max_episode_steps")
    if limit != here.max_episode_steps and any(not is_harmless(own) for own in _own_wrappers(here)[0]):
        found.append(f"max_episode_steps={limit!r:.40} (here {here.max_episode_steps})")
    return found


def wrappers_beyond(recorded: Mapping[str, Any], env: gymnasium.Env) -> list[dict[str, Any]] | None:
    """Wrappers that a recorded task has around those that the task has here, from the inside out.

    None if it lacks one of those.
    """
    here = plain_task(env).spec
    assert here is not None
    theirs = _wrappers(recorded)
    for own in _own_wrappers(here):
        if [_identity(wrapper) for wrapper in theirs[: len(own)]] == [_identity(wrapper) for wrapper in own]:
            return theirs[len(own) :]
    return None


def action_range(recorded: Mapping[str, Any], env: gymnasium.Env) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest action [A], float64, that span the task's range in the units that were recorded."""
    own = cast("gymnasium.spaces.Box", plain_task(env).action_space)
    low, high = own.low.astype(np.float64), own.high.astype(np.float64)
    for wrapper in wrappers_beyond(recorded, env) or ():
        low, high = _rescaled(wrapper, own.shape) or (low, high)
    return low, high


def is_harmless(wrapper: Mapping[str, Any]) -> bool:
    """True for a wrapper that changes nothing that is learned."""
    package = str(wrapper.get("entry_point")).split(".")[0]
    return wrapper_name(wrapper) in HARMLESS and package in _PACKAGES


def wrapper_name(wrapper: Mapping[str, Any]) -> str:
    """Name of the wrapper's class, shortened."""
    return (str(wrapper.get("entry_point")).rpartition(":")[2] or str(wrapper.get("name")))[:60]


def _names(wrappers: list[dict[str, Any]]) -> str:
    return ", ".join(wrapper_name(wrapper) for wrapper in wrappers) or "none"


def _rescaled(wrapper: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """The range that a RescaleAction gives to actions; None for another wrapper, or a range that cannot be used."""
    if wrapper_name(wrapper) != "RescaleAction":
        return None
    try:
        given = [np.asarray(wrapper["kwargs"][name], dtype=np.float64) for name in ("min_action", "max_action")]
        low, high = (np.broadcast_to(bound, shape) for bound in given)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return (low, high) if np.isfinite([low, high]).all() and (low < high).all() else None


def _own_wrappers(here: EnvSpec) -> list[list[dict[str, Any]]]:
    """The task's own wrappers, as it is made and as it is registered: the two may describe the same one differently."""
    registered = gymnasium.registry.get(here.id, here)
    return [[_plain(vars(wrapper)) for wrapper in spec.additional_wrappers] for spec in (here, registered)]


def _wrappers(recorded: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The wrappers in a spec that was read from anybody's file."""
    given = recorded.get("additional_wrappers") or []
    listed: list[Any] = given if isinstance(given, list) else [given]
    return [wrapper if isinstance(wrapper, dict) else {"name": f"{wrapper!r:.40}"} for wrapper in listed]


def _identity(wrapper: Mapping[str, Any]) -> tuple[str, Any]:
    return wrapper_name(wrapper), wrapper.get("kwargs")


def _changed_kwargs(recorded: Any, here: EnvSpec, is_mujoco: bool) -> list[str]:
    theirs: dict[str, Any] = recorded if isinstance(recorded, dict) else {}
    ours = _plain(here.kwargs)
    defaults = _plain(_defaults(here.entry_point))
    drawing = {"render_mode", *(_DRAWING if is_mujoco else ())}
    found: list[str] = []
    for name in sorted({*theirs, *ours} - drawing):
        their_value, our_value = (values.get(name, defaults.get(name, _MISSING)) for values in (theirs, ours))
        if their_value != our_value:
            found.append(f"{name:.40}={_shown(their_value)} (here {_shown(our_value)})")
    return found


def _shown(value: Any) -> str:
    return "not given" if value is _MISSING else f"{value!r:.40}"


def _defaults(entry_point: Any) -> dict[str, Any]:
    """Default values of the arguments of a task's class, or of the function that makes it."""
    creator: Any = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    functions: list[Callable[..., Any]] = [creator]
    if isinstance(creator, type):
        functions = [vars(kind)["__init__"] for kind in creator.__mro__ if "__init__" in vars(kind)]
    found: dict[str, Any] = {}
    for function in functions:
        parameters = inspect.signature(function).parameters.values()
        for parameter in parameters:
            if parameter.default is not parameter.empty:
                found.setdefault(parameter.name, parameter.default)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break  # nothing is handed on to the class that it inherits from
    return found


def _plain(value: Any) -> Any:
    """``value`` as JSON gives it back: tuples and arrays as lists, functions and classes as their names."""
    return json.loads(json.dumps(value, default=_as_data, skipkeys=True))


def _as_data(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    named = value if callable(value) else type(value)
    return f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', type(named).__name__)}"
