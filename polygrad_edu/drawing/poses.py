"""Poses: simulator states that show given observations, to draw what was imagined."""

from __future__ import annotations

from typing import Any, cast

import gymnasium
import mujoco
import numpy as np

from ..environments import get_simulator_state, is_mujoco, set_simulator_state, shows_more
from ..files.input_error import InputError

# Positions that the -v4 tasks leave out of what they observe; the -v5 tasks say it themselves.
_SKIPPED = {
    "AntEnv": 2,
    "HumanoidEnv": 2,
    "HumanoidStandupEnv": 2,
    "SwimmerEnv": 2,
    "HopperEnv": 1,
    "Walker2dEnv": 1,
    "HalfCheetahEnv": 1,
    "InvertedPendulumEnv": 0,
}


class CannotDrawError(InputError):
    """A task whose pose cannot be told from what it observes."""


def states_from_observations(env: gymnasium.Env, first_state: np.ndarray, observations: np.ndarray) -> np.ndarray:
    """Simulator states that show ``observations`` [H, O], for drawing what was imagined.

    Positions that a task does not observe (how far a walker has come) are summed up from ``first_state`` on. Of a task
    of one's own, all that can be shown is what it observes.

    Returns:
        [H, S] states; time and solver warm start are those of ``first_state``.

    Raises:
        CannotDrawError: this MuJoCo task's observations do not tell its pose.
    """
    observations = np.asarray(observations, dtype=np.float64)
    task = cast(Any, env.unwrapped)
    if not (shows_more(env) or _is_known(env)):
        return observations
    set_simulator_state(env, first_state)
    states: list[np.ndarray] = []
    for observation in observations:
        if is_mujoco(env):
            _set_pose(task, observation, travelling=bool(states))
        elif type(task).__name__ == "PendulumEnv":
            task.state = _pendulum_state(task, observation)
        states.append(_showing(env, observation))
    return np.array(states)


def _showing(env: gymnasium.Env, observation: np.ndarray) -> np.ndarray:
    """The state that the simulator is in now, with ``observation`` as what it shows."""
    state = get_simulator_state(env)
    return np.concatenate([state[: len(state) - len(observation)], observation]) if shows_more(env) else state


def _is_known(env: gymnasium.Env) -> bool:
    """True for a task whose pose can be worked out; of any other, the observation itself is drawn."""
    return is_mujoco(env) or type(env.unwrapped).__name__ == "PendulumEnv"


def _pendulum_state(task: Any, observation: np.ndarray) -> np.ndarray:
    """Angle and angular velocity of Gymnasium's pendulum."""
    if len(observation) == 3:  # cos, sin, angular velocity
        return np.array([np.arctan2(observation[1], observation[0]), observation[2]])
    # cos and sin several times, oldest first: the speed follows from the last two
    angles = np.arctan2(observation[1::2], observation[::2])
    turned = (angles[-1] - angles[-2] + np.pi) % (2 * np.pi) - np.pi
    return np.array([angles[-1], turned / task.dt])


def _set_pose(task: Any, observation: np.ndarray, travelling: bool) -> None:
    """Positions and velocities of a MuJoCo task from what it observes."""
    name = type(task).__name__
    positions, velocities = task.data.qpos, task.data.qvel
    if name == "ReacherEnv":  # cosines, sines, target, velocities, fingertip to target
        positions[:] = [*np.arctan2(observation[2:4], observation[:2]), *observation[4:6]]
        velocities[:] = [*observation[6:8], 0, 0]
    elif name == "PusherEnv":  # the arm's angles and velocities, then where fingertip, object and goal are
        mujoco.mj_kinematics(task.model, task.data)
        mujoco.mj_comPos(task.model, task.data)
        moved = observation[[17, 18, 20, 21]] - [*task.get_body_com("object")[:2], *task.get_body_com("goal")[:2]]
        positions[:7] = observation[:7]
        positions[7:] += moved
        velocities[:7] = observation[7:14]
    elif name == "InvertedDoublePendulumEnv":  # cart, sines, cosines, velocities, forces
        positions[:] = [observation[0], *np.arctan2(observation[1:3], observation[3:5])]
        velocities[:] = observation[5:8]
    else:
        skipped = _skipped(task)
        shown = len(positions) - skipped
        if len(observation) < shown + len(velocities):
            raise CannotDrawError(f"{name} observes too few numbers to tell its pose, so it is not drawn")
        velocities[:] = observation[shown : shown + len(velocities)]
        if travelling:
            positions[:skipped] += velocities[:skipped] * task.dt
        positions[skipped:] = observation[:shown]


def _skipped(task: Any) -> int:
    """Number of first positions that a task leaves out of its observation."""
    structure = getattr(task, "observation_structure", {})
    if "skipped_qpos" in structure:
        return structure["skipped_qpos"]
    found = next((_SKIPPED[kind.__name__] for kind in type(task).__mro__ if kind.__name__ in _SKIPPED), None)
    if found is None:
        raise CannotDrawError(f"the observation of {type(task).__name__} does not tell its pose, so it is not drawn")
    return found
