"""Fixed datasets to compare world models on, stored as Minari datasets: the ecosystem's format.

A comparison is fair when everybody uses the same data. Each of our datasets mixes the actions of an untrained, a
half-trained and a trained policy, and holds the simulator's state beside every step.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple, cast

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

from .. import environments
from ..files.input_error import InputError
from ..files.safe_files import DAMAGE, one_line, parse_json, read_json
from ..replay import Normaliser, SequenceReplay
from .outside_policies import MLPPolicy, load_policy

LEVELS = ("random", "half-trained", "trained")


class OfflineData(NamedTuple):
    """Episodes one after the other, as flat arrays; row i holds s_i, a_i, and the step's reward and terminal flag."""

    env_id: str
    observations: np.ndarray  # [N, O] float32
    actions: np.ndarray  # [N, A] float32, of which -1 to 1 span the task's range
    rewards: np.ndarray  # [N] float32
    terminals: np.ndarray  # [N] bool
    episodes: np.ndarray  # [N] the number of the episode
    levels: np.ndarray  # [N] index in ``policies`` of the policy that acted, -1 if unknown
    simulator_states: np.ndarray | None  # [N, S] float64
    policies: dict[str, MLPPolicy]

    @property
    def longest_episode(self) -> int:
        return int(np.bincount(self.episodes).max())

    def split(self, held_out: float, seed: int) -> tuple[OfflineData, OfflineData]:
        """Split into whole episodes for training and for testing, the latter about a share ``held_out`` of each level.

        Raises:
            InputError: there are too few episodes.
        """
        generator = np.random.default_rng(seed)
        _, first_rows = np.unique(self.episodes, return_index=True)
        level_of_episode = self.levels[first_rows]
        for_testing: list[int] = []
        for level in np.unique(level_of_episode):
            episodes = generator.permutation(np.flatnonzero(level_of_episode == level))
            for_testing += episodes[: max(1, round(held_out * len(episodes)))].tolist()
        if len(for_testing) == len(first_rows):
            raise InputError(f"{len(first_rows)} episodes are too few to keep one of each policy for testing")
        test = np.isin(self.episodes, for_testing)
        return self._rows(~test), self._rows(test)

    def _rows(self, chosen: np.ndarray) -> OfflineData:
        _, episodes = np.unique(self.episodes[chosen], return_inverse=True)
        states = None if self.simulator_states is None else self.simulator_states[chosen]
        flat = ("observations", "actions", "rewards", "terminals", "levels")
        return self._replace(
            **{name: getattr(self, name)[chosen] for name in flat}, episodes=episodes, simulator_states=states
        )


def to_replay(data: OfflineData, window: int, device: torch.device | str = "cpu") -> SequenceReplay:
    """All of ``data`` in a replay, as if it had been added step by step, but in bulk.

    Raises:
        InputError: no episode is as long as a window.
    """
    n = len(data.rewards)
    states = np.zeros((n, 0)) if data.simulator_states is None else data.simulator_states
    normaliser = Normaliser(data.observations.shape[1], data.actions.shape[1], device)
    replay = SequenceReplay(n, window, normaliser, states.shape[1], device)
    replay.observations.copy_(torch.as_tensor(data.observations))
    replay.actions.copy_(torch.as_tensor(data.actions))
    replay.rewards.copy_(torch.as_tensor(data.rewards))
    replay.terminals.copy_(torch.as_tensor(data.terminals))
    replay.simulator_states.copy_(torch.as_tensor(states))
    last = np.flatnonzero(np.append(data.episodes[1:] != data.episodes[:-1], True))[data.episodes]  # [N]
    whole = np.arange(n) + window - 1 <= last
    starts = np.flatnonzero(whole | data.terminals[last])  # a window may run past a terminal step, not past a cut
    replay.last_of_episode.copy_(torch.as_tensor(last))
    replay.starts[: len(starts)] = torch.as_tensor(starts, device=device)
    replay.size = n
    replay.n_starts = len(starts)
    replay.episode_starts = [n]
    if replay.n_starts == 0:
        raise InputError(
            f"no episode has the {window} steps that a window takes; the longest has {data.longest_episode}"
        )
    replay.refresh_normaliser()
    return replay


def load_dataset(source: str | Path, env_id: str | None = None) -> OfflineData:
    """Read a dataset that :func:`polygrad_edu.interop.make_dataset.collect_dataset` made, or any Minari dataset.

    Args:
        source: our directory, a Minari dataset's directory, or the name of one in the local Minari root.
        env_id: the task that it must be of, if that matters.

    Raises:
        InputError: no dataset there, another task's, of sizes that do not fit, with numbers that are not finite,
            or damaged.
    """
    data, directory = _locate(source)
    metadata = read_json(data / "metadata.json")
    stored_id = _task_of(metadata, data, source)
    if env_id is not None and stored_id != env_id:
        raise InputError(f"{source} is of {stored_id}, not of {env_id}")
    try:
        env = environments.make(stored_id)  # by its name alone: what else the file says about the task is not run
    except InputError as error:
        raise InputError(f"{source}: {one_line(error)}") from None
    _check_metadata(metadata, data, env)
    parts = [_checked(episode, env, source) for episode in _read_episodes(data, source)]
    policies = {path.stem: load_policy(path) for path in sorted((directory / "policies").glob("*.safetensors"))}
    policies = {name: policies[name] for name in sorted(policies, key=_rank)}
    levels = np.concatenate([part.get("level", np.full(len(part["reward"]), -1)) for part in parts])
    _check_policies(policies, levels, env, source)
    has_states = all("simulator_state" in part for part in parts)
    return OfflineData(
        env_id=stored_id,
        observations=np.concatenate([part["observation"] for part in parts]).astype(np.float32),
        actions=np.concatenate([part["action"] for part in parts]).astype(np.float32),
        rewards=np.concatenate([part["reward"] for part in parts]).astype(np.float32),
        terminals=np.concatenate([part["terminal"] for part in parts]).astype(bool),
        episodes=np.repeat(np.arange(len(parts)), [len(part["reward"]) for part in parts]),
        levels=levels,
        simulator_states=np.concatenate([part["simulator_state"] for part in parts]) if has_states else None,
        policies=policies,
    )


def _task_of(metadata: dict[str, Any], data: Path, source: str | Path) -> str:
    """The id of the task that a dataset is of.

    Raises:
        InputError: the metadata do not say it, or what they say is no plain id.
    """
    if not all(isinstance(metadata.get(key), str) for key in ("observation_space", "action_space", "env_spec")):
        raise InputError(f"{source} does not say which task it is of; PolyGRAD needs Minari's env_spec and both spaces")
    try:
        stored_id = parse_json(metadata["env_spec"])["id"]
    except (InputError, KeyError):
        raise InputError(f"{data / 'metadata.json'} holds a damaged env_spec") from None
    if not isinstance(stored_id, str) or ":" in stored_id:  # Gymnasium would import the module before the colon
        raise InputError(f"{source} is of the task {stored_id!r}; a plain Gymnasium id is needed, such as Hopper-v5")
    return stored_id


def _read_episodes(data: Path, source: str | Path) -> list[Any]:
    """Minari's episodes.

    Raises:
        InputError: there are none, they are damaged, or a library that reads their format is missing.
    """
    try:
        episodes = list(minari().MinariDataset(data).iterate_episodes())
    except ImportError as error:  # of a format other than HDF5
        raise InputError(f"{source} cannot be read here: {one_line(error)}") from None
    except (OSError, AssertionError, *DAMAGE) as error:
        raise InputError(f"{source} is a damaged dataset: {one_line(error)}") from None
    if not episodes:
        raise InputError(f"{source} holds no episodes")
    return episodes


def _check_metadata(metadata: dict[str, Any], data: Path, env: gymnasium.Env) -> None:
    """Check the counts and the spaces, before Minari makes room for more than the files can hold.

    Raises:
        InputError: there cannot be so many episodes or steps, or a space is not the task's.
    """
    path = data / "metadata.json"
    size = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
    for name in ("total_episodes", "total_steps"):
        n = metadata.get(name)
        if type(n) is not int or not 0 <= n <= size:
            raise InputError(f"{path} says {n!r:.60} as {name}, which its {size:,} bytes of data cannot hold")
    for name in ("observation_space", "action_space"):
        shape = list(getattr(env.unwrapped, name).shape)
        try:
            space = json.loads(metadata[name])
        except (ValueError, RecursionError):
            space = None
        if not isinstance(space, dict) or (space.get("type"), space.get("shape")) != ("Box", shape):
            raise InputError(f"{path}: its {name} is not the Box of shape {shape} that {_id(env)} has")


def _locate(source: str | Path) -> tuple[Path, Path]:
    """Minari's data directory of a dataset, and the directory that may hold its policies.

    Raises:
        InputError: there is no such dataset.
    """
    for directory in (Path(source), minari().storage.datasets_root_dir.get_dataset_path(str(source))):
        for data in (directory / "data", directory):
            if (data / "metadata.json").is_file():
                return data, directory
    raise InputError(
        f"{source} is neither a dataset's directory nor the name of a local Minari dataset "
        "(make one with: polygrad-edu dataset)"
    )


def _rank(level: str) -> tuple[int, str]:
    """Sort key: our own levels in their order, then any others by name."""
    return (LEVELS.index(level) if level in LEVELS else len(LEVELS), level)


def _check_policies(policies: dict[str, MLPPolicy], levels: np.ndarray, env: gymnasium.Env, source: str | Path) -> None:
    """Check that each level has its policy, where there are policies, and that each of them fits the task.

    Raises:
        InputError: a policy is missing, or has other sizes than the task.
    """
    if policies and levels.max() >= len(policies):
        raise InputError(f"{source} has steps of level {levels.max()} but only {len(policies)} policies: {[*policies]}")
    task_sizes = [gymnasium.spaces.flatdim(space) for space in (env.observation_space, env.action_space)]
    for name, policy in policies.items():
        sizes = policy.description["sizes"]
        if [sizes[0], sizes[-1]] != task_sizes:
            raise InputError(
                f"{source}: the policy {name} has {sizes[0]} inputs and {sizes[-1]} actions; "
                f"{_id(env)} needs {task_sizes[0]} and {task_sizes[1]}"
            )


def _id(env: gymnasium.Env) -> str:
    return env.spec.id if env.spec else str(env)


def _checked(episode: Any, env: gymnasium.Env, source: str | Path) -> dict[str, np.ndarray]:
    """One episode's rows.

    Raises:
        InputError: its arrays do not fit the task or each other; the message names the episode.
    """
    where = f"episode {episode.id} of {source}"
    infos = episode.infos or {}
    n = np.size(episode.rewards)
    if n == 0:
        raise InputError(f"{where} has no steps")
    size = gymnasium.spaces.flatdim(env.observation_space)
    own_actions = cast(Box, env.unwrapped.action_space)
    stored = {
        "observations": (episode.observations, (n + 1, size)),
        "actions": (episode.actions, (n, *own_actions.shape)),
        "rewards": (episode.rewards, (n,)),
        "terminations": (episode.terminations, (n,)),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "simulator_state": environments.get_simulator_state(env).shape,
        "policy_action": own_actions.shape,
        "level": (),
    }
    for name, shape in shapes.items():
        if name in infos:  # with one for the observation after the last step
            stored[name] = (infos[name], (n + 1, *shape))
    for name, (values, shape) in stored.items():
        if np.shape(values) != shape:
            raise InputError(f"{where} has {name} of shape {np.shape(values)}; {_id(env)} needs {shape}")
        if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
            raise InputError(f"{where}: not every one of its {name} is a finite number")
    if np.any(episode.terminations[:-1]):
        raise InputError(f"{where} goes on after a terminal step; an episode ends with it")
    width = own_actions.high - own_actions.low
    rows = {
        "observation": episode.observations[:n],
        "action": 2 * (episode.actions - own_actions.low) / width - 1,
        "reward": episode.rewards,
        "terminal": episode.terminations,
    }
    if "policy_action" in infos:  # the policy's own action, before it was clipped to the task's range
        rows["action"] = infos["policy_action"][:n]
    if "simulator_state" in infos:
        rows["simulator_state"] = infos["simulator_state"][:n]
    if "level" in infos:
        if infos["level"].dtype.kind not in "iu" or infos["level"].min() < 0:
            raise InputError(f"{where}: its level must be a whole number, 0 or more")
        rows["level"] = infos["level"][:n]
    return rows


def minari() -> Any:
    """The library.

    Raises:
        InputError: it is not installed; the message says how to install it.
    """
    try:
        import minari as library
        import minari.dataset.minari_storage  # pyright: ignore[reportUnusedImport] - makes library.dataset whole
        import minari.storage.datasets_root_dir  # pyright: ignore[reportUnusedImport] - and library.storage
    except ImportError:
        raise InputError('datasets need Minari, on Python 3.11 or later: pip install "polygrad-edu[data]"') from None
    return library
