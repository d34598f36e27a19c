"""World models compared: all imagine from the same real states, and the simulator shows how far each goes wrong.

Given a run, its own world model is measured in new episodes of its policy. Given a dataset, each model is
trained on the same nine tenths of its episodes and measured on the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from torch.distributions import Distribution, Independent, Normal

from .. import environments
from ..files.input_error import InputError
from ..files.progress import OnProgress, tell_nobody
from ..imagination_loop import REPORT_SEED, ImaginationLoop
from ..interop.datasets import OfflineData, load_dataset
from ..interop.outside_policies import check_policy_fits, load_policy
from ..runs.checkpoint import load_checkpoint, read_config
from ..score_guidance import Policy
from ..settings import IMAGINE_ONLY, closest_name
from ..world_model import WorldModel
from ..world_model_error import Starts, measure_errors, on_policy
from .error_report import Compared, Report, over_seeds, write_report
from .trained_models import COMPARED, Effort, Trained, fingerprint, make_candidate, train

HELD_OUT = 0.1  # share of a dataset's episodes that nothing is trained on
TUNING_ROUNDS = 100
TUNING_TRAJECTORIES = 128


@dataclass(frozen=True)
class ComparisonSettings:
    """Settings of a comparison.

    Attributes:
        source: a run directory, a dataset's directory or a Minari dataset's name.
        out: directory for the models, the table and the figure.
        models: their names, of ``COMPARED``, or ``all``; none: a run's own model, or all for a dataset.
        ahead: the furthest step ahead that is measured.
        trajectories: imagined by each model.
        updates: of each model; None: its own number.
        minutes: of the processor's time that each model learns for, in place of updates.
        seeds: training seeds of each model, from ``seed`` on; data and starts are the same for all.
        policy: a run directory or a policy file that acts; None: the policies that made the data.
        overrides: settings of every model, by name.
    """

    source: str | Path
    out: Path
    models: Sequence[str] = ()
    ahead: int = 10
    trajectories: int = 256
    updates: int | None = None
    minutes: float | None = None
    seeds: int = 1
    policy: Path | None = None
    seed: int = 0
    device: str = "cpu"
    overrides: Mapping[str, str] = field(default_factory=dict)


class Material(NamedTuple):
    """Everything that is read from the source of a comparison.

    Attributes:
        action_scale: part of the task's range that the data's actions of -1 to 1 span.
        data: to train on.
        starts: to imagine from.
        own: the world model of a run, if it is to be measured.
    """

    env_id: str
    action_scale: float
    longest_episode: int
    data: OfflineData
    starts: list[Starts]
    own: Trained | None = None


def measure_all(settings: ComparisonSettings, on_progress: OnProgress = tell_nobody) -> Report:
    """Measure a run's world model, or train and measure several on a dataset.

    Writes error.json, error.md and error.png to ``settings.out``.

    Raises:
        InputError: unusable source, policy, settings or horizon, or updates beside minutes, before anything is trained.
        NotFiniteError: the loss of a world model went wrong.
    """
    if settings.updates is not None and settings.minutes is not None:
        raise InputError("each model learns for --updates or for --minutes; give one of them")
    asked = list(COMPARED) if list(settings.models) == ["all"] else settings.models
    names = [closest_name(name, COMPARED, "world model") for name in asked]
    if (Path(settings.source) / "config.json").is_file():
        material = _from_run(settings, own_model=not names)
    else:
        material = _from_dataset(settings)
        names = names or list(COMPARED)
    if settings.ahead >= material.longest_episode:
        raise InputError(
            f"the longest episode has {material.longest_episode} steps, so --ahead can be at most "
            f"{material.longest_episode - 1}, not {settings.ahead}"
        )
    candidates = [
        make_candidate(name, material.env_id, material.action_scale, settings.overrides)
        for name in dict.fromkeys(names)
    ]
    if settings.updates is not None or settings.minutes is not None:
        effort = Effort(settings.updates, settings.minutes)
        candidates = [candidate._replace(effort=effort) for candidate in candidates]
    settings.out.mkdir(parents=True, exist_ok=True)
    results: list[Compared] = []
    if material.own is not None:
        results.append(_measure(material.own, material.starts, settings, on_progress))
    for candidate in candidates:
        by_seed: list[Compared] = []
        for seed in range(settings.seed, settings.seed + settings.seeds):
            trained = train(candidate, material.data, settings.out, seed, settings.device, on_progress)
            by_seed.append(_measure(trained, material.starts, settings, on_progress))
        results.append(over_seeds(by_seed))
    trained_on = f"{len(material.data.rewards):,} steps ({fingerprint(material.data)})"
    report = Report(material.env_id, trained_on, settings.seed, results)
    write_report(report, settings.out, "error")
    return report


def _from_run(settings: ComparisonSettings, own_model: bool) -> Material:
    """Read a run.

    Args:
        own_model: measure the run's own world model, which cannot be trained again.
    """
    kept = {name: value for name, value in settings.overrides.items() if name in IMAGINE_ONLY}
    if own_model and (fixed := sorted(set(settings.overrides) - set(kept)) + _of_training(settings)):
        raise InputError(
            f"a run's world model is trained already: {fixed[0]} cannot be changed; give --models to train"
        )
    loop, seconds = load_checkpoint(Path(settings.source), settings.device, kept)
    task = loop.preset.task
    longest_episode = gymnasium.spec(task.env_id).max_episode_steps or settings.ahead + 1
    starts = run_starts(loop, settings.trajectories, settings.seed)
    own = Trained(loop.preset.world_model.kind, loop.world_model, loop.world_model_updates, seconds)
    return Material(
        task.env_id, task.action_scale, longest_episode, replay_data(loop), starts, own if own_model else None
    )


def _of_training(settings: ComparisonSettings) -> list[str]:
    """The names of what was asked of a training, beside the settings of a model."""
    asked = {"seeds": settings.seeds > 1, "minutes": settings.minutes is not None, "updates": settings.updates}
    return [name for name, value in asked.items() if value]


def _from_dataset(settings: ComparisonSettings) -> Material:
    """Read a dataset, and hold a tenth of its episodes out to start from."""
    whole = load_dataset(settings.source)
    data, held_out = whole.split(HELD_OUT, settings.seed)
    policies = acting_policies(whole, settings.policy, settings.source)
    starts = dataset_starts(held_out, policies, settings.trajectories, settings.seed)
    return Material(whole.env_id, 1.0, whole.longest_episode, data, starts)


def _measure(trained: Trained, starts: list[Starts], settings: ComparisonSettings, on_progress: OnProgress) -> Compared:
    """Measure a trained world model from ``starts``."""
    total = sum(len(start.observations) for start in starts)
    done = 0

    def on_simulated(n: int) -> None:
        nonlocal done
        done += n
        on_progress(f"simulate {trained.name}", done, total)

    preset = trained.world_model.preset
    tune_guidance(trained.world_model, starts)
    env = environments.make(preset.task.env_id, preset.task.action_scale)
    errors = measure_errors(trained.world_model, env, starts, settings.ahead, settings.seed, on_simulated)
    env.close()
    return Compared(trained.name, preset, trained.updates, trained.seconds, errors)


def dataset_starts(held_out: OfflineData, policies: list[Policy], n: int, seed: int) -> list[Starts]:
    """About ``n`` states from held-out episodes, an equal share for each policy.

    Args:
        policies: one, which then starts anywhere, or one for each level of the data, which starts in its own states.

    Raises:
        InputError: the data holds no simulator states.
    """
    if held_out.simulator_states is None:
        raise InputError(
            "this dataset holds no simulator states, and without them no imagined trajectory can be replayed: "
            "make one that does with polygrad-edu dataset, or store infos['simulator_state'] with yours"
        )
    generator = np.random.default_rng(seed)
    starts = []
    for level, policy in enumerate(policies):
        mine = np.flatnonzero(held_out.levels == level) if len(policies) > 1 else np.arange(len(held_out.levels))
        rows = np.sort(generator.choice(mine, size=min(len(mine), -(-n // len(policies))), replace=False))
        starts.append(Starts(policy, held_out.observations[rows], held_out.simulator_states[rows]))
    return starts


def run_starts(loop: ImaginationLoop, n: int, seed: int) -> list[Starts]:
    """``n`` states that a run's policy visits in new episodes, which no training has seen."""
    env = loop.make_env()
    policy = loop.actor_critic.policy
    generator = torch.Generator().manual_seed(seed)
    observations: list[np.ndarray] = []
    states: list[np.ndarray] = []
    episode = 0
    while len(observations) < 4 * n and episode < 2 * n:  # a quarter of them is kept, so that they are less alike
        observation, _ = env.reset(seed=REPORT_SEED + episode)
        done = False
        episode += 1
        while not done and len(observations) < 4 * n:
            observations.append(observation)
            states.append(environments.get_simulator_state(env))
            with torch.no_grad():
                distribution = policy(torch.as_tensor(observation, dtype=torch.float32, device=loop.device))
            mean, std = distribution.mean.cpu(), distribution.stddev.cpu()
            action = mean + std * torch.randn(mean.shape, generator=generator)
            observation, _, terminal, truncated, _ = env.step(action.numpy())
            done = terminal or truncated
    env.close()
    rows = np.sort(np.random.default_rng(seed).choice(len(observations), min(n, len(observations)), replace=False))
    return [Starts(policy, np.array(observations)[rows], np.array(states)[rows])]


def tune_guidance(world_model: WorldModel[Any], starts: list[Starts]) -> None:
    """Let the gradient rule's scale settle for these policies, as it would have during training."""
    if world_model.preset.guidance.rule != "gradient" or world_model.preset.world_model.kind != "polygrad":
        return
    for _ in range(TUNING_ROUNDS):
        standardised = []
        for start in starts:
            first = torch.as_tensor(start.observations[:TUNING_TRAJECTORIES], dtype=torch.float32)
            first = first.to(world_model.generator.device)
            imagined = world_model.imagine(first, start.policy, world_model.window)
            standardised.append(on_policy(start.policy, imagined))
        world_model.adapt_guidance(torch.cat(standardised).std(dim=0).mean())


def acting_policies(data: OfflineData, path: Path | None, source: str | Path) -> list[Policy]:
    """The policy that was asked for, or those that made the data, one for each of its levels.

    Raises:
        InputError: there is no policy, or it is for another task.
    """
    if path is not None:
        if (path / "config.json").is_file():
            _, preset, _ = read_config(path)
            if preset.task.env_id != data.env_id:
                raise InputError(f"the policy in {path} is for {preset.task.env_id}, the data for {data.env_id}")
            return [with_whole_range(load_checkpoint(path)[0].best_policy, preset.task.action_scale)]
        acting = load_policy(path)
        sizes = data.observations.shape[1], data.actions.shape[1]
        check_policy_fits(acting, f"the policy in {path}", data.env_id, *sizes)
        return [acting]
    if not data.policies:
        raise InputError(
            f"{source} comes without the policies that made it; say which one acts with --policy "
            "(a run directory, or a file written by polygrad_edu.interop.outside_policies.save_policy)"
        )
    return list(data.policies.values())


def with_whole_range(policy: Policy, action_scale: float) -> Policy:
    """A run's policy, whose actions span a part of the task's range, in a dataset's units, which span all of it."""

    def scaled(observations: torch.Tensor) -> Distribution:
        own = policy(observations)
        return Independent(Normal(action_scale * own.mean, action_scale * own.stddev), 1)

    return policy if action_scale == 1 else scaled


def replay_data(loop: ImaginationLoop) -> OfflineData:
    """A run's real steps as a dataset, to train other world models on; one environment's after the other's."""
    replay = loop.replay
    n = replay.size
    order = torch.arange(n).reshape(-1, replay.n_envs).T.flatten()
    last = replay.last_of_episode[:n].cpu()[order]
    observations, actions, rewards, terminals = (
        part[:n].cpu()[order].numpy()
        for part in (replay.observations, replay.actions, replay.rewards, replay.terminals)
    )
    following = replay.next_observations
    return OfflineData(
        loop.preset.task.env_id,
        observations,
        actions,
        rewards,
        terminals.astype(bool),
        episodes=np.concatenate([[0], (last[:-1] == order[:-1]).cumsum(0).numpy()]),
        levels=np.full(n, -1),
        simulator_states=replay.simulator_states[:n][order].numpy(),
        policies={},
        next_observations=None if following is None else following[:n].cpu()[order].numpy(),
    )
