"""Fixed datasets to compare world models on, stored as Minari datasets: the ecosystem's format.

A comparison is fair when everybody uses the same data. Each of our datasets mixes the actions of an untrained, a
half-trained and a trained policy, and holds the simulator's state beside every step.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple, cast

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

from .. import environments
from ..files.input_error import InputError
from ..files.safe_files import DAMAGE, LfsPointerError, one_line, parse_json, read_json, refuse_lfs_pointer
from ..files.versions import refuse_newer
from ..replay import Normaliser, SequenceReplay
from .outside_policies import MLPPolicy, check_policy_fits, load_policy
from .task_specs import action_range, differences, plain_task, wrapper_name, wrappers_beyond

LEVELS = ("random", "half-trained", "trained")
PLAYED_EPISODES = 5  # of which two steps each are played anew
# For other versions of MuJoCo round otherwise: a share of the largest number of its kind in the episode, and of 1.
PLAYED_TOLERANCE = 0.01


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
    recorded = _recorded_spec(metadata, data, source)
    stored_id = recorded["id"]
    if env_id is not None and stored_id != env_id:
        raise InputError(f"{source} is of {stored_id:.60}, not of {env_id}")
    try:
        env = environments.make(stored_id)  # by its name alone: no code that the file names is run
    except InputError as error:
        raise InputError(f"{source}: {one_line(error)}") from None
    env.reset()
    spanned = _check_metadata(metadata, recorded, data, env, source)
    parts = [_checked(episode, env, spanned, source) for episode in _read_episodes(metadata, data, source)]
    _check_played(parts, env, source)
    policies = {path.stem: load_policy(path) for path in sorted((directory / "policies").glob("*.safetensors"))}
    policies = {name: policies[name] for name in sorted(policies, key=_rank)}
    levels = np.concatenate([part.get("level", np.full(len(part["reward"]), -1)) for part in parts])
    _check_policies(policies, levels, env, source)
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


def _recorded_spec(metadata: dict[str, Any], data: Path, source: str | Path) -> dict[str, Any]:
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


def _check_metadata(
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
    sizes = [gymnasium.spaces.flatdim(space) for space in (env.observation_space, env.action_space)]
    for name, policy in policies.items():
        check_policy_fits(policy, f"{source}: the policy {name}", _id(env), sizes[0], sizes[1])


def _id(env: gymnasium.Env) -> str:
    return env.spec.id if env.spec else str(env)


def _checked(
    episode: Any, env: gymnasium.Env, spanned: tuple[np.ndarray, np.ndarray], source: str | Path
) -> dict[str, np.ndarray]:
    """One episode's rows, in the types of :class:`OfflineData`.

    Raises:
        InputError: its arrays do not fit the task or each other; the message names the episode.
    """
    where = f"episode {episode.id} of {source}"
    infos = episode.infos or {}
    n = np.size(episode.rewards)
    if n == 0:
        raise InputError(f"{where} has no steps")
    size = gymnasium.spaces.flatdim(env.observation_space)
    low, high = spanned
    stored = {
        "observations": (episode.observations, (n + 1, size)),
        "actions": (episode.actions, (n, *low.shape)),
        "rewards": (episode.rewards, (n,)),
        "terminations": (episode.terminations, (n,)),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "simulator_state": environments.get_simulator_state(env).shape,
        "policy_action": low.shape,
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
    with np.errstate(over="ignore"):  # a number that is too large becomes infinite, and is found below
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


def _check_played(parts: list[dict[str, np.ndarray]], env: gymnasium.Env, source: str | Path) -> None:
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
