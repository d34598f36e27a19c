"""Environments: Gymnasium tasks with actions in [-1, 1] and a simulator state that can be read and set.

Setting the state is what makes a world model's mistakes visible: put the simulator where an imagined
trajectory began, play the imagined actions, and compare. The task is the one that its user sees, wrappers included.

Built in lesson 1.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import gymnasium
import mujoco
import numpy as np
import torch

from .files.input_error import InputError
from .tasks import benchmark_tasks, hidden_worlds, point_mass, wrappers  # noqa: F401  # pyright: ignore - registers

if TYPE_CHECKING:
    from .score_guidance import Policy  # only a name here: a simulator knows nothing of guidance

# Physics (time, positions, velocities, actuators) and the solver's warm start: with both, a restored
# simulator continues to the last bit.
_STATE = int(mujoco.mjtState.mjSTATE_FULLPHYSICS) | int(mujoco.mjtState.mjSTATE_WARMSTART)
# Simulator quantities that these tasks also observe or are rewarded for. MuJoCo computes them before it moves the
# bodies, so after a step they belong to the positions before it and must be saved beside the state.
_LAGGING = {
    "AntEnv": ("xpos", "cfrc_ext"),
    "HumanoidEnv": ("xipos", "cinert", "cvel", "qfrc_actuator", "cfrc_ext"),
    "ReacherEnv": ("xpos",),
}
TRIED_STEPS = 3  # after which a task must show the same observation again


def make(env_id: str, action_scale: float = 1.0) -> gymnasium.Env:
    """Make a task whose actions of -1 to 1 span its own range, or a part of it; larger ones are clipped.

    Args:
        action_scale: the part of the task's range that actions of -1 to 1 span. A third of
            InvertedPendulum's +-3 is what the official code uses, which plays actions as they are.
        env_id: a Gymnasium id, for example ``Hopper-v5``. The ``-v4`` MuJoCo tasks are nearest to the paper's
            ``-v3``: v5 pays no healthy reward on the terminal step, and changes Walker2d's friction.

    Raises:
        InputError: no such task, or one that cannot be learned or restored; the message says why.
    """
    nature = _nature_of(env_id)
    env: Any = _make_plain(env_id)
    box, rescale = cast(Any, (gymnasium.spaces.Box, gymnasium.wrappers.RescaleAction))  # typed for arrays only
    with warnings.catch_warnings():  # of bounds cast to float32
        warnings.simplefilter("ignore", category=UserWarning)
        env = gymnasium.wrappers.ClipAction(rescale(env, -1 / action_scale, 1 / action_scale))
    # The nominal range; actions beyond it are clipped all the same.
    env.action_space = box(-1.0, 1.0, env.action_space.shape)
    return env if nature.recomputed else wrappers.Remembering(env, nature.slots)


def _make_plain(env_id: str) -> gymnasium.Env:
    try:
        with _without_deprecations():
            return gymnasium.make(env_id)
    except (gymnasium.error.Error, ImportError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot make the task {env_id!r}: {reason}") from None


class Nature(NamedTuple):
    """Properties of a task, found out once by trying it."""

    recomputed: bool  # the observation at a state can be computed anew, to the last bit
    slots: list[wrappers.Slot]  # where the task's wrappers remember


_NATURES: dict[str, tuple[Any, Nature]] = {}


def _nature_of(env_id: str) -> Nature:
    """The nature of a task, tried once for each registration of its id."""
    known, nature = _NATURES.get(env_id, (None, None))
    spec = gymnasium.registry.get(env_id)
    if nature is None or known is not spec:
        env = _make_plain(env_id)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nature = _judge(env_id, env)
        env.close()
        _NATURES[env_id] = (spec, nature)
    return nature


def _judge(env_id: str, env: gymnasium.Env) -> Nature:
    """The nature of a task, or an error that says why it cannot be learned."""
    for kind, space in (("action", env.action_space), ("observation", env.observation_space)):
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise InputError(f"{env_id} has the {kind} space {space}; PolyGRAD needs a vector (a Box of one dimension)")
    low, high = cast(Any, env.action_space).low, cast(Any, env.action_space).high
    if not np.issubdtype(env.action_space.dtype, np.floating):
        raise InputError(f"{env_id} takes whole numbers ({env.action_space}); PolyGRAD needs actions of floats")
    if not np.isfinite(low).all() or not np.isfinite(high).all():
        raise InputError(f"{env_id} has unbounded actions; PolyGRAD scales the bounds to -1 and 1, so it needs some")
    if (low >= high).any():
        stuck = ", ".join(str(i) for i in np.flatnonzero(low >= high))
        raise InputError(f"{env_id} has actions that cannot move (dimension {stuck}: low equals high); leave them out")
    wrappers.time_limit(env)
    env.reset(seed=0)
    if not is_mujoco(env) and not isinstance(getattr(env.unwrapped, "state", None), (np.ndarray, tuple, list)):
        raise InputError(
            f"the simulator of {env_id} keeps no state to set; choose a MuJoCo task, or give your own task its whole "
            "state in an array called state"
        )
    slots = wrappers.memory_slots(env)
    return Nature(not slots and _recomputes(env), slots)


def _recomputes(env: gymnasium.Env) -> bool:
    """True if the observation shown at a state comes back, to the last bit, when that state is set."""
    if not hasattr(env.unwrapped, "_get_obs"):
        return False
    shown, _ = env.reset(seed=0)
    width = _width(getattr(env.unwrapped, "state", None))
    for _ in range(TRIED_STEPS):
        shown, _, terminal, truncated, _ = env.step(env.action_space.sample())
        if terminal or truncated:
            shown, _ = env.reset()
    shown, state = np.array(shown), get_simulator_state(env)
    env.step(env.action_space.sample())
    found = set_simulator_state(env, state)
    same_width = width == _width(getattr(env.unwrapped, "state", None))
    return same_width and np.shape(found) == shown.shape and np.array_equal(found, shown)


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
    """The simulator's whole state as one float64 vector; what the task's wrappers remember belongs to it."""
    task: Any = env.unwrapped
    if is_mujoco(env):
        physics = np.empty(mujoco.mj_stateSize(task.model, _STATE))
        mujoco.mj_getState(task.model, task.data, physics, _STATE)
        parts = [physics, *(array.ravel() for array in _lagging(task))]
    else:
        parts = [np.array(task.state, dtype=np.float64).ravel()]
    if (memory := wrappers.remembering(env)) is not None:
        width = np.array([_width(getattr(task, "state", None))])
        parts += [width, wrappers.get_memory(memory.env, memory.slots), memory.shown]
    return np.concatenate(parts)


def set_simulator_state(env: gymnasium.Env, state: np.ndarray) -> np.ndarray:
    """Put the simulator into ``state`` and return the observation there."""
    task: Any = env.unwrapped
    memory = wrappers.remembering(env)
    state = np.ascontiguousarray(state, dtype=np.float64)
    if is_mujoco(env):
        size = mujoco.mj_stateSize(task.model, _STATE)
        mujoco.mj_setState(task.model, task.data, state[:size], _STATE)
        mujoco.mj_forward(task.model, task.data)
        for array in _lagging(task):
            array[...] = state[size : size + array.size].reshape(array.shape)
            size += array.size
    else:
        size = np.size(task.state)
        task.state = _like_own(task.state, state[:size], int(state[size]) if memory else 0)
        task.last_u = None  # Pendulum draws the last torque
    if memory is None:
        return task._get_obs().copy()
    wrappers.set_memory(memory.env, memory.slots, state[size + 1 : len(state) - len(memory.shown)])
    memory.shown = state[len(state) - len(memory.shown) :].copy()
    return memory.shown.copy()


def _width(state: Any) -> int:
    """Bytes of a float in a task's state, which may differ after a reset and after a step; 0 for other numbers."""
    return state.dtype.itemsize if isinstance(state, np.ndarray) and state.dtype.kind == "f" else 0


def _like_own(own: Any, numbers: np.ndarray, width: int) -> Any:
    """``numbers`` in the type and shape of a task's own state, with floats of ``width`` bytes (0: as they are)."""
    if isinstance(own, np.ndarray):
        return numbers.astype(f"f{width}" if width else own.dtype).reshape(own.shape)
    return type(own)(kind(number) for kind, number in zip((type(old) for old in own), numbers.tolist(), strict=True))


def _lagging(task: Any) -> list[np.ndarray]:
    """The simulator's own arrays of a task that observes more than positions and velocities."""
    names = (names for kind in type(task).__mro__ for name, names in _LAGGING.items() if kind.__name__ == name)
    return [getattr(task.data, name) for name in next(names, ())]


def shows_more(env: gymnasium.Env) -> bool:
    """True if a task's observation cannot be computed from its simulator alone, and so is part of its state."""
    return wrappers.remembering(env) is not None


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
        rows["observations"].append(np.array(observation, dtype=np.float64))
        rows["states"].append(state)
        if not terminal:
            next_observation, reward, terminal, _, _ = env.step(action)
            reward = np.asarray(reward).item()  # some tasks return an array of one number
            if not terminal:
                observation, state = next_observation, get_simulator_state(env)
        rows["rewards"].append(reward)
        rows["terminals"].append(terminal)
    return {name: np.array(values, dtype=np.float64) for name, values in rows.items()}


def snapshot(env: gymnasium.Env) -> dict[str, Any]:
    """An environment's whole state, its random numbers included, as data that JSON can hold."""
    return {
        "simulator_state": get_simulator_state(env).tolist(),
        "elapsed_steps": wrappers.time_limit(env)._elapsed_steps,
        "random_state": env.unwrapped.np_random.bit_generator.state,
    }


def restore(env: gymnasium.Env, taken: dict[str, Any]) -> None:
    """Bring an environment to a :func:`snapshot`; it then goes on as the first would have."""
    env.reset(seed=0)
    state, elapsed = np.array(taken["simulator_state"], dtype=np.float64), taken["elapsed_steps"]
    if state.shape != get_simulator_state(env).shape or type(elapsed) is not int:
        raise InputError(f"it holds no state of {env.spec.id if env.spec else env}")
    set_simulator_state(env, state)
    wrappers.time_limit(env)._elapsed_steps = elapsed
    env.unwrapped.np_random.bit_generator.state = taken["random_state"]


def evaluate(
    make_env: Callable[[], gymnasium.Env], policy: Policy, episodes: int, seed: int, device: torch.device | str = "cpu"
) -> np.ndarray:
    """Returns of the policy's mean action, [episodes], all episodes stepped side by side.

    Args:
        policy: from observations [B, O] to a distribution, of which the mean is played.
        seed: episode i starts from ``seed + i``.
    """
    envs = [make_env() for _ in range(episodes)]
    # float64, for a task may show whole numbers first and others later
    observations = np.stack([np.array(env.reset(seed=seed + i)[0], np.float64) for i, env in enumerate(envs)])  # [E, O]
    returns = np.zeros(episodes)
    running = np.ones(episodes, dtype=bool)
    while running.any():
        alive = np.flatnonzero(running)
        with torch.no_grad():
            inputs = torch.as_tensor(observations[alive], dtype=torch.float32, device=device)
            actions = policy(inputs).mean.cpu().numpy()
        for i, action in zip(alive, actions, strict=True):
            observations[i], reward, terminal, truncated, _ = envs[i].step(action)
            returns[i] += np.asarray(reward).item()
            running[i] = not (terminal or truncated)
    for env in envs:
        env.close()
    return returns


def play_episode(env: gymnasium.Env, policy: Policy, seed: int, device: torch.device | str = "cpu") -> np.ndarray:
    """The simulator's states [N, S] along one episode of the policy's mean action, for drawing."""
    observation, _ = env.reset(seed=seed)
    states, terminal, truncated = [get_simulator_state(env)], False, False
    while not (terminal or truncated):
        with torch.no_grad():
            action = policy(torch.as_tensor(observation, dtype=torch.float32, device=device)).mean.cpu().numpy()
        observation, _, terminal, truncated, _ = env.step(action)
        states.append(get_simulator_state(env))
    return np.array(states)
