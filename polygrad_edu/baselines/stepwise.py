"""Imagining one step at a time: predict a state, let the policy act there, predict again.

This is what PolyGRAD does without. Its price is that every prediction is made from predictions.
"""

from __future__ import annotations

import abc
from collections.abc import Callable

import torch
from torch import Tensor

from ..imagined_trajectories import ImaginedTrajectories
from ..replay import Normaliser, Sequences
from ..score_guidance import Policy, actions_from_noise
from ..world_model import Network, WorldModel

# From normalised observations [B, O] and actions [B, A] to the next normalised observations [B, O], the
# normalised reward [B] and the probability [B] that the step ends the episode.
Predict = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


class StepwiseWorldModel(WorldModel[Network]):
    """A world model that can be asked for the next step alone, and so be stepped like an environment."""

    @abc.abstractmethod
    def predictor(self, generator: torch.Generator) -> Predict:
        """A prediction that remembers what it is called with from here on, and nothing from before.

        Args:
            generator: source of its randomness.
        """

    def imagine(
        self, first_observations: Tensor, policy: Policy, horizon: int, generator: torch.Generator | None = None
    ) -> ImaginedTrajectories:
        generator = generator or self.generator
        predict = self.predictor(generator)
        return imagine_stepwise(predict, first_observations, policy, horizon, self.normaliser, generator)


@torch.no_grad()
def imagine_stepwise(
    predict: Predict,
    first_observations: Tensor,
    policy: Policy,
    horizon: int,
    normaliser: Normaliser,
    generator: torch.Generator,
) -> ImaginedTrajectories:
    """Roll a one-step prediction out for ``horizon`` time points.

    After a terminal step nothing moves any more: the observation stays, the reward is 0, the step terminal.

    Args:
        predict: called once for each time point in order; it may remember what it was given.
        first_observations: [B, O] in the environment's units.
    """
    observation = first_observations  # [B, O]
    ended = torch.zeros_like(observation[:, 0])  # [B]
    rows = []
    for _ in range(horizon):
        distribution = policy(observation)
        noise = torch.randn(distribution.mean.shape, generator=generator, device=observation.device)
        actions = actions_from_noise(distribution, noise)  # [B, A]
        normed = normaliser.observations.normalise(observation)
        next_normed, normed_reward, ending = predict(normed, normaliser.actions.normalise(actions))
        reward = normaliser.rewards.denormalise(normed_reward[:, None])[:, 0] * (1 - ended)
        ended = torch.maximum(ended, (ending > 0.5).float())
        rows.append((observation, actions, reward, ended))
        following = normaliser.observations.denormalise(next_normed)
        observation = torch.where(ended[:, None] > 0, observation, following)
    return ImaginedTrajectories(*(torch.stack(part, dim=1) for part in zip(*rows, strict=True)))


def alive_and_ending(batch: Sequences, normaliser: Normaliser) -> tuple[Tensor, Tensor]:
    """Masks of the steps in normalised windows that still happen, and that end the episode: [B, H] each, 0 or 1."""
    ending = (normaliser.terminals.denormalise(batch.trajectory[..., -1:])[..., 0] > 0.5).float()  # [B, H]
    alive = torch.cat([torch.ones_like(ending[:, :1]), (1 - ending[:, :-1]).cumprod(dim=1)], dim=1)
    return alive, ending


def masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of ``values`` [..., D] over the rows of ``weight`` [...] that count."""
    return (values.mean(dim=-1) * weight).sum() / weight.sum().clamp(min=1)
