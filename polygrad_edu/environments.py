"""Environments: Gymnasium tasks with actions in [-1, 1] and a simulator state that can be read and set.

Setting the state is what makes a world model's mistakes visible: put the simulator where an imagined
trajectory began, play the imagined actions, and compare.

Built in lesson 1.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Generator
from typing import Any, cast

import gymnasium
import mujoco
import numpy as np
import torch

from .files.input_error import InputError
from .score_guidance import Policy
from .tasks import benchmark_tasks, point_mass  # noqa: F401  # pyright: ignore[reportUnusedImport] - registers tasks

# Physics (time, positions, velocities, actuators) and the solver's warm start: with both, a restored
# simulator continues to the last bit.
_STATE = int(mujoco.mjtState.mjSTATE_FULLPHYSICS) | int(mujoco.mjtState.mjSTATE_WARMSTART)
# What these tasks observe or are paid for besides, which lags behind the positions while they run.
_LAGGING = {"AntEnv": ("xpos", "cfrc_ext"), "HumanoidEnv": ("xipos", "cinert", "cvel", "qfrc_actuator", "cfrc_ext")}


def make(env_id: str, action_scale: float = 1.0) -> gymnasium.Env:
    """Make a task whose actions of -1 to 1 span its own range, or a part of it; larger ones are clipped.

    Args:
        action_scale: the part of the task's range that actions of -1 to 1 span. A third of
            InvertedPendulum's +-3 is what the official code uses, which plays actions as they are.
        env_id: a Gymnasium id, for example ``Hopper-v5``. The ``-v4`` MuJoCo tasks are nearest to the paper's
            ``-v3``: v5 pays no healthy reward on the terminal step, and changes Walker2d's friction.

    Raises:
        InputError: no such task, no bounded Box of actions, no vector of observations, or no state to set.
    """
    try:
        with _without_deprecations():
            env: Any = gymnasium.make(env_id)
    except (gymnasium.error.Error, ImportError) as error:
        raise InputError(f"cannot make the task {env_id!r}: {str(error).splitlines()[0]}") from None
    box, rescale = cast(Any, (gymnasium.spaces.Box, gymnasium.wrappers.RescaleAction))  # typed for arrays only
    for kind, space in (("action", env.action_space), ("observation", env.observation_space)):
        if not isinstance(space, box) or len(space.shape) != 1:
            raise InputError(f"{env_id} has the {kind} space {space}; PolyGRAD needs a vector (a Box of one dimension)")
    if not np.isfinite(env.action_space.low).all() or not np.isfinite(env.action_space.high).all():
        raise InputError(f"{env_id} has unbounded actions; PolyGRAD scales the bounds to -1 and 1, so it needs some")
    env.reset(seed=0)
    if not is_mujoco(env) and not isinstance(getattr(env.unwrapped, "state", None), (np.ndarray, tuple, list)):
        raise InputError(f"the simulator of {env_id} keeps no state to set; choose a MuJoCo task or Pendulum-v1")
    with warnings.catch_warnings():  # of bounds cast to float32
        warnings.simplefilter("ignore", category=UserWarning)
        env = gymnasium.wrappers.ClipAction(rescale(env, -1 / action_scale, 1 / action_scale))
    # The nominal range; actions beyond it are clipped all the same.
    env.action_space = box(-1.0, 1.0, env.action_space.shape)
    return env


@contextlib.contextmanager
def _without_deprecations() -> Generator[None, None, None]:
    """An older version of a task is the user's choice, an older attribute in its model file Gymnasium's."""
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            yield
    finally:
        mujoco.set_mju_user_warning(before)


def is_mujoco(env: gymnasium.Env) -> bool:
    """True if MuJoCo simulates this task."""
    return isinstance(getattr(env.unwrapped, "model", None), mujoco.MjModel)


def get_simulator_state(env: gymnasium.Env) -> np.ndarray:
    """The simulator's whole state as one float64 vector; stacked observations belong to it."""
    task: Any = env.unwrapped
    if not is_mujoco(env):
        stack = _frame_stack(env)
        return np.concatenate([np.array(task.state, dtype=np.float64), *(stack.obs_queue if stack else ())])
    state = np.empty(mujoco.mj_stateSize(task.model, _STATE))
    mujoco.mj_getState(task.model, task.data, state, _STATE)
    return np.concatenate([state, *(array.ravel() for array in _lagging(task))])


def _lagging(task: Any) -> list[np.ndarray]:
    """The simulator's own arrays of a task that observes more than positions and velocities."""
    names = (names for kind in type(task).__mro__ for name, names in _LAGGING.items() if kind.__name__ == name)
    return [getattr(task.data, name) for name in next(names, ())]


def set_simulator_state(env: gymnasium.Env, state: np.ndarray) -> np.ndarray:
    """Put the simulator into ``state`` and return the observation there."""
    task: Any = env.unwrapped
    if is_mujoco(env):
        state, size = np.ascontiguousarray(state, dtype=np.float64), mujoco.mj_stateSize(task.model, _STATE)
        mujoco.mj_setState(task.model, task.data, state[:size], _STATE)
        mujoco.mj_forward(task.model, task.data)
        for array in _lagging(task):
            array[...] = state[size : size + array.size].reshape(array.shape)
            size += array.size
        return task._get_obs().copy()
    size = len(task.state)
    task.state, task.last_u = np.array(state[:size], dtype=np.float64), None
    if (stack := _frame_stack(env)) is None:
        return task._get_obs().copy()
    stack.obs_queue.extend(np.array(state[size:], dtype=np.float32).reshape(benchmark_tasks.STACKED, -1))
    return np.concatenate(stack.obs_queue)


def _frame_stack(env: Any) -> Any:
    while env is not env.unwrapped and not isinstance(env, gymnasium.wrappers.FrameStackObservation):
        env = env.env
    return None if env is env.unwrapped else env


def states_from_observations(env: gymnasium.Env, first_state: np.ndarray, observations: np.ndarray) -> np.ndarray:
    """Simulator states that show ``observations`` [H, O], for drawing what was imagined.

    Positions that a task does not observe (how far a walker has come) are summed up from ``first_state`` on.

    Returns:
        [H, S] states; time and solver warm start are those of ``first_state``.
    """
    task, name = cast(Any, env.unwrapped), type(env.unwrapped).__name__
    observations = np.asarray(observations, dtype=np.float64)
    if _frame_stack(env) is not None:  # cos, sin, three times: the speed follows from the last two
        angles = np.arctan2(observations[:, 1::2], observations[:, ::2])  # [H, 3]
        turned = (angles[:, -1] - angles[:, -2] + np.pi) % (2 * np.pi) - np.pi
        return np.concatenate([angles[:, -1:], turned[:, None] / task.dt, observations], axis=1)
    if name == "PendulumEnv":  # cos, sin, angular velocity
        return np.stack([np.arctan2(observations[:, 1], observations[:, 0]), observations[:, 2]], axis=1)
    if not is_mujoco(env):  # a task of one's own: all that can be shown of it is what it observes
        return observations
    n_positions, n_velocities = task.model.nq, task.model.nv
    structure = getattr(task, "observation_structure", {})  # the v5 tasks say it themselves
    skipped = structure.get("skipped_qpos", n_positions + n_velocities - observations.shape[1])
    set_simulator_state(env, first_state)
    states = []
    for observation in observations:
        if name == "ReacherEnv":  # cosines, sines, target, velocities, fingertip to target
            positions = np.concatenate([np.arctan2(observation[2:4], observation[:2]), observation[4:6]])
            velocities = np.concatenate([observation[6:8], np.zeros(2)])
        else:
            shown = n_positions - skipped
            velocities = observation[shown : shown + n_velocities]
            travelled = task.data.qpos[:skipped] + (velocities[:skipped] * task.dt if states else 0)
            positions = np.concatenate([travelled, observation[:shown]])
        task.data.qpos[:], task.data.qvel[:] = positions, velocities
        states.append(get_simulator_state(env))
    return np.array(states)


def replay_actions(env: gymnasium.Env, state: np.ndarray, actions: np.ndarray) -> dict[str, np.ndarray]:
    """Play ``actions`` [H, A] from ``state``: what really happens.

    Returns:
        ``observations`` [H, O] (each the one that the action was taken at), ``rewards`` [H], ``terminals`` [H]
        and ``states`` [H, S]; after a terminal step the last observation and state are repeated.
    """
    env.reset()
    observation = set_simulator_state(env, state)
    state, terminal = get_simulator_state(env), False
    rows: dict[str, list[Any]] = {"observations": [], "rewards": [], "terminals": [], "states": []}
    for action in actions:
        reward = 0.0
        rows["observations"].append(observation)
        rows["states"].append(state)
        if not terminal:
            next_observation, reward, terminal, _, _ = env.step(action)
            if not terminal:
                observation, state = next_observation, get_simulator_state(env)
        rows["rewards"].append(reward)
        rows["terminals"].append(terminal)
    return {name: np.array(values, dtype=np.float64) for name, values in rows.items()}


def snapshot(env: gymnasium.Env) -> dict[str, Any]:
    """An environment's whole state, its random numbers included, as data that JSON can hold."""
    return {
        "simulator_state": get_simulator_state(env).tolist(),
        "elapsed_steps": _time_limit(env)._elapsed_steps,
        "random_state": env.unwrapped.np_random.bit_generator.state,
    }


def restore(env: gymnasium.Env, taken: dict[str, Any]) -> None:
    """Bring an environment to a :func:`snapshot`; it then goes on as the first would have."""
    env.reset(seed=0)
    state, elapsed = np.array(taken["simulator_state"], dtype=np.float64), taken["elapsed_steps"]
    if state.shape != get_simulator_state(env).shape or type(elapsed) is not int:
        raise ValueError(f"it holds no state of {env.spec.id if env.spec else env}")
    set_simulator_state(env, state)
    _time_limit(env)._elapsed_steps = elapsed
    env.unwrapped.np_random.bit_generator.state = taken["random_state"]


def _time_limit(env: Any) -> gymnasium.wrappers.TimeLimit:
    while not isinstance(env, gymnasium.wrappers.TimeLimit):
        if env is env.unwrapped:
            raise ValueError(f"{env} has no time limit: its episodes need an end (max_episode_steps)")
        env = env.env
    return env


def evaluate(
    make_env: Callable[[], gymnasium.Env], policy: Policy, episodes: int, seed: int, device: torch.device | str = "cpu"
) -> np.ndarray:
    """Returns of the policy's mean action, [episodes], all episodes stepped side by side.

    Args:
        policy: from observations [B, O] to a distribution, of which the mean is played.
        seed: episode i starts from ``seed + i``.
    """
    envs = [make_env() for _ in range(episodes)]
    observations = np.stack([env.reset(seed=seed + i)[0] for i, env in enumerate(envs)])  # [E, O]
    returns, running = np.zeros(episodes), np.ones(episodes, dtype=bool)
    while running.any():
        alive = np.flatnonzero(running)
        with torch.no_grad():
            inputs = torch.as_tensor(observations[alive], dtype=torch.float32, device=device)
            actions = policy(inputs).mean.cpu().numpy()
        for i, action in zip(alive, actions, strict=True):
            observations[i], reward, terminal, truncated, _ = envs[i].step(action)
            returns[i] += reward
            running[i] = not (terminal or truncated)
    for env in envs:
        env.close()
    return returns


def play_episode(env: gymnasium.Env, policy: Policy, seed: int, device: torch.device | str = "cpu") -> np.ndarray:
    """The simulator's states [N, S] along one episode of the policy's mean action, for drawing."""
    observation, _ = env.reset(seed=seed)
    states, done = [get_simulator_state(env)], False
    while not done:
        with torch.no_grad():
            action = policy(torch.as_tensor(observation, dtype=torch.float32, device=device)).mean.cpu().numpy()
        observation, _, terminal, truncated, _ = env.step(action)
        states.append(get_simulator_state(env))
        done = terminal or truncated
    return np.array(states)
