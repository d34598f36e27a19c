"""Point mass: a task to learn on, small enough to model in seconds and easy to draw.

Importing this module registers ``polygrad_edu/PointMass-v0``. Its physics has a closed form, so the trajectories of a
world model can be checked by hand: with friction k, mass m and a force F, the velocity decays by 1 - k dt / m in each
step and gains F dt / m.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np


class PointMass(gymnasium.Env):
    """Bring a mass to the middle of a square arena and keep it there.

    Observes position and velocity (4 numbers); the action in [-1, 1]^2 is a force. An episode begins anywhere
    in the inner part of the arena with a random velocity and ends outside the arena, or after two seconds (40 steps).
    """

    metadata = {"render_modes": [], "render_fps": 20}  # noqa: RUF012 (Gymnasium's way)
    dt = 0.05  # seconds
    mass = 1.0
    friction = 0.5  # force per speed
    force = 4.0  # of an action of 1
    arena = 1.0  # half its side

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.state = np.zeros(4)  # x, y, v_x, v_y

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        position = self.np_random.uniform(-0.7, 0.7, 2)
        velocity = self.np_random.uniform(-0.5, 0.5, 2)
        self.state = np.concatenate([position, velocity])
        return self._get_obs(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        position = self.state[:2]
        velocity = self.state[2:]
        push = self.force * np.clip(np.asarray(action, dtype=np.float64), -1, 1)
        # v' = v + (F - k v) dt / m, x' = x + v' dt
        velocity = velocity + (push - self.friction * velocity) * self.dt / self.mass
        position = position + velocity * self.dt
        self.state = np.concatenate([position, velocity])
        # r = 1 - |x'| / half the side: 1 in the middle, 0 at the middle of a wall, so leaving never pays
        reward = 1 - float(np.linalg.norm(position)) / self.arena
        return self._get_obs(), reward, bool((np.abs(position) > self.arena).any()), False, {}

    def _get_obs(self) -> np.ndarray:
        return self.state.astype(np.float32)


if "polygrad_edu/PointMass-v0" not in gymnasium.registry:  # a reloaded module registers nothing twice
    gymnasium.register("polygrad_edu/PointMass-v0", f"{__name__}:PointMass", max_episode_steps=40)
