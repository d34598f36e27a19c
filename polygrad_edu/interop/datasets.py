"""Fixed datasets to compare world models on, stored as Minari datasets: the ecosystem's format.

Equal data for everybody is what makes a comparison fair. Each of ours mixes what an untrained, a half-trained
and a trained policy does, with the simulator's state beside every step.
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
from ..files.safe_files import DAMAGE, one_line, parse_json, read_json
from ..replay import Normaliser, SequenceReplay
from .outside_policies import MLPPolicy, load_policy

LEVELS = ("random", "half-trained", "trained")


class OfflineData(NamedTuple):
    """Episodes one after the other, as flat arrays; row i holds s_i, a_i, and what the step brought."""

    env_id: str
    observations: np.ndarray  # [N, O] float32
    actions: np.ndarray  # [N, A] float32, of which -1 to 1 span the task's range
    rewards: np.ndarray  # [N] float32
    terminals: np.ndarray  # [N] bool
    episodes: np.ndarray  # [N] the number of the episode
    levels: np.ndarray  # [N] index in ``policies`` of the one that acted, -1 if unknown
    simulator_states: np.ndarray | None  # [N, S] float64
    policies: dict[str, MLPPolicy]

    @property
    def longest_episode(self) -> int:
        return int(np.bincount(self.episodes).max())

    def split(self, held_out: float, seed: int) -> tuple[OfflineData, OfflineData]:
        """Whole episodes for training and, about the share ``held_out`` of each level's, for testing."""
        drawn = np.random.default_rng(seed)
        _, first = np.unique(self.episodes, return_index=True)
        level_of_episode = self.levels[first]
        kept_out: list[int] = []
        for level in np.unique(level_of_episode):
            mine = drawn.permutation(np.flatnonzero(level_of_episode == level))
            kept_out += mine[: max(1, round(held_out * len(mine)))].tolist()
        if len(kept_out) == len(first):
            raise ValueError(f"{len(first)} episodes are too few to keep one of each policy for testing")
        test = np.isin(self.episodes, kept_out)
        return self._rows(~test), self._rows(test)

    def _rows(self, chosen: np.ndarray) -> OfflineData:
        _, episodes = np.unique(self.episodes[chosen], return_inverse=True)
        states = None if self.simulator_states is None else self.simulator_states[chosen]
        flat = ("observations", "actions", "rewards", "terminals", "levels")
        return self._replace(
            **{name: getattr(self, name)[chosen] for name in flat}, episodes=episodes, simulator_states=states
        )


def to_replay(data: OfflineData, window: int, device: torch.device | str = "cpu") -> SequenceReplay:
    """All of ``data`` in a replay, as if it had been added step by step, but in bulk."""
    n, size = len(data.rewards), data.observations.shape[1]
    states = np.zeros((n, 0)) if data.simulator_states is None else data.simulator_states
    replay = SequenceReplay(n, window, Normaliser(size, data.actions.shape[1], device), states.shape[1], device)
    for name, values in (
        ("observations", data.observations), ("actions", data.actions), ("rewards", data.rewards),
        ("terminals", data.terminals), ("simulator_states", states),
    ):  # fmt: skip
        getattr(replay, name).copy_(torch.as_tensor(values))
    last = np.flatnonzero(np.append(data.episodes[1:] != data.episodes[:-1], True))[data.episodes]  # [N]
    whole = np.arange(n) + window - 1 <= last
    starts = np.flatnonzero(whole | data.terminals[last])  # a window may run past a terminal step, not past a cut
    replay.last_of_episode.copy_(torch.as_tensor(last))
    replay.starts[: len(starts)] = torch.as_tensor(starts, device=device)
    replay.size, replay.n_starts, replay.episode_starts = n, len(starts), [n]
    if replay.n_starts == 0:
        raise ValueError(
            f"no episode has the {window} steps that a window takes; the longest has {data.longest_episode}"
        )
    replay.refresh_normaliser()
    return replay


def load_dataset(source: str | Path, env_id: str | None = None) -> OfflineData:
    """Read a dataset that :func:`polygrad_edu.interop.make_dataset.collect_dataset` made, or anybody's Minari dataset.

    Args:
        source: our directory, a Minari dataset's directory, or the name of one in the local Minari root.
        env_id: the task that it must be of, if that matters.

    Raises:
        ValueError: no dataset there, another task's, of sizes that do not fit, with numbers that are not finite,
            or damaged.
    """
    data, directory = _locate(source)
    metadata = read_json(data / "metadata.json")
    if not all(isinstance(metadata.get(key), str) for key in ("observation_space", "action_space", "env_spec")):
        raise ValueError(f"{source} does not say which task it is of; PolyGRAD needs Minari's env_spec and both spaces")
    try:
        stored_id = parse_json(metadata["env_spec"])["id"]
    except (ValueError, KeyError):
        raise ValueError(f"{data / 'metadata.json'} holds a damaged env_spec") from None
    if env_id is not None and stored_id != env_id:
        raise ValueError(f"{source} is of {stored_id}, not of {env_id}")
    if not isinstance(stored_id, str) or ":" in stored_id:  # Gymnasium would import the module before the colon
        raise ValueError(f"{source} is of the task {stored_id!r}; a plain Gymnasium id is needed, such as Hopper-v5")
    try:
        env = environments.make(stored_id)  # by its name alone: what else the file says about the task is not run
    except ValueError as error:
        raise ValueError(f"{source}: {one_line(error)}") from None
    _check_metadata(metadata, data, env)
    try:
        episodes = list(minari().MinariDataset(data).iterate_episodes())
    except ImportError as error:  # of a format other than HDF5
        raise ValueError(f"{source} cannot be read here: {' '.join(str(error).split())}") from None
    except (OSError, AssertionError, *DAMAGE) as error:
        raise ValueError(f"{source} is a damaged dataset: {one_line(error)}") from None
    if not episodes:
        raise ValueError(f"{source} holds no episodes")
    parts = [_checked(episode, env, source) for episode in episodes]
    policies = {path.stem: load_policy(path) for path in sorted((directory / "policies").glob("*.safetensors"))}
    ordered = {name: policies[name] for name in sorted(policies, key=lambda name: _rank(name))}
    levels = np.concatenate([part.get("level", np.full(len(part["reward"]), -1)) for part in parts])
    _check_policies(ordered, levels, env, source)
    has_states = all("simulator_state" in part for part in parts)
    observations, actions, rewards = (
        np.concatenate([part[name] for part in parts]).astype(np.float32)
        for name in ("observation", "action", "reward")
    )
    return OfflineData(
        stored_id,
        observations,
        actions,
        rewards,
        np.concatenate([part["terminal"] for part in parts]).astype(bool),
        np.repeat(np.arange(len(parts)), [len(part["reward"]) for part in parts]),
        levels,
        np.concatenate([part["simulator_state"] for part in parts]) if has_states else None,
        ordered,
    )


def _check_metadata(metadata: dict[str, Any], data: Path, env: gymnasium.Env) -> None:
    """Raise a ValueError before Minari makes room for more episodes, or for larger spaces, than there can be."""
    path, size = data / "metadata.json", sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
    for name in ("total_episodes", "total_steps"):
        n = metadata.get(name)
        if type(n) is not int or not 0 <= n <= size:
            raise ValueError(f"{path} says {n!r:.60} as {name}, which its {size:,} bytes of data cannot hold")
    for name in ("observation_space", "action_space"):
        shape = list(getattr(env.unwrapped, name).shape)
        try:
            space = json.loads(metadata[name])
        except (ValueError, RecursionError):
            space = None
        if not isinstance(space, dict) or (space.get("type"), space.get("shape")) != ("Box", shape):
            raise ValueError(
                f"{path}: its {name} is not the Box of shape {shape} that {env.spec.id if env.spec else env} has"
            )


def _locate(source: str | Path) -> tuple[Path, Path]:
    """Minari's data directory of a dataset, and the directory that may hold its policies."""
    for directory in (Path(source), minari().storage.datasets_root_dir.get_dataset_path(str(source))):
        for data in (directory / "data", directory):
            if (data / "metadata.json").is_file():
                return data, directory
    raise ValueError(f"{source} is neither a dataset's directory nor the name of a local Minari dataset "
                     "(make one with: polygrad-edu dataset)")  # fmt: skip


def _rank(level: str) -> tuple[int, str]:
    return (LEVELS.index(level) if level in LEVELS else len(LEVELS), level)


def _check_policies(policies: dict[str, MLPPolicy], levels: np.ndarray, env: gymnasium.Env, source: str | Path) -> None:
    """Raise a ValueError unless each level has its policy (or none is there) and each policy fits the task."""
    if policies and levels.max() >= len(policies):
        raise ValueError(f"{source} has steps of level {levels.max()} but only {len(policies)} policies: {[*policies]}")
    task_sizes = [gymnasium.spaces.flatdim(space) for space in (env.observation_space, env.action_space)]
    for name, policy in policies.items():
        sizes = policy.description["sizes"]
        if [sizes[0], sizes[-1]] != task_sizes:
            raise ValueError(f"{source}: the policy {name} has {sizes[0]} inputs and {sizes[-1]} actions; "
                             f"{_id(env)} needs {task_sizes[0]} and {task_sizes[1]}")  # fmt: skip


def _id(env: gymnasium.Env) -> str:
    return env.spec.id if env.spec else str(env)


def _checked(episode: Any, env: gymnasium.Env, source: str | Path) -> dict[str, np.ndarray]:
    """One episode's rows, or an error that names the episode and what is wrong with it."""
    n, infos = np.size(episode.rewards), episode.infos or {}
    size, own_actions = gymnasium.spaces.flatdim(env.observation_space), cast(Box, env.unwrapped.action_space)
    where = f"episode {episode.id} of {source}"
    if n == 0:
        raise ValueError(f"{where} has no steps")
    stored = {
        "observations": (episode.observations, (n + 1, size)),
        "actions": (episode.actions, (n, *own_actions.shape)),
        "rewards": (episode.rewards, (n,)),
        "terminations": (episode.terminations, (n,)),
    }
    for name, shape in (
        ("simulator_state", environments.get_simulator_state(env).shape), ("policy_action", own_actions.shape),
        ("level", ()),
    ):  # fmt: skip
        if name in infos:  # with one for the observation after the last step
            stored[name] = (infos[name], (n + 1, *shape))
    for name, (values, shape) in stored.items():
        if np.shape(values) != shape:
            raise ValueError(f"{where} has {name} of shape {np.shape(values)}; {_id(env)} needs {shape}")
        if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
            raise ValueError(f"{where}: not every one of its {name} is a finite number")
    if np.any(episode.terminations[:-1]):
        raise ValueError(f"{where} goes on after a terminal step; an episode ends with it")
    low, high = own_actions.low, own_actions.high
    rows = {
        "observation": episode.observations[:n],
        "action": 2 * (episode.actions - low) / (high - low) - 1,
        "reward": episode.rewards,
        "terminal": episode.terminations,
    }
    if "policy_action" in infos:  # ours: before it was clipped to the task's range
        rows["action"] = infos["policy_action"][:n]
    if "simulator_state" in infos:
        rows["simulator_state"] = infos["simulator_state"][:n]
    if "level" in infos:
        if infos["level"].dtype.kind not in "iu" or infos["level"].min() < 0:
            raise ValueError(f"{where}: its level must be a whole number, 0 or more")
        rows["level"] = infos["level"][:n]
    return rows


def minari() -> Any:
    """The library, or what to install."""
    try:
        import minari as library
        import minari.dataset.minari_storage  # pyright: ignore[reportUnusedImport] - makes library.dataset whole
        import minari.storage.datasets_root_dir  # pyright: ignore[reportUnusedImport] - and library.storage
    except ImportError:
        raise ValueError('datasets need Minari, on Python 3.11 or later: pip install "polygrad-edu[data]"') from None
    return library
