"""Fixed datasets to compare world models on, stored as Minari datasets: the ecosystem's format.

A comparison is fair when everybody uses the same data. Each of our datasets mixes the actions of an untrained, a
half-trained and a trained policy, and holds the simulator's state beside every step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from .. import environments
from ..files.input_error import InputError
from ..files.safe_files import DAMAGE, LfsPointerError, one_line, read_json
from ..files.versions import refuse_newer
from ..replay import Normaliser, SequenceReplay
from .dataset_checks import check_metadata, check_played, check_policies, checked_rows, recorded_spec
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
    next_observations: np.ndarray | None = None  # [N, O] float32, where each step led

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
        flat = ("observations", "actions", "rewards", "terminals", "levels", "simulator_states", "next_observations")
        known = {name: getattr(self, name) for name in flat if getattr(self, name) is not None}
        return self._replace(**{name: values[chosen] for name, values in known.items()}, episodes=episodes)


def to_replay(
    data: OfflineData, window: int, device: torch.device | str = "cpu", keep_next: bool = False
) -> SequenceReplay:
    """All of ``data`` in a replay, as if it had been added step by step, but in bulk.

    Args:
        keep_next: where each step led, as models need that read endings.

    Raises:
        InputError: no episode is as long as a window, or the states that episodes ended in were not recorded.
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
    if keep_next:
        if data.next_observations is None:
            raise InputError("endings are read off the states that episodes end in, and these were not recorded")
        replay.keep_next_observations(torch.as_tensor(data.next_observations))
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
        InputError: no dataset there, another task's, one of a task that was made otherwise than here, of sizes that do
            not fit, with numbers that are not finite, damaged, not fetched, or of a newer version.
    """
    data, directory = _locate(source)
    metadata = read_json(data / "metadata.json")
    try:
        return _load(metadata, data, directory, source, env_id)
    except LfsPointerError:
        raise
    except InputError:
        refuse_newer(metadata.get("polygrad_edu_version"), source)
        raise


def _load(metadata: dict[str, Any], data: Path, directory: Path, source: str | Path, env_id: str | None) -> OfflineData:
    recorded = recorded_spec(metadata, data, source)
    stored_id = recorded["id"]
    if env_id is not None and stored_id != env_id:
        raise InputError(f"{source} is of {stored_id:.60}, not of {env_id}")
    try:
        env = environments.make(stored_id)  # by its name alone: no code that the file names is run
    except InputError as error:
        raise InputError(f"{source}: {one_line(error)}") from None
    env.reset()
    spanned = check_metadata(metadata, recorded, data, env, source)
    parts = [checked_rows(episode, env, spanned, source) for episode in _read_episodes(metadata, data, source)]
    check_played(parts, env, source)
    policies = {path.stem: load_policy(path) for path in sorted((directory / "policies").glob("*.safetensors"))}
    policies = {name: policies[name] for name in sorted(policies, key=_rank)}
    levels = np.concatenate([part.get("level", np.full(len(part["reward"]), -1)) for part in parts])
    check_policies(policies, levels, env, source)
    has_states = all("simulator_state" in part for part in parts)
    env.close()
    return OfflineData(
        env_id=stored_id,
        observations=np.concatenate([part["observation"] for part in parts]),
        actions=np.concatenate([part["action"] for part in parts]),
        rewards=np.concatenate([part["reward"] for part in parts]),
        terminals=np.concatenate([part["terminal"] for part in parts]),
        episodes=np.repeat(np.arange(len(parts)), [len(part["reward"]) for part in parts]),
        levels=levels,
        simulator_states=np.concatenate([part["simulator_state"] for part in parts]) if has_states else None,
        policies=policies,
        next_observations=np.concatenate([part["next_observation"] for part in parts]),
    )


def _read_episodes(metadata: dict[str, Any], data: Path, source: str | Path) -> list[Any]:
    """Minari's episodes.

    Raises:
        InputError: there are none, they are damaged or of a newer Minari, or a library that reads them is missing.
    """
    library = minari()
    read = {
        "minari_version": list(library.supported_dataset_versions),
        "data_format": library.dataset._storages.get_storage_keys(),
    }
    for name, known in read.items():
        if metadata.get(name) not in known:
            raise InputError(
                f"{source} has {metadata.get(name)!r:.40} as {name}, which the installed Minari {library.__version__} "
                "does not read; upgrade it if it is older than the dataset"
            )
    try:
        episodes = list(library.MinariDataset(data).iterate_episodes())
    except ImportError as error:  # of a format other than HDF5
        raise InputError(f"{source} cannot be read here: {one_line(error)}") from None
    except (OSError, AssertionError, *DAMAGE) as error:
        raise InputError(f"{source} is a damaged dataset: {one_line(error)}") from None
    if not episodes:
        raise InputError(f"{source} holds no episodes")
    return episodes


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


def minari() -> Any:
    """The library.

    Raises:
        InputError: it is not installed; the message says how to install it.
    """
    try:
        import minari as library
        import minari.dataset._storages  # pyright: ignore[reportUnusedImport] - the formats that it reads
        import minari.dataset.minari_storage  # pyright: ignore[reportUnusedImport] - makes library.dataset whole
        import minari.storage.datasets_root_dir  # pyright: ignore[reportUnusedImport] - and library.storage
    except ImportError:
        raise InputError('datasets need Minari, on Python 3.11 or later: pip install "polygrad-edu[data]"') from None
    return library
