"""Tasks that Gymnasium lacks: early-terminating ones of model-based benchmarks, and pendulums without velocity.

Importing this module registers them. The early-terminating ones have the rewards and terminals of "Benchmarking
Model-Based Reinforcement Learning" (arXiv 1907.02057), and the hanging pendulum its reward; as in that benchmark's
code, velocity, height and contact forces are those at the start of the step. The robots are Gymnasium's v5 models.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import gymnasium
import numpy as np
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from gymnasium.envs.mujoco.humanoid_v5 import HumanoidEnv
from gymnasium.envs.mujoco.walker2d_v5 import Walker2dEnv

Step = tuple[np.ndarray, float, bool, Literal[False], dict[str, Any]]
STACKED = 3  # observations of PendulumNoVelocity


class Walker2dEarlyTermination(Walker2dEnv):
    """Walker2D-ET: ends unless the robot is upright. Observes the same 17 numbers as Walker2d-v5."""

    def step(self, action: np.ndarray) -> Step:
        velocity = self.data.qvel[0]
        height = self.data.qpos[1]
        self.do_simulation(action, self.frame_skip)
        # r = v_x - 3 (h - 1.3)^2 - 0.1 |a|^2 + 1
        reward = velocity - 3 * (height - 1.3) ** 2 - 0.1 * np.square(action).sum() + 1
        height, angle = self.data.qpos[1:3]
        over = not (0.8 < height < 2.0 and abs(angle) < 1) or not np.isfinite(self.state_vector()).all()
        return self._get_obs(), float(reward), bool(over), False, {}


class AntEarlyTermination(AntEnv):
    """Ant-ET: ends once the robot lies or jumps. Observes positions and velocities (27 numbers), no contact forces."""

    def __init__(self, **kwargs: Any):
        super().__init__(include_cfrc_ext_in_observation=False, **kwargs)

    def step(self, action: np.ndarray) -> Step:
        velocity = self.data.qvel[0]
        height = self.data.qpos[2]
        self.do_simulation(action, self.frame_skip)
        # r = v_x - 3 (h - 0.57)^2 - 0.1 |a|^2 + 1
        reward = velocity - 3 * (height - 0.57) ** 2 - 0.1 * np.square(action).sum() + 1
        over = not 0.2 <= self.data.qpos[2] <= 1.0 or not np.isfinite(self.state_vector()).all()
        return self._get_obs(), float(reward), bool(over), False, {}


class HumanoidEarlyTermination(HumanoidEnv):
    """Humanoid-ET: ends outside heights of 1 to 2, as Gymnasium's. Observes positions and velocities (45 numbers).

    Gymnasium's other 303 numbers (inertias, forces) would cost a world model far more than they are worth.
    """

    def __init__(self, **kwargs: Any):
        parts = ("cinert", "cvel", "qfrc_actuator", "cfrc_ext")
        super().__init__(**{f"include_{part}_in_observation": False for part in parts}, **kwargs)

    def step(self, action: np.ndarray) -> Step:
        velocity = self.data.qvel[0]
        impact = min(5e-7 * np.square(self.data.cfrc_ext).sum(), 10)
        self.do_simulation(action, self.frame_skip)
        # r = (0.25 / 0.015) v_x + 5 - 0.1 |a|^2 - \min(5 \cdot 10^{-7} |f|^2, 10)
        reward = 0.25 / 0.015 * velocity + 5 - 0.1 * np.square(action).sum() - impact
        over = not 1.0 < self.data.qpos[2] < 2.0 or not np.isfinite(self.state_vector()).all()
        return self._get_obs(), float(reward), bool(over), False, {}


class HangingReward(gymnasium.Wrapper):
    """The reward that the benchmark's code gives its pendulum: most for hanging still, at most 1 a step.

    Where Gymnasium's counts the squared angle from upright as a cost, it counts the cosine of that angle.
    """

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        pendulum = cast(PendulumEnv, self.unwrapped)
        angle, velocity = pendulum.state
        torque = np.clip(action, -pendulum.max_torque, pendulum.max_torque)[0]
        observation, _, terminal, truncated, info = self.env.step(action)
        # r = -\cos\theta - 0.1 |\sin\theta| - 0.1 \dot\theta^2 - 0.001 u^2
        reward = -np.cos(angle) - 0.1 * abs(np.sin(angle)) - 0.1 * velocity**2 - 0.001 * torque**2
        return observation, float(reward), terminal, truncated, info


def pendulum_no_velocity(hanging: bool = False, **kwargs: Any) -> gymnasium.Env:
    """Make Pendulum-v1 with the last three angles as its observation, in place of the angular velocity.

    It is a partially observed task made Markov again by Gymnasium's own frame stacking (6 numbers, oldest first).

    Args:
        hanging: give :class:`HangingReward` and not Gymnasium's.
    """
    env = gymnasium.make("Pendulum-v1", max_episode_steps=-1, disable_env_checker=True, **kwargs)
    if hanging:
        env = HangingReward(env)
    angle = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    env = gymnasium.wrappers.TransformObservation(env, lambda observation: observation[:2], angle)
    stacked = gymnasium.wrappers.FrameStackObservation(env, STACKED, padding_type="reset")
    return gymnasium.wrappers.FlattenObservation(stacked)


for _name, _entry_point, _steps, _options in (
    ("Walker2d-ET", Walker2dEarlyTermination, 1000, {}),
    ("Ant-ET", AntEarlyTermination, 1000, {}),
    ("Humanoid-ET", HumanoidEarlyTermination, 1000, {}),
    ("PendulumNoVelocity", pendulum_no_velocity, 200, {}),
    ("HangingPendulumNoVelocity", pendulum_no_velocity, 200, {"hanging": True}),
):
    _id = f"polygrad_edu/{_name}-v0"
    if _id not in gymnasium.registry:  # a reloaded module registers nothing twice
        gymnasium.register(_id, _entry_point, max_episode_steps=_steps, kwargs=_options)

# by name, because the parts it is made of import this module
if "polygrad_edu/WorldModel-v0" not in gymnasium.registry:
    gymnasium.register("polygrad_edu/WorldModel-v0", "polygrad_edu.interop.world_model_env:WorldModelEnv")
