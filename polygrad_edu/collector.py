"""The collector: real environments, one or several side by side, stepped with the policy's actions.

With one environment everything happens in this process. Several live in processes of their own: actions are
sent to them, and while they are being played the caller is free to train. Either way the interface is the same:
:meth:`~Collector.send`, then :meth:`~Collector.receive`.

Built in lesson 8.
"""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from . import environments
from .files.input_error import InputError
from .tasks.wrappers import longest_episode

LAST_WORDS = 5.0  # seconds in which a process that failed prints why


class Step(NamedTuple):
    """One step of n environments: where they stood, what they did and were paid, whether they ended."""

    observations: np.ndarray  # [n, O] before the step
    actions: np.ndarray  # [n, A]
    rewards: np.ndarray  # [n]
    terminals: np.ndarray  # [n]
    truncated: np.ndarray  # [n]
    simulator_states: np.ndarray  # [n, S] before the step


class Collector:
    """One environment in this process.

    Attributes:
        observations: [n, O] where the environments stand now; those that ended have been reset.
        reached: [n, O] where the latest step led, before anything was reset.
        action_size, state_size: of an action and of a simulator's state.
        longest_episode: steps after which the task is stopped.
    """

    n_envs = 1

    def __init__(self, make_env: Callable[[], gymnasium.Env], seed: int):
        self.env = make_env()
        observation, _ = self.env.reset(seed=seed)
        self.env.action_space.seed(seed)
        self.observations = self.reached = as_shown(observation)[None]
        self.longest_episode = longest_episode(self.env)
        self.action_size = gymnasium.spaces.flatdim(self.env.action_space)
        self.state_size = len(environments.get_simulator_state(self.env))

    def send(self, actions: np.ndarray) -> None:
        """Let the environments play ``actions`` [n, A]."""
        self._sent = actions

    def receive(self) -> Step:
        """Wait for what was sent to be played."""
        before, state = self.observations, environments.get_simulator_state(self.env)
        observation, reward, terminal, truncated, _ = self.env.step(self._sent[0])
        ended = np.array([terminal]), np.array([truncated])
        step = Step(before, self._sent, np.array([np.asarray(reward).item()]), *ended, state[None])
        finite = np.isfinite(observation).all()  # else this is where the run ends, and it is shown why
        following = self.env.reset()[0] if finite and (terminal or truncated) else observation
        self.reached = as_shown(observation)[None]
        self.observations = as_shown(following)[None]
        return step

    def snapshot(self) -> list[dict[str, Any]]:
        """The environments' whole state, as data that JSON can hold; only while nothing is sent."""
        return [environments.snapshot(self.env)]

    def restore(self, taken: list[dict[str, Any]], observations: np.ndarray) -> None:
        """Bring the environments to a :meth:`snapshot` taken at ``observations`` [n, O]."""
        _check_number(taken, self.n_envs)
        environments.restore(self.env, taken[0])
        self.observations = observations

    def close(self) -> None:
        self.env.close()


def as_shown(observation: Any) -> np.ndarray:
    """A copy [O] of an observation as it is now, in float64: a task may change its own array, or show whole numbers."""
    return np.array(observation, dtype=np.float64)


class _Reporting(gymnasium.Wrapper):
    """Tells the simulator's state with each step, and can be set to a snapshot from another process."""

    def __init__(self, env: gymnasium.Env, place: int):
        super().__init__(env)
        self.place = place
        # What crosses to the other process has the type that the space says.
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, env.observation_space.shape, np.float64)

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        observation, _ = self.env.reset(**options)
        return as_shown(observation), {"state": environments.get_simulator_state(self.env)}

    def step(self, action: np.ndarray) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminal, truncated, _ = self.env.step(action)
        state = environments.get_simulator_state(self.env)
        return as_shown(observation), np.asarray(reward).item(), terminal, truncated, {"state": state}

    def take_snapshot(self) -> dict[str, Any]:
        return environments.snapshot(self.env)

    def restore_from(self, taken: list[dict[str, Any]]) -> np.ndarray:
        environments.restore(self.env, taken[self.place])
        return environments.get_simulator_state(self.env)


def _make_reporting(make_env: Callable[[], gymnasium.Env], place: int) -> gymnasium.Env:
    return _Reporting(make_env(), place)


def start_seeds(seed: int, n_envs: int) -> list[int]:
    """A seed for each of a run's environments: the run's own for the first, and for the others some that no run has.

    Seeds of runs are small, see :data:`polygrad_edu.settings.MAX_SEED`; those that are spawned here have more
    than 32 bits, so that no two runs and no evaluation ever begin alike.
    """
    others = np.random.SeedSequence(seed).spawn(n_envs)[1:]
    return [seed, *(2**32 + int(other.generate_state(1, np.uint64)[0] >> 2) for other in others)]


class ParallelCollector(Collector):
    """``n_envs`` environments, each in a process of its own.

    Raises:
        InputError: a process could not make the task.
    """

    def __init__(self, make_env: Callable[[], gymnasium.Env], seed: int, n_envs: int):
        self.n_envs = n_envs
        methods = multiprocessing.get_all_start_methods()
        # not a fork of this process: that would copy its threads' locks and its hold of the accelerator
        context = "forkserver" if "forkserver" in methods else "spawn"
        if context == "forkserver":
            multiprocessing.set_forkserver_preload([__name__])
        alone = make_env()
        self.longest_episode = longest_episode(alone)
        alone.close()
        others = set(multiprocessing.active_children())
        try:
            self.envs = AsyncVectorEnv(
                [functools.partial(_make_reporting, make_env, place) for place in range(n_envs)],
                context=context,
                autoreset_mode=AutoresetMode.SAME_STEP,
            )
        except (ConnectionError, EOFError):
            # each of them prints its own trouble first, so that the line that says what to do stands below
            for process in set(multiprocessing.active_children()) - others:
                process.join(LAST_WORDS)
            raise InputError(
                "an environment's process could not make the task. It does not see what was typed in a notebook or in "
                "python -c: define and register the task in a module of its own and import it there, start a script's "
                "work under if __name__ == '__main__', or use one environment (parallel_envs 1)"
            ) from None
        seeds: list[int | None] = [*start_seeds(seed, n_envs)]
        self.observations, infos = self.envs.reset(seed=seeds)
        self.reached = self.observations
        self._states = infos["state"]
        self.action_size, self.state_size = (
            gymnasium.spaces.flatdim(self.envs.single_action_space),
            self._states.shape[1],
        )

    def send(self, actions: np.ndarray) -> None:
        self._sent = actions
        self.envs.step_async(actions)

    def receive(self) -> Step:
        # the environments' own arrays are overwritten by the next step
        before, states = self.observations.copy(), self._states
        self.observations, rewards, terminals, truncated, infos = self.envs.step_wait()
        self._states = infos["state"]
        self.reached = self.observations.copy()
        for place in np.flatnonzero(terminals | truncated):
            self.reached[place] = infos["final_obs"][place]
        return Step(before, self._sent, rewards, terminals, truncated, states)

    def snapshot(self) -> list[dict[str, Any]]:
        return list(self.envs.call("take_snapshot"))

    def restore(self, taken: list[dict[str, Any]], observations: np.ndarray) -> None:
        _check_number(taken, self.n_envs)
        self._states = np.stack(self.envs.call("restore_from", taken))
        self.observations = observations

    def close(self) -> None:
        self.envs.close()


def make_collector(make_env: Callable[[], gymnasium.Env], seed: int, n_envs: int) -> Collector:
    """One environment here, or several in processes of their own."""
    return Collector(make_env, seed) if n_envs == 1 else ParallelCollector(make_env, seed, n_envs)


def _check_number(taken: list[dict[str, Any]], n_envs: int) -> None:
    if len(taken) != n_envs:
        raise InputError(f"it holds {len(taken)} environments, this run has {n_envs}")
