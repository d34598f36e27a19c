"""World models compared: all imagine from the same real states, and the simulator tells how far each goes wrong.

Given a run, its own world model is measured in new episodes of its policy. Given a dataset, each model is
trained on the same nine tenths of its episodes and measured on the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from torch.distributions import Distribution, Independent, Normal

from .. import environments
from ..files.safe_files import write_json
from ..imagination_loop import REPORT_SEED, ImaginationLoop, NotFiniteError
from ..interop.datasets import OfflineData, load_dataset
from ..interop.outside_policies import load_policy
from ..runs.checkpoint import load_checkpoint, read_config
from ..settings import IMAGINE_ONLY, Preset, closest_name
from ..trajectory_diffusion import Policy
from ..world_model import WorldModel
from ..world_model_error import Starts, measure_errors, on_policy
from .error_report import Compared, Report
from .trained_models import COMPARED, compared_preset, fingerprint, train

Tell = Callable[[str, int, int], None]  # what, done, total
HELD_OUT, TUNING_ROUNDS, TUNING_TRAJECTORIES = 0.1, 100, 128


def dataset_starts(held_out: OfflineData, policies: list[Policy], n: int, seed: int) -> list[Starts]:
    """About ``n`` states from held-out episodes, an equal share for each policy.

    Args:
        policies: one, which then starts anywhere, or one for each level of the data, which starts in its own states.
    """
    if held_out.simulator_states is None:
        raise ValueError(
            "this dataset holds no simulator states, and without them no imagined trajectory can be replayed: "
            "make one that does with polygrad-edu dataset, or store infos['simulator_state'] with yours"
        )
    drawn = np.random.default_rng(seed)
    starts = []
    for level, policy in enumerate(policies):
        mine = np.flatnonzero(held_out.levels == level) if len(policies) > 1 else np.arange(len(held_out.levels))
        rows = np.sort(drawn.choice(mine, size=min(len(mine), -(-n // len(policies))), replace=False))
        starts.append(Starts(policy, held_out.observations[rows], held_out.simulator_states[rows]))
    return starts


def run_starts(loop: ImaginationLoop, n: int, seed: int) -> list[Starts]:
    """``n`` states that a run's policy comes through in new episodes, which no training has seen."""
    env, policy = loop.make_env(), loop.actor_critic.policy
    generator = torch.Generator().manual_seed(seed)
    observations, states = [], []
    episode = 0
    while len(observations) < 4 * n and episode < 2 * n:  # then a quarter of them, so that they are less alike
        observation, done = env.reset(seed=REPORT_SEED + episode)[0], False
        episode += 1
        while not done and len(observations) < 4 * n:
            observations.append(observation)
            states.append(environments.get_simulator_state(env))
            with torch.no_grad():
                mean = policy.mean(torch.as_tensor(observation, dtype=torch.float32, device=loop.device)).cpu()
            action = mean + policy.std.detach().cpu() * torch.randn(mean.shape, generator=generator)
            observation, _, terminal, truncated, _ = env.step(action.numpy())
            done = terminal or truncated
    env.close()
    rows = np.sort(np.random.default_rng(seed).choice(len(observations), min(n, len(observations)), replace=False))
    return [Starts(policy, np.array(observations)[rows], np.array(states)[rows])]


def tune_guidance(world_model: WorldModel[Any], starts: list[Starts]) -> None:
    """Let the gradient rule's scale settle for these policies, as it would have during training."""
    if world_model.preset.guidance != "gradient" or world_model.preset.world_model != "polygrad":
        return
    for _ in range(TUNING_ROUNDS):
        standardised = []
        for start in starts:
            first = torch.as_tensor(start.observations[:TUNING_TRAJECTORIES], dtype=torch.float32)
            first = first.to(world_model.generator.device)
            imagined = world_model.imagine(first, start.policy, world_model.window)
            standardised.append(on_policy(start.policy, imagined))
        world_model.tune(torch.cat(standardised).std(dim=0).mean())


def compare(
    name: str,
    world_model: WorldModel[Any],
    starts: list[Starts],
    steps_ahead: int,
    seed: int,
    updates: int,
    training_seconds: float,
    on_progress: Callable[[int], None] = lambda n: None,
) -> Compared:
    """Measure a trained world model from ``starts``."""
    preset = world_model.preset
    tune_guidance(world_model, starts)
    env = environments.make(preset.env_id, preset.action_scale)
    errors = measure_errors(world_model, env, starts, steps_ahead, seed, on_progress)
    env.close()
    return Compared(name, preset, updates, training_seconds, errors)


def measure_all(
    source: str,
    names: list[str],
    ahead: int,
    trajectories: int,
    updates: int | None,
    policy: Path | None,
    out: Path,
    seed: int,
    device: str,
    overrides: dict[str, str],
    tell: Tell,
) -> Report:
    """Measure a run's world model, or train and measure several on a dataset.

    Writes error.json, error.md and error.png to ``out``.

    Raises:
        ValueError: unusable source, policy, settings or horizon, before anything is trained.
    """
    names = list(COMPARED) if names == ["all"] else [closest_name(name, COMPARED, "world model") for name in names]
    loop, seconds = None, 0.0
    if (Path(source) / "config.json").is_file():
        kept = {name: value for name, value in overrides.items() if name in IMAGINE_ONLY}
        if not names and (fixed := sorted(set(overrides) - set(kept))):
            raise ValueError(
                f"a run's world model is trained already: {fixed[0]} cannot be changed; give --models to train"
            )
        loop, seconds = load_checkpoint(Path(source), device, kept)
        env_id, longest = loop.preset.env_id, gymnasium.spec(loop.preset.env_id).max_episode_steps or ahead + 1
        data = replay_data(loop)
        starts = run_starts(loop, trajectories, seed)
    else:
        whole = load_dataset(source)
        data, held_out = whole.split(HELD_OUT, seed)
        env_id, longest = whole.env_id, whole.longest_episode
        names = names or list(COMPARED)
        starts = dataset_starts(held_out, acting_policies(whole, policy, source), trajectories, seed)
    if ahead >= longest:
        raise ValueError(
            f"the longest episode has {longest} steps, so --ahead can be at most {longest - 1}, not {ahead}"
        )
    scale = loop.preset.action_scale if loop else 1.0
    presets = {name: compared_preset(name, env_id, scale, overrides) for name in names}
    out.mkdir(parents=True, exist_ok=True)
    results = []
    if loop is not None and not names:
        name = loop.preset.world_model
        results.append(_measured(name, loop.world_model, starts, ahead, seed, loop.world_model_updates, seconds, tell))
    for name, (preset, usual) in presets.items():
        world_model, seconds = _trained(name, preset, updates or usual, data, out, seed, device, tell)
        results.append(_measured(name, world_model, starts, ahead, seed, updates or usual, seconds, tell))
    report = Report(env_id, f"{len(data.rewards):,} steps ({fingerprint(data)})", seed, results)
    write_json(out / "error.json", report.to_json())
    (out / "error.md").write_text(report.markdown(), encoding="utf-8")
    report.draw(out / "error.png")
    return report


def _trained(
    name: str, preset: Preset, updates: int, data: OfflineData, out: Path, seed: int, device: str, tell: Tell
) -> tuple[WorldModel[Any], float]:
    """:func:`train`, with its progress told and its loss watched."""
    done = 0

    def on_update(loss: torch.Tensor) -> None:
        nonlocal done
        done += 1
        if done % 50 == 0 or done == updates:
            if not bool(loss.isfinite()):
                raise NotFiniteError(
                    f"{name}'s loss became {loss.item()} at update {done}; a smaller --learning-rate may prevent it"
                )
            tell(f"train {name}", done, updates)

    return train(name, preset, updates, data, out, seed, device, on_update)


def _measured(
    name: str, world_model: WorldModel[Any], starts: list[Starts], ahead: int, seed: int, updates: int, seconds: float,
    tell: Tell,
) -> Compared:  # fmt: skip
    """:func:`compare`, with its progress told."""
    done, total = 0, sum(len(start.observations) for start in starts)

    def on_progress(n: int) -> None:
        nonlocal done
        done += n
        tell(f"simulate {name}", done, total)

    return compare(name, world_model, starts, ahead, seed, updates, seconds, on_progress)


def acting_policies(data: OfflineData, path: Path | None, source: str) -> list[Policy]:
    """The policy that was asked for, or those that made the data, one for each of its levels."""
    if path is not None:
        if (path / "config.json").is_file():
            _, preset, _ = read_config(path)
            if preset.env_id != data.env_id:
                raise ValueError(f"the policy in {path} is for {preset.env_id}, the data for {data.env_id}")
            return [with_whole_range(load_checkpoint(path)[0].best_policy, preset.action_scale)]
        acting = load_policy(path)
        sizes, wanted = acting.description["sizes"], (data.observations.shape[1], data.actions.shape[1])
        if (sizes[0], sizes[-1]) != wanted:
            raise ValueError(
                f"the policy in {path} takes {sizes[0]} observations and {sizes[-1]} actions; "
                f"{data.env_id} has {wanted[0]} and {wanted[1]}"
            )
        return [acting]
    if not data.policies:
        raise ValueError(
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
    replay, n = loop.replay, loop.replay.size
    order = torch.arange(n).reshape(-1, replay.n_envs).T.flatten()
    last = replay.last_of_episode[:n].cpu()[order]
    observations, actions, rewards, terminals = (
        part[:n].cpu()[order].numpy()
        for part in (replay.observations, replay.actions, replay.rewards, replay.terminals)
    )
    return OfflineData(
        loop.preset.env_id, observations, actions, rewards, terminals.astype(bool),
        np.concatenate([[0], (last[:-1] == order[:-1]).cumsum(0).numpy()]), np.full(n, -1),
        replay.simulator_states[:n][order].numpy(), {},
    )  # fmt: skip
