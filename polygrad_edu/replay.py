"""Replay: transitions in, normalised sequences out.

The world model learns from windows of H consecutive time points. A window may run past a terminal step
(the rest is padded with an absorbing state: reward 0, terminal 1), but never from one episode into the
next, nor past the point where an episode was merely cut off. The absorbing state is the last one that an action
was taken in, as in the official code, or the one that ended the episode, where that is kept.

Built in lesson 4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from .files.input_error import InputError

SURPRISE = 100  # standard deviations from the mean, beyond which a new value makes the statistics follow at once


class Standardiser:
    """Maps values to zero mean and unit standard deviation, with statistics that follow the data.

    Statistics are merged exactly and stably, whatever the sizes of the pieces (Chan et al., 1979), so they
    equal those of all values ever given.

    A component that has never moved has no deviation to divide by. It is *read* on the scale of the others, so that
    its first step stays a number of ordinary size, and *imagined* where it has always stood.

    Args:
        size: how many components a value has.
        still_as_others: the scale of a component that has never moved: the median of those that have (1 if none has).
            Else it is ``epsilon`` as in the official code, and a value that moves at last becomes a million.
    """

    epsilon = 1e-6  # as in the official code

    def __init__(self, size: int, device: torch.device | str = "cpu", still_as_others: bool = True):
        self.size, self.still_as_others = size, still_as_others
        self.count = 0
        self.sum_of_squares = np.zeros(size)  # of deviations from the mean
        self.running_mean = np.zeros(size)
        self.lowest, self.highest = np.zeros(size), np.zeros(size)
        self.mean = torch.zeros(size, device=device)  # [size]
        self.scale = torch.ones(size, device=device) + self.epsilon  # [size]
        self.imagined_scale = self.scale.clone()  # [size], ``epsilon`` for what has never moved
        # how far from the mean any value has been, in standard deviations; before there is one, without a bound
        self.extent = torch.full((size,), torch.finfo(torch.float32).max, device=device)  # [size]

    def update(self, values: np.ndarray) -> None:
        """Merge ``values`` [N, size] into the statistics; :meth:`refresh` makes them count."""
        values = np.asarray(values, dtype=np.float64).reshape(-1, self.size)
        n = len(values)
        if n == 0:
            return
        mean = values.mean(axis=0)
        delta = mean - self.running_mean
        total = self.count + n
        seen = [self.lowest, self.highest] if self.count else []
        self.lowest = np.min([values.min(axis=0), *seen[:1]], axis=0)
        self.highest = np.max([values.max(axis=0), *seen[1:]], axis=0)
        self.sum_of_squares += ((values - mean) ** 2).sum(axis=0) + delta**2 * self.count * n / total
        self.running_mean = self.running_mean + delta * n / total
        self.count = total

    def refresh(self) -> None:
        """Use the statistics gathered so far."""
        std = self._std()
        self.set(self.running_mean, std)
        if self.count:
            self.imagined_scale[torch.as_tensor(self.lowest == self.highest)] = self.epsilon
            furthest = np.maximum(self.highest - self.running_mean, self.running_mean - self.lowest)
            self.extent.copy_(torch.as_tensor(np.maximum(furthest / (std + self.epsilon), 1.0), dtype=torch.float32))

    def _std(self) -> np.ndarray:
        """Standard deviations [size] so far, with something sensible for components that have never moved."""
        if not self.count:
            return np.ones(self.size)
        std = np.sqrt(self.sum_of_squares / self.count)
        still = self.lowest == self.highest
        if self.still_as_others and still.any():
            std[still] = 1.0 if still.all() else np.median(std[~still])
        return std

    def is_surprised(self, values: np.ndarray) -> bool:
        """True if one of ``values`` [N, size] lies far outside of all that the statistics know."""
        return bool((np.abs(values - self.running_mean) > SURPRISE * (self._std() + self.epsilon)).any())

    def set(self, mean: np.ndarray | Tensor, std: np.ndarray | Tensor) -> None:
        """Use these statistics [size] instead of those of the data, until the next :meth:`refresh`."""
        # in place, because a captured program keeps reading where they stood when it was captured
        self.mean.copy_(torch.as_tensor(np.asarray(mean), dtype=torch.float32))
        self.scale.copy_(torch.as_tensor(np.asarray(std), dtype=torch.float32)).add_(self.epsilon)
        self.imagined_scale.copy_(self.scale)

    def normalise(self, values: Tensor) -> Tensor:
        """Raw values [..., size] in standard units."""
        return (values - self.mean) / self.scale

    def denormalise(self, normed: Tensor) -> Tensor:
        """The inverse of :meth:`normalise`, except that a component which has never moved stays where it stood."""
        return normed * self.imagined_scale + self.mean


class Normaliser:
    """A :class:`Standardiser` each for observations, actions, rewards and terminals: all units change here."""

    fields = ("observations", "actions", "rewards", "terminals")

    def __init__(self, observation_size: int, action_size: int, device: torch.device | str = "cpu"):
        self.observations = Standardiser(observation_size, device)
        self.actions = Standardiser(action_size, device)
        self.rewards = Standardiser(1, device)
        self.terminals = Standardiser(1, device)

    def refresh(self) -> None:
        """Use the statistics gathered so far, of all four."""
        for field in self.fields:
            getattr(self, field).refresh()

    def normalise_trajectory(self, observations: Tensor, rewards: Tensor, terminals: Tensor) -> Tensor:
        """[B, H, O], [B, H], [B, H] in the environment's units to [B, H, O+2]."""
        parts = [
            self.observations.normalise(observations),
            self.rewards.normalise(rewards[..., None]),
            self.terminals.normalise(terminals[..., None]),
        ]
        return torch.cat(parts, dim=-1)  # [B, H, O+2]

    def denormalise_trajectory(self, trajectory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The inverse of :meth:`normalise_trajectory`."""
        observations, rewards, terminals = trajectory.split([self.observations.size, 1, 1], dim=-1)
        return (
            self.observations.denormalise(observations),  # [B, H, O]
            self.rewards.denormalise(rewards)[..., 0],  # [B, H]
            self.terminals.denormalise(terminals)[..., 0],  # [B, H]
        )


class Sequences(NamedTuple):
    """A batch of windows; ``trajectory`` and ``actions`` are normalised, ``first_observations`` are raw."""

    trajectory: Tensor  # [B, H, O+2]
    actions: Tensor  # [B, H, A]
    first_observations: Tensor  # [B, O]
    first_indices: Tensor  # [B] place in the replay


class SequenceReplay:
    """Transitions kept as flat tensors on the device, and the windows that may be drawn from them.

    Row i holds s_i, a_i, the reward of that step and whether it ended the episode. A transition can be
    drawn as soon as the H-1 that follow it are there, so a long episode teaches before it is over.
    Environments that are stepped side by side take turns: with n of them, row i is followed by row i + n.

    Args:
        capacity: maximum number of transitions; adding more raises ``IndexError``.
        normaliser: follows what is added, whenever :meth:`refresh_normaliser` is called.
        simulator_state_size: length of the simulator's state, stored beside each transition in float64 so
            that imagined actions can be replayed from it.
        n_envs: how many environments the transitions come from.
    """

    # what a checkpoint keeps
    tensors = ("observations", "actions", "rewards", "terminals", "simulator_states", "last_of_episode", "starts")
    counters = ("size", "n_starts", "episode_starts", "_normalised_size")

    def __init__(
        self,
        capacity: int,
        horizon: int,
        normaliser: Normaliser,
        simulator_state_size: int = 0,
        device: torch.device | str = "cpu",
        n_envs: int = 1,
    ):
        self.horizon = horizon
        self.device = device
        self.normaliser = normaliser
        self.n_envs = n_envs
        self.observations = torch.zeros(capacity, normaliser.observations.size, device=device)
        self.actions = torch.zeros(capacity, normaliser.actions.size, device=device)
        self.rewards = torch.zeros(capacity, device=device)
        self.terminals = torch.zeros(capacity, device=device)
        self.simulator_states = torch.zeros(capacity, simulator_state_size, dtype=torch.float64)
        # The last row of the episode that each row belongs to: windows stop there.
        self.last_of_episode = torch.zeros(capacity, dtype=torch.long, device=device)
        self.starts = torch.zeros(capacity, dtype=torch.long, device=device)
        self.size = 0
        self.n_starts = 0
        self.episode_starts = list(range(n_envs))
        self.next_observations: Tensor | None = None  # where each step led, if that is kept
        self._normalised_size = 0
        self._offsets = n_envs * torch.arange(horizon)  # from a window's first row to its others
        self._offsets_on_device = self._offsets.to(device)

    def add(
        self,
        observation: ArrayLike,
        action: ArrayLike,
        reward: ArrayLike,
        terminal: ArrayLike,
        truncated: ArrayLike,
        simulator_state: ArrayLike = (),
    ) -> None:
        """Store a transition of each environment: vectors and numbers of one, or stacks [n_envs, ...] of all.

        ``terminal`` means no future, ``truncated`` only that we stopped looking.
        """
        if self.size + self.n_envs > len(self.rewards):
            raise IndexError(f"the replay is full: it was made for {len(self.rewards)} transitions")
        new = slice(self.size, self.size + self.n_envs)
        for kept, values in (
            (self.observations, observation),
            (self.actions, action),
            (self.rewards, reward),
            (self.terminals, terminal),
            (self.simulator_states, simulator_state),
        ):
            kept[new] = torch.as_tensor(np.asarray(values), dtype=kept.dtype).reshape(self.n_envs, *kept.shape[1:])
        last = torch.arange(new.start, new.stop)[:, None]  # [n_envs, 1]
        recent = last - self._offsets  # [n_envs, H]
        own = recent >= torch.tensor(self.episode_starts)[:, None]  # not of the episode before
        self.last_of_episode[recent[own].to(self.device)] = last.expand_as(recent)[own].to(self.device)
        starts: list[int] = []
        for i, ends, stops in zip(range(new.start, new.stop), np.ravel(terminal), np.ravel(truncated), strict=True):
            starts += self._new_starts(i, bool(ends))
            if ends or stops:
                self.episode_starts[i % self.n_envs] = i + self.n_envs
        self.starts[self.n_starts : self.n_starts + len(starts)] = torch.tensor(starts, dtype=torch.long)
        self.n_starts += len(starts)
        self.size = new.stop

    def keep_next_observations(self, known: Tensor | None = None) -> None:
        """Keep where each step led, also at the end of an episode.

        Args:
            known: [capacity, O] of what the replay holds; of what is added later, :meth:`lead_to` is told.
        """
        self.next_observations = torch.zeros_like(self.observations) if known is None else known.to(self.observations)
        self.tensors = (*SequenceReplay.tensors, "next_observations")

    def lead_to(self, observations: ArrayLike) -> None:
        """Note where the latest step of each environment led, [O] or [n_envs, O], before anything was reset."""
        assert self.next_observations is not None
        reached = torch.as_tensor(np.asarray(observations), dtype=torch.float32)
        self.next_observations[self.size - self.n_envs : self.size] = reached.reshape(self.n_envs, -1)

    def check(self) -> None:
        """Raise a ValueError if what was put in from outside does not hang together."""
        rows = torch.cat([self.starts[: self.n_starts], self.last_of_episode[: self.size]])
        if not 0 <= self.n_starts <= self.size <= len(self.rewards) or not 0 <= self._normalised_size <= self.size:
            raise ValueError(f"a replay of {self.size} transitions cannot have {self.n_starts} windows")
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < self.size:
            raise ValueError("the replay's windows lead out of it")
        if not all(bool((getattr(self.normaliser, field).scale > 0).all()) for field in Normaliser.fields):
            raise ValueError("a scale of the normaliser is not positive")

    def _new_starts(self, i: int, terminal: bool) -> list[int]:
        """First rows of the windows that row i, the latest of its environment, completes."""
        begin, stride = self.episode_starts[i % self.n_envs], self.n_envs
        first = i - (self.horizon - 1) * stride
        starts = [first] if first >= begin else []
        if terminal:  # windows from the last H-1 steps run into the absorbing state
            starts += range(max(begin, first + stride), i + 1, stride)
        return starts

    def refresh_normaliser(self) -> Normaliser:
        """Let the normalisation follow all that has been added."""
        new = slice(self._normalised_size, self.size)
        for field in Normaliser.fields:
            getattr(self.normaliser, field).update(getattr(self, field)[new].cpu().numpy())
        self._normalised_size = self.size
        self.normaliser.refresh()
        return self.normaliser

    def is_surprised(self, observations: np.ndarray, rewards: np.ndarray) -> bool:
        """True if new values [n_envs, O] and [n_envs] lie far outside of what the normalisation knows."""
        parts = (self.normaliser.observations, observations), (self.normaliser.rewards, rewards[:, None])
        return any(known.is_surprised(values) for known, values in parts)

    def sample(self, batch_size: int, generator: torch.Generator) -> Sequences:
        """Draw windows uniformly; ``generator`` must live on the replay's device."""
        return self.windows(self.draw(batch_size, generator))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """First rows [n] of windows, drawn uniformly."""
        if self.n_starts == 0:
            raise InputError(f"no window of {self.horizon} steps in the replay yet: add longer or finished episodes")
        return self.starts[torch.randint(self.n_starts, (n,), generator=generator, device=self.device)]

    def windows(self, first: Tensor) -> Sequences:
        """The windows that start at rows ``first`` [B]."""
        rows = first[:, None] + self._offsets_on_device  # [B, H]
        last = self.last_of_episode[first][:, None]  # [B, 1]
        past_end = (rows > last).float()
        rows = rows.minimum(last)
        observations = self.observations[rows]  # [B, H, O]
        if self.next_observations is not None:
            observations = torch.where(past_end[..., None] > 0, self.next_observations[last], observations)
        rewards = self.rewards[rows] * (1 - past_end)
        trajectory = self.normaliser.normalise_trajectory(observations, rewards, self.terminals[rows])
        actions = self.normaliser.actions.normalise(self.actions[rows])
        return Sequences(trajectory, actions, self.observations[first], first)
