"""Checks of a dataset by others: it is of the task that is made here, in its units, and whole.

What a dataset says of itself is checked before it is read, and what was read before it is used. Each refusal says in
one line what was wrong, and in which episode.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from .. import environments
from ..files.input_error import InputError
from ..files.safe_files import one_line, parse_json, refuse_lfs_pointer
from .outside_policies import MLPPolicy, check_policy_fits
from .task_specs import action_range, differences, plain_task, wrapper_name, wrappers_beyond

PLAYED_EPISODES = 5  # of which two steps each are played anew
# For other versions of MuJoCo round otherwise: a share of the largest number of its kind in the episode, and of 1.
PLAYED_TOLERANCE = 0.01


def recorded_spec(metadata: dict[str, Any], data: Path, source: str | Path) -> dict[str, Any]:
    """The spec of the task that a dataset is of; its id is a plain one.

    Raises:
        InputError: the metadata do not say it, or name a module.
    """
    if not all(isinstance(metadata.get(key), str) for key in ("observation_space", "action_space", "env_spec")):
        raise InputError(f"{source} does not say which task it is of; PolyGRAD needs Minari's env_spec and both spaces")
    spec = _from_json(metadata["env_spec"])
    if "id" not in spec:
        raise InputError(f"{data / 'metadata.json'} holds a damaged env_spec")
    stored_id = spec["id"]
    if not isinstance(stored_id, str) or ":" in stored_id:  # Gymnasium would import the module before the colon
        raise InputError(
            f"{source} is of the task {stored_id!r:.60}; a plain Gymnasium id is needed, such as Hopper-v5"
        )
    return spec


def _from_json(text: str) -> dict[str, Any]:
    """The object in ``text``, empty if there is none; the bounds of a space may be infinite."""
    try:
        return parse_json(text, infinite=True)
    except InputError:
        return {}


def check_metadata(
    metadata: dict[str, Any], recorded: dict[str, Any], data: Path, env: gymnasium.Env, source: str | Path
) -> tuple[np.ndarray, np.ndarray]:
    """Check what a dataset says of itself, before Minari makes room for more than the files can hold.

    Returns:
        The lowest and the highest action [A], which span the task's range in the dataset's units.

    Raises:
        InputError: its task was made otherwise than here, there cannot be so many episodes or steps, or a space is not
            the task's.
    """
    if changes := differences(recorded, env):
        raise InputError(
            f"{source} was recorded in {_id(env)} with {one_line(', '.join(changes))}; register that task under an id "
            "of its own and record it there"
        )
    path = data / "metadata.json"
    size = 0
    for file in data.rglob("*"):
        if file.is_file():
            refuse_lfs_pointer(file)
            size += file.stat().st_size
    for name in ("total_episodes", "total_steps"):
        n = metadata.get(name)
        if type(n) is not int or not 0 <= n <= size:
            raise InputError(f"{path} says {n!r:.60} as {name}, which its {size:,} bytes of data cannot hold")
    own_spaces = {"observation_space": env.observation_space, "action_space": plain_task(env).action_space}
    spaces = {name: _from_json(metadata[name]) for name in own_spaces}
    for name, own in own_spaces.items():
        shape = list(cast(Box, own).shape)
        is_box = (spaces[name].get("type"), spaces[name].get("shape")) == ("Box", shape)
        if not is_box or not re.fullmatch(r"(float|u?int)\d{1,2}", str(spaces[name].get("dtype"))):
            raise InputError(f"{path}: its {name} is not the Box of shape {shape} that {_id(env)} has")
    low, high = action_range(recorded, env)
    _check_action_space(spaces["action_space"], (low, high), recorded, env, source)
    return low, high


def _check_action_space(
    space: dict[str, Any],
    wanted: tuple[np.ndarray, np.ndarray],
    recorded: dict[str, Any],
    env: gymnasium.Env,
    source: str | Path,
) -> None:
    """Check that the dataset's actions have the units that they are read in.

    Raises:
        InputError: a dimension of its action space cannot move, or spans another range.
    """
    try:
        low, high = (np.broadcast_to(np.asarray(space[name], np.float64), wanted[0].shape) for name in ("low", "high"))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InputError(f"{source}: its action_space has no bounds for each of {len(wanted[0])} actions") from None
    if (stuck := np.flatnonzero(~(low < high))).size:
        raise InputError(
            f"{source}: its actions cannot move in dimension {', '.join(map(str, stuck))} (low equals high); record "
            "the task without them"
        )
    if any(wrapper_name(wrapper) == "ClipAction" for wrapper in wrappers_beyond(recorded, env) or ()):
        return  # then any action may be taken, and the space says nothing about the units
    for i in np.flatnonzero(~(np.isclose(low, wanted[0]) & np.isclose(high, wanted[1]))):
        raise InputError(
            f"{source}: its action {i} runs from {low[i]:g} to {high[i]:g}, in {_id(env)} from {wanted[0][i]:g} to "
            f"{wanted[1][i]:g}; record the task's own actions"
        )


def check_policies(policies: dict[str, MLPPolicy], levels: np.ndarray, env: gymnasium.Env, source: str | Path) -> None:
    """Check that each level has its policy, where there are policies, and that each of them fits the task.

    Raises:
        InputError: a policy is missing, or has other sizes than the task.
    """
    if policies and levels.max() >= len(policies):
        raise InputError(f"{source} has steps of level {levels.max()} but only {len(policies)} policies: {[*policies]}")
    sizes = [gymnasium.spaces.flatdim(space) for space in (env.observation_space, env.action_space)]
    for name, policy in policies.items():
        check_policy_fits(policy, f"{source}: the policy {name}", _id(env), sizes[0], sizes[1])


def checked_rows(
    episode: Any, env: gymnasium.Env, spanned: tuple[np.ndarray, np.ndarray], source: str | Path
) -> dict[str, np.ndarray]:
    """One episode's rows, in the types of :class:`polygrad_edu.interop.datasets.OfflineData`.

    Args:
        spanned: the lowest and the highest action [A], as :func:`check_metadata` gives them.

    Raises:
        InputError: its arrays do not fit the task or each other; the message names the episode.
    """
    where = f"episode {episode.id} of {source}"
    infos = episode.infos or {}
    n = np.size(episode.rewards)
    _check_arrays(episode, env, where)
    used = _in_our_units(episode, spanned)
    for name, values in used.items():  # as they are used: after every division, and in float32
        if not np.isfinite(values).all():
            raise InputError(f"{where}: not every one of its {name} is a finite number")
    rows = {
        "observation": used["observations"][:n],
        "next_observation": used["observations"][1:],
        # the policy's own actions, where they are known: the task's range may have cut those that were played
        "action": used.get("policy_action", used["actions"])[:n],
        "reward": used["rewards"],
        "terminal": np.asarray(episode.terminations).astype(bool),
    }
    if "simulator_state" in infos:
        rows["simulator_state"] = used["simulator_state"][:n]
    if "level" in infos:
        if infos["level"].dtype.kind not in "iu" or infos["level"].min() < 0:
            raise InputError(f"{where}: its level must be a whole number, 0 or more")
        rows["level"] = infos["level"][:n]
    return rows


def _check_arrays(episode: Any, env: gymnasium.Env, where: str) -> None:
    """Check the shapes and kinds of an episode's arrays.

    Raises:
        InputError: one of them does not fit the task or the others.
    """
    infos = episode.infos or {}
    n = np.size(episode.rewards)
    if n == 0:
        raise InputError(f"{where} has no steps")
    size = gymnasium.spaces.flatdim(env.observation_space)
    actions = cast(Box, env.action_space).shape
    stored = {
        "observations": (episode.observations, (n + 1, size)),
        "actions": (episode.actions, (n, *actions)),
        "rewards": (episode.rewards, (n,)),
        "terminations": (episode.terminations, (n,)),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "simulator_state": environments.get_simulator_state(env).shape,
        "policy_action": actions,
        "level": (),
    }
    for name, shape in shapes.items():
        if name in infos:  # with one for the observation after the last step
            stored[name] = (infos[name], (n + 1, *shape))
    for name, (values, shape) in stored.items():
        if np.shape(values) != shape:
            raise InputError(f"{where} has {name} of shape {np.shape(values)}; {_id(env)} needs {shape}")
        if values.dtype.kind not in "biuf":
            raise InputError(f"{where}: not every one of its {name} is a finite number")
    if np.any(episode.terminations[:-1]):
        raise InputError(f"{where} goes on after a terminal step; an episode ends with it")


def _in_our_units(episode: Any, spanned: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of an episode as they are used: in float32, with actions of which -1 to 1 span the task's range."""
    infos = episode.infos or {}
    low, high = spanned
    with np.errstate(over="ignore"):  # a number that is too large becomes infinite, which the caller looks for
        actions = 2 * (np.asarray(episode.actions, np.float64) - low) / (high - low) - 1
        used = {
            "observations": np.asarray(episode.observations).astype(np.float32),
            "actions": actions.astype(np.float32),
            "rewards": np.asarray(episode.rewards).astype(np.float32),
        }
        if "policy_action" in infos:
            used["policy_action"] = infos["policy_action"].astype(np.float32)
    if "simulator_state" in infos:
        used["simulator_state"] = infos["simulator_state"]
    return used


def check_played(parts: list[dict[str, np.ndarray]], env: gymnasium.Env, source: str | Path) -> None:
    """Play a few recorded steps from their simulator states: a task may differ in what its spec does not say.

    Raises:
        InputError: something else happens here than what was recorded.
    """
    episodes = np.unique(np.linspace(0, len(parts) - 1, PLAYED_EPISODES).astype(int))
    for number in episodes:
        part = parts[number]
        if "simulator_state" not in part:
            continue
        rows = slice(len(part["reward"]) // 2, len(part["reward"]) // 2 + 2)
        state, actions = part["simulator_state"][rows][0], part["action"][rows]
        real = environments.replay_actions(env, state, actions)
        for name in ("observation", "reward"):
            recorded, found = part[name][rows], real[f"{name}s"]
            room = PLAYED_TOLERANCE * (1 + np.abs(part[name]).max(axis=0))
            if (np.abs(found - recorded) <= room).all():
                continue
            again = environments.replay_actions(env, state, actions)[f"{name}s"]
            if not np.array_equal(again, found):
                return  # a task that draws random numbers in its steps: nothing can be said
            step, *place = np.unravel_index(np.argmax(np.abs(found - recorded) - room), recorded.shape)
            what = " ".join([name, *map(str, place)])
            raise InputError(
                f"{source} was recorded in another {_id(env)} than the one here: in step {rows.start + step} of "
                f"episode {number} its {what} is {recorded[(step, *place)]:.4g}, and {found[(step, *place)]:.4g} when "
                "played here"
            )


def _id(env: gymnasium.Env) -> str:
    return env.spec.id if env.spec else str(env)
