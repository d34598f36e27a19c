r"""Hidden worlds: a mass is moved by something that no observation shows, so its future is a distribution.

Importing this module registers ``polygrad_edu/WindyPointMass-v0``, ``polygrad_edu/Fork-v0`` and
``polygrad_edu/GustyPointMass-v0``. The mass has no inertia and its position is all that is observed. In each step of
length $\Delta t$ it moves by

$x_{h+1} = x_h + (u + U a_h + d_h) \, \Delta t$

with a known speed $u$, a known effect $U$ of the action, and a hidden drift $d_h$. The worlds differ in the drift:

- *windy*: drawn once, when an episode begins. Two positions and the action between them tell it, and all that follows.
- *fork*: none before the fork; there a coin is tossed, and the drift is to its side from then on.
- *gusty*: drawn anew in each step, so nothing of the past tells more than the position does.

A first observation tells nothing about the drift in any of them: the future from there is known exactly, and many true
futures can be drawn (:func:`polygrad_edu.measuring.futures.real_futures`).
"""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import gymnasium
import numpy as np

EPISODE_STEPS = 16  # as many as the longest window that a world model here learns from


class HiddenWorld(gymnasium.Env, abc.ABC):
    """A mass on a plane, seen from above, whose hidden drift a subclass says.

    Observes the position in metres (2 numbers). No step is terminal: an episode is stopped after 16 steps.

    Attributes:
        state: position, then whatever hidden numbers the world has.
        hidden_size: how many those are.
        drift_axes: directions in which the drift can be other than 0.
    """

    metadata = {"render_modes": [], "render_fps": 10}  # noqa: RUF012 (Gymnasium's way)
    dt = 0.1  # seconds
    arena = 4.0  # metres, half the side of the square that is drawn
    known_speed: ClassVar[np.ndarray]  # [2] u, metres per second
    effect_of_action: ClassVar[np.ndarray]  # [2, A] U, metres per second for an action of 1
    hidden_size: ClassVar[int]
    drift_axes: ClassVar[tuple[int, ...]] = (0, 1)

    def __init__(self) -> None:
        n_actions = self.effect_of_action.shape[1]
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (n_actions,), np.float32)
        self.state = np.zeros(2 + self.hidden_size)

    @abc.abstractmethod
    def _begin(self) -> tuple[np.ndarray, np.ndarray]:
        """Draw a first position [2] and, independently of it, the hidden numbers."""

    @abc.abstractmethod
    def _drift(self, position: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The drift [2] of a step from ``position``, and the hidden numbers after it."""

    @abc.abstractmethod
    def _reward(self, position: np.ndarray, following: np.ndarray, hidden: np.ndarray) -> float:
        """The reward of a step from ``position`` to ``following``."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.state = np.concatenate(self._begin())
        return self._get_obs(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        position = self.state[:2]
        action = np.clip(np.asarray(action, dtype=np.float64), -1, 1)
        drift, hidden = self._drift(position, self.state[2:])
        # x_{h+1} = x_h + (u + U a_h + d_h) \Delta t
        following = position + (self.known_speed + self.effect_of_action @ action + drift) * self.dt
        self.state = np.concatenate([following, hidden])
        return self._get_obs(), self._reward(position, following, hidden), False, False, {}

    def _get_obs(self) -> np.ndarray:
        return self.state[:2].astype(np.float32)

    @classmethod
    def implied_drift(cls, positions: np.ndarray, actions: np.ndarray) -> np.ndarray:
        r"""The drift [..., H-1, 2] that explains positions [..., H, 2] under actions [..., H, A], real or imagined."""
        # d_h = (x_{h+1} - x_h) / \Delta t - u - U a_h
        pushed = np.clip(actions[..., :-1, :], -1, 1) @ cls.effect_of_action.T  # [..., H-1, 2]
        return np.diff(positions, axis=-2) / cls.dt - cls.known_speed - pushed

    @classmethod
    def steps_before_drift(cls, position: np.ndarray) -> int:
        """Steps from a first position [2] before anything hidden acts, known in advance."""
        return 0


class WindyPointMass(HiddenWorld):
    """Bring a mass to the middle against a wind that is constant within an episode and shown nowhere.

    The action in [-1, 1]^2 is a push. An episode begins anywhere in a square of 3 metres, with a wind of its own from a
    normal distribution in both directions. The reward is 1 in the middle and 0 at a distance of 4 metres.
    """

    known_speed = np.zeros(2)
    effect_of_action = 2.0 * np.eye(2)
    hidden_size = 2  # the wind, metres per second
    wind_std = 1.0  # metres per second, in each direction
    start = 1.5  # metres from the middle, at most, in each direction

    def _begin(self) -> tuple[np.ndarray, np.ndarray]:
        return self.np_random.uniform(-self.start, self.start, 2), self.wind_std * self.np_random.standard_normal(2)

    def _drift(self, position: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return hidden, hidden

    def _reward(self, position: np.ndarray, following: np.ndarray, hidden: np.ndarray) -> float:
        # r = 1 - |x'| / half the side
        return 1 - float(np.linalg.norm(following)) / self.arena


class GustyPointMass(WindyPointMass):
    """The control: :class:`WindyPointMass` with a wind that is drawn anew in each step, from the same distribution."""

    hidden_size = 0

    def _begin(self) -> tuple[np.ndarray, np.ndarray]:
        return self.np_random.uniform(-self.start, self.start, 2), np.zeros(0)

    def _drift(self, position: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.wind_std * self.np_random.standard_normal(2), hidden


class Fork(HiddenWorld):
    """Two futures, one bang: at the fork a hidden coin decides to which side the mass drifts from then on.

    The mass moves to the right at a known speed; the action in [-1, 1] pushes it up or down a little. At x = 0 a coin
    is tossed that nothing shows. Heads: it drifts up from then on. Tails: it drifts down, and as it crosses the line
    x = 1 there is a bang, a reward of -1. All other rewards are 0.
    """

    known_speed = np.array([1.5, 0.0])
    effect_of_action = np.array([[0.0], [1.0]])
    hidden_size = 1  # the coin: 0 not tossed yet, 1 up, -1 down
    drift_axes = (1,)
    drift_speed = 1.5  # metres per second, up or down
    bang_at = 1.0  # metres behind the fork

    def _begin(self) -> tuple[np.ndarray, np.ndarray]:
        before = self.np_random.uniform(-0.45, -0.15)  # two or three steps before the fork
        return np.array([before, self.np_random.uniform(-1.5, 1.5)]), np.zeros(1)

    @classmethod
    def steps_before_drift(cls, position: np.ndarray) -> int:
        return max(0, int(np.ceil(-position[0] / (cls.known_speed[0] * cls.dt))))

    def _drift(self, position: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if position[0] < 0:
            return np.zeros(2), np.zeros(1)
        coin = hidden if hidden[0] else np.array([self.np_random.choice([-1.0, 1.0])])
        return np.array([0.0, self.drift_speed * coin[0]]), coin

    def _reward(self, position: np.ndarray, following: np.ndarray, hidden: np.ndarray) -> float:
        return -float(position[0] < self.bang_at <= following[0] and hidden[0] < 0)


for _world in (WindyPointMass, GustyPointMass, Fork):
    _id = f"polygrad_edu/{_world.__name__}-v0"
    if _id not in gymnasium.registry:  # a reloaded module registers nothing twice
        gymnasium.register(_id, f"{__name__}:{_world.__name__}", max_episode_steps=EPISODE_STEPS)
