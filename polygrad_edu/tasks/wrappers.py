"""Wrappers of a task: their memory, as numbers that can be saved and put back.

A task may be registered with wrappers of its own: observations that are scaled, stacked or delayed, a clock, actions
that stick. What they remember belongs to the simulator's state, or a restored simulator would show something else.
Here a task is tried for some steps, and what its wrappers changed meanwhile is found out; what cannot be saved is
refused.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec

from ..files.input_error import InputError

# Wrappers that change neither what a task shows nor what it does.
NEUTRAL = ("PassiveEnvChecker", "OrderEnforcing", "RecordEpisodeStatistics", "ClipAction", "RescaleAction")
TRIED_STEPS = 6
_STATIC = (str, bytes, type, gymnasium.Space, gymnasium.Env, EnvSpec)


class Slot(NamedTuple):
    """A place where a wrapper remembers numbers."""

    wrapper: int  # counted from the task outwards
    attribute: str
    size: int


def wrappers_of(env: gymnasium.Env) -> list[gymnasium.Wrapper]:
    """The wrappers around a task, from the task outwards."""
    found: list[gymnasium.Wrapper] = []
    while isinstance(env, gymnasium.Wrapper):
        found.append(env)
        env = env.env
    return found[::-1]


def time_limit(env: gymnasium.Env) -> gymnasium.wrappers.TimeLimit:
    """The outermost time limit of a task; those within it are memory like any other.

    Raises:
        InputError: there is none, so that an episode might never end.
    """
    for wrapper in reversed(wrappers_of(env)):
        if isinstance(wrapper, gymnasium.wrappers.TimeLimit):
            return wrapper
    name = env.spec.id if env.spec else str(env)
    raise InputError(f"{name} has no time limit: its episodes need an end; register it with max_episode_steps")


def longest_episode(env: gymnasium.Env) -> int:
    """Steps after which the task is stopped, by the shortest of its time limits."""
    limits = [one for one in wrappers_of(env) if isinstance(one, gymnasium.wrappers.TimeLimit)]
    return min(limit._max_episode_steps for limit in limits)


def memory_slots(env: gymnasium.Env) -> list[Slot]:
    """The places where this task's wrappers remember numbers, found by trying it for some steps.

    Raises:
        InputError: a wrapper remembers something that cannot be saved, or gathers statistics over episodes.
    """
    _refuse_statistics(env)
    env.reset(seed=0)
    env.action_space.seed(0)
    before = _taken(env)
    sizes = _sizes(env)
    changed: set[tuple[int, str]] = set()
    for _ in range(TRIED_STEPS):
        _, _, terminal, truncated, _ = env.step(env.action_space.sample())
        now = _taken(env)
        changed |= {key for key in now if now[key] != before.get(key)}
        _refuse_growth(env, sizes, changed)
        if terminal or truncated:
            env.reset()
    slots = []
    for place, attribute in sorted(changed):
        wrapper = wrappers_of(env)[place]
        numbers = _numbers(getattr(wrapper, attribute))
        if numbers is None:
            raise InputError(
                f"the wrapper {type(wrapper).__name__} remembers something that cannot be saved ({attribute}), so this "
                "task could not be resumed or replayed; make it without that wrapper"
            )
        slots.append(Slot(place, attribute, len(numbers)))
    return slots


def get_memory(env: gymnasium.Env, slots: Sequence[Slot]) -> np.ndarray:
    """The wrappers' memory as one float64 vector."""
    wrappers = wrappers_of(env)
    parts = [_numbers(getattr(wrappers[slot.wrapper], slot.attribute)) for slot in slots]
    return np.concatenate([np.zeros(0), *(part for part in parts if part is not None)])


def set_memory(env: gymnasium.Env, slots: Sequence[Slot], memory: np.ndarray) -> None:
    """Put what :func:`get_memory` took back, in the types and shapes that stand there."""
    wrappers = wrappers_of(env)
    for slot in slots:
        own, memory = memory[: slot.size], memory[slot.size :]
        wrapper = wrappers[slot.wrapper]
        setattr(wrapper, slot.attribute, _like(getattr(wrapper, slot.attribute), list(own)))


class Remembering(gymnasium.Wrapper):
    """Keeps the last observation beside the state, for tasks that show more than their simulator knows.

    Attributes:
        slots: where the task's own wrappers remember.
        shown: [O] the last observation.
    """

    def __init__(self, env: gymnasium.Env, slots: list[Slot]):
        super().__init__(env)
        self.slots = slots
        self.shown = np.zeros(gymnasium.spaces.flatdim(env.observation_space))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self.shown = np.array(observation, dtype=np.float64)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminal, truncated, info = self.env.step(action)
        self.shown = np.array(observation, dtype=np.float64)
        return observation, reward, terminal, truncated, info


def remembering(env: gymnasium.Env) -> Remembering | None:
    """The task's :class:`Remembering`, if it has one."""
    return next((wrapper for wrapper in wrappers_of(env) if isinstance(wrapper, Remembering)), None)


def _refuse_statistics(env: gymnasium.Env) -> None:
    for wrapper in wrappers_of(env):
        for name, value in vars(wrapper).items():
            if all(hasattr(value, part) for part in ("mean", "var", "count")):
                raise InputError(
                    f"the wrapper {type(wrapper).__name__} gathers statistics over all episodes ({name}), which an "
                    "evaluation or a resumed run would not share; make the task without it, polygrad-edu normalises"
                )


def _refuse_growth(env: gymnasium.Env, before: dict[tuple[int, str], int], changed: set[tuple[int, str]]) -> None:
    now = _sizes(env)
    for place, attribute in changed:
        if now.get((place, attribute)) != before.get((place, attribute)):
            name = type(wrappers_of(env)[place]).__name__
            raise InputError(
                f"the wrapper {name} remembers a changing number of things ({attribute}), which cannot be saved beside "
                "each step; make the task without that wrapper"
            )


def _attributes(env: gymnasium.Env) -> Iterator[tuple[int, str, Any]]:
    limit = time_limit(env)  # its count is saved by itself
    for place, wrapper in enumerate(wrappers_of(env)):
        if type(wrapper).__name__ not in NEUTRAL and wrapper is not limit:
            for name, value in vars(wrapper).items():
                if not isinstance(value, _STATIC) and not callable(value):
                    yield place, name, value


def _taken(env: gymnasium.Env) -> dict[tuple[int, str], Any]:
    return {(place, name): _image(value) for place, name, value in _attributes(env)}


def _sizes(env: gymnasium.Env) -> dict[tuple[int, str], int]:
    return {
        (place, name): len(numbers)
        for place, name, value in _attributes(env)
        if (numbers := _numbers(value)) is not None
    }


def _image(value: Any, depth: int = 3) -> Any:
    """A picture of ``value`` that compares equal as long as nothing in it has changed."""
    numbers = _numbers(value)
    if numbers is not None:
        return numbers.tobytes()
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if depth == 0 or isinstance(value, _STATIC) or callable(value):
        return id(value)
    if isinstance(value, dict):
        return tuple((str(key), _image(inner, depth - 1)) for key, inner in value.items())
    if isinstance(value, list | tuple | deque | set):
        return tuple(_image(inner, depth - 1) for inner in value)
    if dataclasses.is_dataclass(value) or hasattr(value, "__dict__"):
        return tuple((key, _image(inner, depth - 1)) for key, inner in vars(value).items())
    return repr(value)


def _numbers(value: Any) -> np.ndarray | None:
    """``value`` as a flat float64 vector; None if it is not made of numbers alone."""
    if isinstance(value, bool | int | float | np.generic | np.ndarray):
        array = np.asarray(value)
        return array.astype(np.float64).ravel() if array.dtype.kind in "biuf" else None
    if isinstance(value, list | tuple | deque) and len(value):
        parts = [_numbers(inner) for inner in value]
        return None if any(part is None for part in parts) else np.concatenate([p for p in parts if p is not None])
    return None


def _like(old: Any, numbers: list[float]) -> Any:
    """The first of ``numbers``, which are used up, in the type and shape of ``old``."""
    if isinstance(old, np.ndarray):
        taken = [numbers.pop(0) for _ in range(old.size)]
        return np.array(taken, dtype=np.float64).astype(old.dtype).reshape(old.shape)
    if isinstance(old, deque):
        return deque([_like(inner, numbers) for inner in old], maxlen=old.maxlen)
    if isinstance(old, list | tuple):
        return type(old)(_like(inner, numbers) for inner in old)
    return type(old)(numbers.pop(0))
