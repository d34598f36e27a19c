"""World-model error: imagined trajectories against the simulator under the same actions.

Set the simulator where an imagined trajectory began, play the imagined actions, compare (arXiv 2312.08533,
section 5.1). And how far the actions are from the policy's own: a model that is right about actions that
the policy would not take is of no use to it.

Built in lesson 9.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from scipy import stats
from torch import Tensor

from . import environments
from .imagined_trajectories import ImaginedTrajectories
from .score_guidance import Policy, standardise_actions
from .world_model import WorldModel

STEPS_AHEAD = (1, 2, 3, 5, 10, 20, 50, 100, 200)


class Starts(NamedTuple):
    """Real states to imagine from, and the policy that acts there."""

    policy: Policy
    observations: np.ndarray  # [N, O]
    simulator_states: np.ndarray  # [N, S]


class Interval(NamedTuple):
    """An estimate with its 95% bootstrap interval."""

    value: float
    low: float
    high: float


class OnPolicyness(NamedTuple):
    """The imagined actions in units of the policy, which are standard normal if they are the policy's own."""

    mean: float
    std: float
    ks_distance: float  # Kolmogorov-Smirnov, 0 to 1


class Errors(NamedTuple):
    """Errors by the number of steps ahead; see :func:`measure_errors` for the units."""

    steps_ahead: list[int]
    trajectories: list[int]  # still running in the simulator then
    observation: list[Interval]
    reward: list[Interval]
    termination: list[Interval]
    on_policyness: OnPolicyness
    seconds_per_1000: float

    def at(self, steps_ahead: int) -> Interval:
        """The observation error ``steps_ahead``."""
        return self.observation[self.steps_ahead.index(steps_ahead)]

    def to_json(self) -> dict[str, Any]:
        intervals = ("observation", "reward", "termination")
        return self._asdict() | {
            **{name: [_finite(interval) for interval in getattr(self, name)] for name in intervals},
            "on_policyness": self.on_policyness._asdict(),
        }


def _finite(interval: Interval) -> dict[str, float | None]:
    """The interval for JSON, which knows neither infinity nor NaN (no trajectory ran that long)."""
    return {name: value if np.isfinite(value) else None for name, value in interval._asdict().items()}


def measure_errors(
    world_model: WorldModel[Any],
    env: gymnasium.Env,
    starts: Sequence[Starts],
    steps_ahead: int,
    seed: int = 0,
    on_progress: Callable[[int], None] = lambda n: None,
) -> Errors:
    """Imagine from real states, play the imagined actions in the simulator, and compare.

    - *observation*: squared difference in units of the data's variance, averaged over the observation's
      dimensions, so 0 is perfect and 2 what two unrelated states would give. The median over trajectories.
    - *reward*: the same for the reward of the step that leads there.
    - *termination*: how often model and simulator disagree on whether the episode has ended by then.

    A trajectory counts for observation and reward as long as its episode goes on in the simulator.

    Args:
        steps_ahead: the furthest step that is measured; those of ``STEPS_AHEAD`` below it are, too.
        on_progress: told after each simulated trajectory.
    """
    measured = [h for h in STEPS_AHEAD if h < steps_ahead] + [steps_ahead]
    imagined, seconds = _imagine(world_model, starts, steps_ahead + 1, seed)
    count = sum(len(start.observations) for start in starts)
    standardised = [on_policy(start.policy, part) for start, part in zip(starts, imagined, strict=True)]
    whole = ImaginedTrajectories.batch(imagined).map(Tensor.cpu)
    # an imagination that has exploded is infinitely wrong; the simulator is spared its actions
    playable = whole.actions.nan_to_num(0, 1, -1)
    real = _simulate(env, np.concatenate([start.simulator_states for start in starts]), playable, on_progress)

    normaliser = world_model.normaliser
    scale = normaliser.observations.scale.cpu().numpy()
    squared = _squared(whole.observations.numpy(), real["observations"], scale).mean(axis=-1)  # [N, H]
    reward_squared = _squared(whole.rewards.numpy(), real["rewards"], normaliser.rewards.scale.item())  # [N, H]
    real_ended = np.maximum.accumulate(real["terminals"], axis=1)  # [N, H] by the end of that step
    imagined_ended = np.maximum.accumulate(whole.terminals.numpy(), axis=1)
    observation, reward, termination, trajectories = [], [], [], []
    for h in measured:
        runs = real_ended[:, h - 1] == 0  # the state h steps ahead exists
        took = real_ended[:, h - 2] == 0 if h > 1 else np.ones(count, dtype=bool)  # the step to it was taken
        trajectories.append(int(runs.sum()))
        observation.append(interval(squared[runs, h], np.median, seed))
        reward.append(interval(reward_squared[took, h - 1], np.median, seed))
        termination.append(interval(np.abs(real_ended - imagined_ended)[:, h - 1], np.mean, seed))
    per_1000 = 1000 * seconds / count
    return Errors(
        measured, trajectories, observation, reward, termination, on_policyness(torch.cat(standardised)), per_1000
    )


def _imagine(
    world_model: WorldModel[Any], starts: Sequence[Starts], horizon: int, seed: int
) -> tuple[list[ImaginedTrajectories], float]:
    """Trajectories that the world model imagines from each of the ``starts``, and the seconds it took."""
    generator = torch.Generator(world_model.generator.device).manual_seed(seed)
    imagined: list[ImaginedTrajectories] = []
    seconds = 0.0
    for start in starts:
        first = torch.as_tensor(start.observations, dtype=torch.float32, device=generator.device)  # [N, O]
        begin = time.perf_counter()
        part = world_model.imagine(first, start.policy, horizon, generator)
        part.observations.sum().item()  # wait for the device
        seconds += time.perf_counter() - begin
        imagined.append(part)
    return imagined, seconds


def _simulate(
    env: gymnasium.Env, states: np.ndarray, actions: Tensor, on_progress: Callable[[int], None]
) -> dict[str, np.ndarray]:
    """The simulator's trajectories under imagined actions [N, H, A] from ``states`` [N, S]."""
    runs = []
    for state, sequence in zip(states, actions.numpy(), strict=True):
        runs.append(environments.replay_actions(env, state, sequence))
        on_progress(1)
    return {name: np.stack([run[name] for run in runs]) for name in ("observations", "rewards", "terminals")}


def _squared(imagined: np.ndarray, real: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.nan_to_num(((imagined.astype(np.float64) - real) / scale) ** 2, nan=np.inf)


def interval(values: np.ndarray, statistic: Callable[..., Any], seed: int = 0, resamples: int = 1000) -> Interval:
    """``statistic`` of ``values`` [N] with its 95% percentile-bootstrap interval; NaN where there are no values."""
    values = np.asarray(values, dtype=np.float64)
    if len(values) == 0:
        return Interval(*[float("nan")] * 3)
    value = float(statistic(values))
    if len(values) == 1 or (values == values[0]).all():
        return Interval(value, value, value)
    drawn = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.percentile(statistic(values[drawn], axis=1), [2.5, 97.5])
    return Interval(value, float(low), float(high))


def on_policy(policy: Policy, imagined: ImaginedTrajectories) -> Tensor:
    """Standardised imagined actions [M, A] of all steps up to each trajectory's imagined end."""
    ended = imagined.terminals.cumsum(dim=1) - imagined.terminals  # before this step
    standardised = standardise_actions(imagined.actions, policy(imagined.observations))  # [B, H, A]
    return standardised[ended == 0].detach().cpu()


def on_policyness(standardised: Tensor) -> OnPolicyness:
    """Distance of standardised actions [M, A] from a standard normal distribution."""
    values = standardised.double().flatten().numpy()
    values = values[np.isfinite(values)]
    return OnPolicyness(float(values.mean()), float(values.std()), float(stats.kstest(values, "norm").statistic))
