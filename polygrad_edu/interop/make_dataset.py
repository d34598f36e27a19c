"""Making a dataset: a policy trained with Stable-Baselines3, kept at three levels, and the episodes that each plays."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from .. import __version__, environments
from ..collector import as_shown
from ..files.input_error import InputError
from ..files.progress import OnProgress, tell_nobody
from ..imagination_loop import check_seed
from ..score_guidance import actions_from_noise
from .datasets import LEVELS, minari
from .outside_policies import MLPPolicy, from_stable_baselines3, save_policy
from .task_specs import plain_task, storable

N_ENVS = 8  # of PPO
ROLLOUT_STEPS = 256  # of PPO, in each environment between two updates


def train_policies(env_id: str, train_steps: int, seed: int, on_progress: OnProgress) -> dict[str, MLPPolicy]:
    """Policies of Stable-Baselines3's PPO: untrained, after half of ``train_steps``, and after all of them.

    Raises:
        InputError: Stable-Baselines3 is not installed, or there is no such task.
    """
    try:
        from stable_baselines3 import PPO
        from stable_baselines3.common.callbacks import BaseCallback
        from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
    except ImportError:
        raise InputError('making a dataset needs Stable-Baselines3: pip install "polygrad-edu[data]"') from None

    class Report(BaseCallback):
        def _on_step(self) -> bool:
            on_progress("train the policy", min(self.num_timesteps, train_steps), train_steps)
            return True

    def copied() -> MLPPolicy:
        policy = from_stable_baselines3(model)
        # Once the copy drew its first weights from PPO's own generator. The measured results rest on those draws.
        MLPPolicy(**policy.description)
        return policy

    envs = VecNormalize(DummyVecEnv([lambda: environments.make(env_id)] * N_ENVS))
    # a smaller spread than PPO's usual 1, so that few actions are cut off at the task's range
    options = {"log_std_init": -0.5}
    with _own_generators():
        model = PPO(
            "MlpPolicy", envs, n_steps=ROLLOUT_STEPS, batch_size=256, policy_kwargs=options, seed=seed, device="cpu"
        )
        envs.seed(_first_seed(seed))
        policies = {LEVELS[0]: copied()}
        for level, until in zip(LEVELS[1:], (train_steps // 2, train_steps), strict=True):
            if until > model.num_timesteps:
                model.learn(until - model.num_timesteps, callback=Report(), reset_num_timesteps=False)
            policies[level] = copied()
    envs.close()
    return policies


@contextlib.contextmanager
def _own_generators() -> Generator[None, None, None]:
    """Stable-Baselines3 seeds Python, NumPy and torch; afterwards they stand where they stood."""
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    pythons = random.getstate()
    numpys = np.random.get_state()  # noqa: NPY002 - the generator that it seeds
    with torch.random.fork_rng(devices=gpus):
        try:
            yield
        finally:
            random.setstate(pythons)
            np.random.set_state(numpys)  # noqa: NPY002


def _first_seed(seed: int) -> int:
    """Seed of a dataset's first episode; the others follow it one by one.

    Far from those of other datasets, of runs and of evaluations, so that no two begin alike. (Seed 0 counts from 0,
    as it always has: the measured results were made with it.)
    """
    return 2**32 + int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 2) if seed else 0


def collect_dataset(
    directory: Path,
    env_id: str,
    steps: int,
    train_steps: int,
    seed: int,
    on_progress: OnProgress = tell_nobody,
) -> dict[str, Any]:
    """Train a policy, collect from it at three levels, and write a Minari dataset, whole or not at all.

    Args:
        directory: new or empty; holds ``data/`` (Minari's) and ``policies/`` afterwards.
        steps: transitions, a third from each level.
        train_steps: of PPO; the half-trained policy has learned from half of them.
        on_progress: called with (what, done, total) as the work goes on.

    Returns:
        The directory, the task, the steps and the seed, with the mean return of each level's complete episodes.

    Raises:
        InputError: there is no such task, a library is not installed, or the seed is out of range.
    """
    minari()  # an error if it is not there
    check_seed(seed)
    env = environments.make(env_id)
    policies = train_policies(env_id, train_steps, seed, on_progress)
    generator = torch.Generator().manual_seed(seed)
    episodes: list[dict[str, Any]] = []
    returns: dict[str, float | None] = {}
    for level, (name, policy) in enumerate(policies.items()):
        wanted = steps * (level + 1) // len(policies) - steps * level // len(policies)
        stored = 0
        complete: list[float] = []
        while stored < wanted:
            episode, done = _play(env, policy, generator, _first_seed(seed) + len(episodes), wanted - stored)
            episode["infos"]["level"] = np.full(len(episode["observations"]), level)
            episodes.append(episode)
            stored += len(episode["rewards"])
            complete += [float(episode["rewards"].sum())] if done else []
            on_progress(f"collect {name}", stored, wanted)
        returns[name] = float(np.mean(complete)) if complete else None
    _write(directory, env, episodes, policies)
    env.close()
    return {"directory": str(directory), "env_id": env_id, "steps": steps, "seed": seed, "mean_returns": returns}


def _write(directory: Path, env: gymnasium.Env, episodes: list[dict[str, Any]], policies: dict[str, MLPPolicy]) -> None:
    """Write the episodes and the policies that played them beside ``directory``, which then takes their place."""
    library = minari()
    task = plain_task(env)
    # whole, because Minari reads a relative path as one inside the folder that it writes to
    partial = directory.absolute().with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "policies").mkdir(parents=True)
    storage = library.dataset.minari_storage.MinariStorage.new(
        partial / "data", _observation_space(env), task.action_space, storable(task.spec) if task.spec else None
    )
    storage.update_episodes(
        library.data_collector.EpisodeBuffer(id=number, **episode) for number, episode in enumerate(episodes)
    )
    storage.update_metadata(
        {
            "dataset_id": f"polygrad_edu/{directory.name}-v0",
            "minari_version": library.__version__,
            "polygrad_edu_version": __version__,
        }
    )
    for name, policy in policies.items():
        save_policy(policy, partial / "policies" / f"{name}.safetensors")
    if directory.is_dir():
        directory.rmdir()  # was found empty; refuses if it no longer is
    partial.rename(directory)


def _play(
    env: gymnasium.Env, policy: MLPPolicy, generator: torch.Generator, seed: int, max_steps: int
) -> tuple[dict[str, Any], bool]:
    """An episode of at most ``max_steps`` of the policy's sampled actions, and whether it came to its end.

    Minari's order: one observation more than actions, actions in the task's own units. The infos hold the
    simulator's states and the policy's own actions, which the task's range may have cut.
    """
    observation, _ = env.reset(seed=seed)
    own: Any = plain_task(env).action_space
    observations = [as_shown(observation)]
    states = [environments.get_simulator_state(env)]
    actions: list[np.ndarray] = []
    rewards: list[float] = []
    terminal = truncated = False
    while not (terminal or truncated) and len(actions) < max_steps:
        distribution = policy(torch.as_tensor(observation, dtype=torch.float32))
        noise = torch.randn(distribution.mean.shape, generator=generator)
        actions.append(actions_from_noise(distribution, noise).numpy())
        observation, reward, terminal, truncated, _ = env.step(actions[-1])
        observations.append(as_shown(observation))
        states.append(environments.get_simulator_state(env))
        rewards.append(float(reward))
    raw = np.array(actions)
    ends = np.zeros((2, len(rewards)), dtype=bool)
    ends[:, -1] = terminal, not terminal
    episode = {
        "observations": np.array(observations, dtype=_observation_space(env).dtype),
        "actions": (own.low + (raw.clip(-1, 1) + 1) / 2 * (own.high - own.low)).astype(own.dtype),
        "rewards": np.array(rewards),
        "terminations": ends[0],
        "truncations": ends[1],
        "infos": {"simulator_state": np.array(states), "policy_action": np.concatenate([raw, 0 * raw[:1]])},
    }
    return episode, terminal or truncated


def _observation_space(env: gymnasium.Env) -> gymnasium.Space[Any]:
    """The space of the observations that are stored: of floats, even if a task says that it shows whole numbers."""
    own = env.observation_space
    if np.issubdtype(own.dtype, np.floating):
        return own
    return gymnasium.spaces.Box(-np.inf, np.inf, own.shape, np.float64)
