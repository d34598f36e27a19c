r"""Hidden worlds: a mass is moved by something that no observation shows, so its future is a distribution.

Importing this module registers ``polygrad_edu/WindyPointMass-v0``, ``polygrad_edu/Fork-v0``,
``polygrad_edu/GustyPointMass-v0`` and ``polygrad_edu/HiddenVelocityPendulum-v0``. In the first three, the mass has no
inertia and its position is all that is observed. In each step of length $\Delta t$ it moves by

$x_{h+1} = x_h + (u + U a_h + d_h) \, \Delta t$

with a known speed $u$, a known effect $U$ of the action, and a hidden drift $d_h$. The worlds differ in the drift:

- *windy*: drawn once, when an episode begins. Two positions and the action between them tell it, and all that follows.
- *fork*: none before the fork; there a coin is tossed, and the drift is to its side from then on.
- *gusty*: drawn anew in each step, so nothing of the past tells more than the position does.

In the fourth, a pendulum, the angle is observed, and the velocity that an episode begins with is hidden.

A first observation tells nothing about what is hidden in any of them: the future from there is known exactly, and many
true futures can be drawn (:func:`polygrad_edu.measuring.hidden_futures.real_futures`).
"""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.envs.classic_control.pendulum import PendulumEnv

EPISODE_STEPS = 16  # as many as the longest window that a world model here learns from


class HiddenWorld(gymnasium.Env, abc.ABC):
    """A world whose observation is a place on a plane, and which is moved by something that a subclass hides.

    No step is terminal: an episode is stopped after 16 steps. What is hidden when an episode begins is independent of
    the place that is shown first, and whatever explains a step can be worked out from the places.

    Attributes:
        state: the place, then whatever hidden numbers the world has.
        hidden_size: how many those are.
        drift_axes: components of :meth:`implied_drift` that can be other than 0.
    """

    metadata = {"render_modes": [], "render_fps": 10}  # noqa: RUF012 (Gymnasium's way)
    dt = 0.1  # seconds
    arena = 4.0  # metres, half the side of the square that is drawn
    action_size: ClassVar[int]
    hidden_size: ClassVar[int]
    drift_axes: ClassVar[tuple[int, ...]] = (0, 1)

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (self.action_size,), np.float32)
        self.state = np.zeros(2 + self.hidden_size)

    @abc.abstractmethod
    def _begin(self) -> tuple[np.ndarray, np.ndarray]:
        """Draw a first place [2] and, independently of it, the hidden numbers."""

    @abc.abstractmethod
    def _move(self, action: np.ndarray) -> tuple[np.ndarray, float]:
        """The state after a step with an ``action`` within its range, and the step's reward."""

    @classmethod
    @abc.abstractmethod
    def implied_drift(cls, places: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """The hidden part [..., H-1, D] that explains each step of places [..., H, 2] under actions [..., H, A].

        The places may be real or imagined. Where the hidden part is a constant, so is this along a real path.
        """

    @classmethod
    @abc.abstractmethod
    def rewards_along(cls, places: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """The rewards [..., H-1] that a path of places [..., H, 2] earns, whatever rewards were imagined beside it."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.state = np.concatenate(self._begin())
        return self._get_obs(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        action = np.clip(np.asarray(action, dtype=np.float64), -1, 1)
        self.state, reward = self._move(action)
        return self._get_obs(), reward, False, False, {}

    def _get_obs(self) -> np.ndarray:
        return self.state[:2].astype(np.float32)

    @classmethod
    def steps_before_drift(cls, place: np.ndarray) -> int:
        """Steps from a first place [2] before anything hidden acts, known in advance."""
        return 0


class PushedMass(HiddenWorld):
    """A mass on a plane without inertia, seen from above, whose hidden drift a subclass says."""

    known_speed: ClassVar[np.ndarray]  # [2] u, metres per second
    effect_of_action: ClassVar[np.ndarray]  # [2, A] U, metres per second for an action of 1

    @abc.abstractmethod
    def _drift(self, place: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The drift [2] of a step from ``place``, and the hidden numbers after it."""

    def _move(self, action: np.ndarray) -> tuple[np.ndarray, float]:
        place = self.state[:2]
        drift, hidden = self._drift(place, self.state[2:])
        # x_{h+1} = x_h + (u + U a_h + d_h) \Delta t
        following = place + (self.known_speed + self.effect_of_action @ action + drift) * self.dt
        (reward,) = self.rewards_along(np.stack([place, following]), np.stack([action, action]))
        return np.concatenate([following, hidden]), float(reward)

    @classmethod
    def implied_drift(cls, places: np.ndarray, actions: np.ndarray) -> np.ndarray:
        # d_h = (x_{h+1} - x_h) / \Delta t - u - U a_h
        pushed = np.clip(actions[..., :-1, :], -1, 1) @ cls.effect_of_action.T  # [..., H-1, 2]
        return np.diff(places, axis=-2) / cls.dt - cls.known_speed - pushed


class WindyPointMass(PushedMass):
    """Bring a mass to the middle against a wind that is constant within an episode and shown nowhere.

    The action in [-1, 1]^2 is a push. An episode begins anywhere in a square of 3 metres, with a wind of its own from a
    normal distribution in both directions. The reward is 1 in the middle and 0 at a distance of 4 metres.
    """

    known_speed = np.zeros(2)
    effect_of_action = 2.0 * np.eye(2)
    action_size = 2
    hidden_size = 2  # the wind, metres per second
    wind_std = 1.0  # metres per second, in each direction
    start = 1.5  # metres from the middle, at most, in each direction

    def _begin(self) -> tuple[np.ndarray, np.ndarray]:
        return self.np_random.uniform(-self.start, self.start, 2), self.wind_std * self.np_random.standard_normal(2)

    def _drift(self, place: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return hidden, hidden

    @classmethod
    def rewards_along(cls, places: np.ndarray, actions: np.ndarray) -> np.ndarray:
        # r_h = 1 - |x_{h+1}| / half the side
        return 1 - np.linalg.norm(places[..., 1:, :], axis=-1) / cls.arena


class GustyPointMass(WindyPointMass):
    """The control: :class:`WindyPointMass` with a wind that is drawn anew in each step, from the same distribution."""

    hidden_size = 0

    def _begin(self) -> tuple[np.ndarray, np.ndarray]:
        return self.np_random.uniform(-self.start, self.start, 2), np.zeros(0)

    def _drift(self, place: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.wind_std * self.np_random.standard_normal(2), hidden


class Fork(PushedMass):
    """Two futures, one bang: at the fork a hidden coin decides to which side the mass drifts from then on.

    The mass moves to the right at a known speed; the action in [-1, 1] pushes it up or down a little. At x = 0 a coin
    is tossed that nothing shows. Heads: it drifts up from then on. Tails: it drifts down, and as it crosses the line
    x = 1 there is a bang, a reward of -1. All other rewards are 0.
    """

    known_speed = np.array([1.5, 0.0])
    effect_of_action = np.array([[0.0], [1.0]])
    action_size = 1
    hidden_size = 1  # the coin: 0 not tossed yet, 1 up, -1 down
    drift_axes = (1,)
    drift_speed = 1.5  # metres per second, up or down
    bang_at = 1.0  # metres behind the fork

    def _begin(self) -> tuple[np.ndarray, np.ndarray]:
        before = self.np_random.uniform(-0.45, -0.15)  # two or three steps before the fork
        return np.array([before, self.np_random.uniform(-1.5, 1.5)]), np.zeros(1)

    @classmethod
    def steps_before_drift(cls, place: np.ndarray) -> int:
        return max(0, int(np.ceil(-place[0] / (cls.known_speed[0] * cls.dt))))

    def _drift(self, place: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if place[0] < 0:
            return np.zeros(2), np.zeros(1)
        coin = hidden if hidden[0] else np.array([self.np_random.choice([-1.0, 1.0])])
        return np.array([0.0, self.drift_speed * coin[0]]), coin

    @classmethod
    def rewards_along(cls, places: np.ndarray, actions: np.ndarray) -> np.ndarray:
        x = places[..., 0]
        crosses = (x[..., :-1] < cls.bang_at) & (cls.bang_at <= x[..., 1:])
        return -(crosses & (cls.implied_drift(places, actions)[..., 1] < 0)).astype(float)


class HiddenVelocityPendulum(HiddenWorld):
    r"""Gymnasium's pendulum of which only the angle is seen: the velocity that an episode begins with is hidden.

    The place is $(\cos\theta, \sin\theta)$; two of them and the action between tell the velocity. What explains a step
    is the velocity at the start of the episode, $\dot\theta_0$: what the law of motion adds on the way is taken off.
    (Above 8 radians per second Gymnasium cuts the velocity, and no start explains it; the indifferent policy hardly
    ever gets there.)
    """

    dt = 0.05  # seconds, as are all constants here Gymnasium's
    arena = 1.5
    action_size = 1
    hidden_size = 1  # the velocity, radians per second
    drift_axes = (0,)
    torque = 2.0  # newton metres of an action of 1

    def __init__(self) -> None:
        super().__init__()
        self.pendulum = PendulumEnv()

    def _begin(self) -> tuple[np.ndarray, np.ndarray]:
        angle, velocity = self.np_random.uniform((-np.pi, -1.0), (np.pi, 1.0))
        return np.array([np.cos(angle), np.sin(angle)]), np.array([velocity])

    def _move(self, action: np.ndarray) -> tuple[np.ndarray, float]:
        self.pendulum.state = np.array([np.arctan2(self.state[1], self.state[0]), self.state[2]])
        reward = self.pendulum.step(self.torque * action)[1]
        angle, velocity = self.pendulum.state
        return np.array([np.cos(angle), np.sin(angle), velocity]), float(reward)

    @classmethod
    def _motion(cls, places: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each step: the angle before it, the velocity after it, and what the law of motion added; [..., H-1]."""
        angle = np.unwrap(np.arctan2(places[..., 1], places[..., 0]), axis=-1)
        velocity = np.diff(angle, axis=-1) / cls.dt
        torque = cls.torque * np.clip(actions[..., :-1, 0], -1, 1)
        # \ddot\theta = 15 \sin\theta + 3 \tau
        return angle[..., :-1], velocity, (15 * np.sin(angle[..., :-1]) + 3 * torque) * cls.dt

    @classmethod
    def implied_drift(cls, places: np.ndarray, actions: np.ndarray) -> np.ndarray:
        # \dot\theta_0 = \dot\theta_h - \sum_{k \le h} \ddot\theta_k \Delta t
        _, velocity, added = cls._motion(places, actions)
        return (velocity - added.cumsum(axis=-1))[..., None]

    @classmethod
    def rewards_along(cls, places: np.ndarray, actions: np.ndarray) -> np.ndarray:
        angle, velocity, added = cls._motion(places, actions)
        angle = (angle + np.pi) % (2 * np.pi) - np.pi
        torque = cls.torque * np.clip(actions[..., :-1, 0], -1, 1)
        # r = -(\theta^2 + 0.1 \dot\theta^2 + 0.001 \tau^2), with the velocity before the step
        return -(angle**2 + 0.1 * (velocity - added) ** 2 + 0.001 * torque**2)


for _world in (WindyPointMass, GustyPointMass, Fork, HiddenVelocityPendulum):
    _id = f"polygrad_edu/{_world.__name__}-v0"
    if _id not in gymnasium.registry:  # a reloaded module registers nothing twice
        gymnasium.register(_id, f"{__name__}:{_world.__name__}", max_episode_steps=EPISODE_STEPS)
