"""Checks of assignment 5, the imagination loop, first part: a real step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from .asserting import Draw, own_randomness, two
from .assignment_5_improve import check_improve
from .assignment_5_loop import check_imagination_loop, check_pendulum
from .parts import Property, part, worth

__all__ = [
    "LESSONS",
    "MAY_NOT_IMPORT",
    "MAY_NOT_USE",
    "check_act",
    "check_imagination_loop",
    "check_improve",
    "check_pendulum",
]

MAY_NOT_IMPORT = ("collector", "imagination_loop")
MAY_NOT_USE = ()
LESSONS = {
    "act": "lesson 8, 'The loop, in plain code' and 'The common mistake'",
}

# Times that the script of ends is played at random, and with the policy, these shared among the numbers of an action:
# so many that the limits on mean and spread are five standard errors away from a right answer's, and no more.
N_RANDOM = 12
N_PLAYED = 40


class _Script:
    """Environment whose episodes follow a script, and which records its calls."""

    def __init__(self, action_size: int, ends: str):
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (action_size,))
        self.ends = ends
        self.step_number = 0
        self.actions = []
        self.resets = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        self.resets.append((self.step_number, seed))
        return np.array([-1.0, self.step_number], dtype=np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert isinstance(action, np.ndarray), (
            f"environments want NumPy arrays; yours was given a {type(action).__name__}."
        )
        assert action.shape == self.action_space.shape, (
            f"this environment's actions have the shape {self.action_space.shape}; yours has {action.shape}."
        )
        self.actions.append(action.copy())
        end = self.ends[self.step_number % len(self.ends)]
        self.step_number += 1
        return np.array([1.0, self.step_number], dtype=np.float32), 0.5 * self.step_number, end == "t", end == "c", {}


class _Notebook:
    """Replay that only records."""

    def __init__(self) -> None:
        self.rows: list[tuple[np.ndarray, ...]] = []

    def add(
        self, observation: Any, action: Any, reward: Any, terminal: Any, truncated: Any, simulator_state: Any = ()
    ) -> None:
        for what, value in (("action", action), ("observation", observation)):
            tied = torch.is_tensor(value) and value.requires_grad
            assert not tied, (
                f"the {what} that you store still has a gradient, and so the policy's whole graph, tied to it."
            )
        parts = (observation, action, reward, terminal, truncated)
        self.rows.append(tuple(torch.as_tensor(part, dtype=torch.float64).clone().numpy() for part in parts))


@worth(
    stored=Property(1, "what is stored is this step's observation, action and reward"),
    ends=Property(1, "what has no future is terminal, and what the clock cuts off is truncated"),
    following=Property(1, "after an end a new episode begins, and only then"),
    random=Property(0.5, "without a policy the actions are random, evenly in -1 to 1"),
    policy=Property(1, "with one they are the policy's own, spread and all"),
    generator=Property(0.5, "the generator that is given decides, and nothing else"),
)
def check_act(act: Callable[..., Any], seed: int = 0) -> None:
    """Check ``act(env, observation, policy, replay, generator)``: the next observation, and if an episode ended."""
    draw = Draw(seed)
    size = draw.whole(1, 3)
    gain = draw.number(0.2, 0.6)
    std = torch.linspace(0.2, 0.4, size)
    weight = torch.nn.Parameter(torch.tensor(gain))

    def policy(observations: Tensor) -> Independent[Normal]:
        assert torch.is_tensor(observations), "a policy wants a tensor, and was given something else."
        assert observations.dtype == torch.float32, (
            f"the policy's numbers are float32, what it was given is {observations.dtype}."
        )
        mean = weight * observations[..., :1].expand(*observations.shape[:-1], size)
        return Independent(Normal(mean, std.expand_as(mean)), 1)

    script = "...t....c.t" if seed % 2 == 0 else "..c.....t.c"
    n_random, n_steps = N_RANDOM * len(script), (N_RANDOM + -(-N_PLAYED // size)) * len(script)
    env = _Script(size, script)
    replay = _Notebook()
    generator = torch.Generator().manual_seed(seed)
    observation, _ = env.reset(seed=seed)
    seen = []
    with own_randomness("act"):
        for step in range(n_steps):
            random = step < n_random
            before = np.array(observation, dtype=np.float64)
            observation, ended = two(
                act(env, observation, None if random else policy, replay, generator),
                "act should return an observation and a truth value",
            )
            where = f"in step {step}"
            assert env.step_number == step + 1, (
                f"{where}: one call should be one real step, yours took {env.step_number - step}."
            )
            assert len(replay.rows) == step + 1, (
                f"{where}: each real step should be stored once; {len(replay.rows)} are."
            )
            end = script[step % len(script)]
            with part("stored"):
                _check_row(env, replay.rows[-1], before, where)
            with part("ends"):
                _check_ends(replay.rows[-1], end, where)
            with part("following"):
                _check_next(env, np.asarray(observation), ended, end, where)
            seen.append(before[0])
    with part("random"):
        _check_random(np.array(env.actions[:n_random]), script)
    with part("policy"):
        _check_policy(np.array(env.actions[n_random:]), np.array(seen[n_random:]), gain, std.numpy())
    with part("generator"):
        _check_replayed(act, size, script, policy)


def _check_row(env: _Script, row: tuple[np.ndarray, ...], before: np.ndarray, where: str) -> None:
    observation, action, reward, _, _ = row
    assert np.allclose(observation, before), (
        f"{where}: the observation beside an action should be the one that it was taken at, {before.tolist()}; stored "
        f"is {observation.tolist()}."
    )
    assert np.allclose(action, env.actions[-1]), f"{where}: the action that is stored is not the one that was played."
    assert np.allclose(reward, 0.5 * env.step_number), f"{where}: the reward that is stored is not this step's."


def _check_ends(row: tuple[np.ndarray, ...], end: str, where: str) -> None:
    *_, terminal, truncated = row
    how = {".": "went on", "t": "ended for good", "c": "was cut off by the clock"}[end]
    assert bool(terminal) == (end == "t"), (
        f"{where}: the episode {how}, and it is stored as {'terminal' if terminal else 'not terminal'}. What has no "
        "future, and what do we only stop watching?"
    )
    assert bool(truncated) == (end == "c"), (
        f"{where}: the episode {how}, and it is stored as {'truncated' if truncated else 'not truncated'}."
    )


def _check_next(env: _Script, observation: np.ndarray, ended: Any, end: str, where: str) -> None:
    assert bool(ended) == (end != "."), (
        f"{where}: you say that an episode has{' ' if ended else ' not '}ended; that is not so."
    )
    if end == ".":
        assert np.allclose(observation, [1, env.step_number]), (
            f"{where}: the episode goes on, so the observation to act on next is the one the step led to."
        )
    else:
        assert env.resets[-1][0] == env.step_number, f"{where}: an episode has ended, and no new one was begun."
        assert np.allclose(observation, [-1, env.step_number]), (
            f"{where}: a new episode has begun, and the observation to act on next is not its first."
        )
        assert env.resets[-1][1] is None, f"{where}: a reset with a seed makes every episode begin in the same way."


def _check_random(actions: np.ndarray, script: str) -> None:
    assert np.abs(actions).max() <= 1, (
        f"random actions should lie in -1 to 1; one of yours is {actions.flat[np.abs(actions).argmax()]:.2f}."
    )
    assert abs(actions.mean()) < 0.25, f"random actions should lie around 0; the mean of yours is {actions.mean():.2f}."
    assert 0.45 < actions.std() < 0.7, (
        f"random actions should fill -1 to 1 evenly; the std of yours is {actions.std():.2f}."
    )
    assert len(np.unique(actions.round(6), axis=0)) > len(script), "random actions repeat themselves."


def _check_policy(actions: np.ndarray, seen: np.ndarray, gain: float, std: np.ndarray) -> None:
    z = (actions - gain * seen[:, None]) / std
    assert z.std() > 0.05, (
        "with a policy its mean action was played each time: without exploring it never learns what else there is."
    )
    assert abs(z.mean()) < 0.25, (
        f"in units of the policy's spread your actions are off by {z.mean():.2f} on average. Is it asked at the "
        "observation of this step?"
    )
    assert 0.8 < z.std() < 1.2, f"in units of the policy's own spread that of your actions is {z.std():.2f}."


def _check_replayed(act: Any, size: int, script: str, policy: Any) -> None:
    played = []
    for number in (7, 7, 8):
        env = _Script(size, script)
        generator = torch.Generator().manual_seed(number)
        observation, _ = env.reset()
        for step in range(6):
            observation, _ = act(env, observation, policy if step > 2 else None, _Notebook(), generator)
        played.append(np.array(env.actions))
    assert np.array_equal(played[0], played[1]), (
        "the same generator led to other actions the second time; something is drawn from elsewhere."
    )
    assert not np.array_equal(played[0], played[2]), "another generator led to the same actions; is it used?"
