r"""The chance that a state ended the episode: a network that pays for every number of the state it looks at.

Endings are rare: 140 among the first 10,000 steps of Walker2d, each a state of 17 numbers. A network fits these 140 and
learns nothing from them. With the plain cross-entropy it found 95% of the endings in the replay and gave more than half
of those that the policy met next a probability below 0.1. So the imagined robot does not fall, and a policy looks for
the falls that the model does not know.

What ends an episode is simple: a height or an angle out of range. The group lasso (Yuan and Lin, 2006) says so with one
term: the weights that leave one number of the state are a group, and the sum of the groups' lengths is a price. A
length, unlike its square, pulls as hard on a small group as on a large one, so that groups which do not help go to zero
and their numbers are not looked at any more.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PRICE = 3e-3  # of a length of 1, in units of the cross-entropy


class EndingMLP(nn.Sequential):
    """From a state, normalised, to the log-odds that the step to it ended the episode: [..., O] to [..., 1].

    Args:
        observation_size: O.
        width: of both hidden layers.
    """

    def __init__(self, observation_size: int, width: int = 128):
        super().__init__(
            nn.Linear(observation_size, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, 1),
        )

    def attention(self) -> Tensor:
        """Length of the weights that leave each number of a state, [O]; 0 where it is not looked at."""
        return torch.linalg.vector_norm(cast(nn.Linear, self[0]).weight, dim=0)

    def loss(self, states: Tensor, ended: Tensor) -> Tensor:
        """Cross-entropy of endings, and the price of what is looked at.

        Args:
            states: [..., O] normalised.
            ended: [...] 1 where the step to the state ended the episode, else 0.
        """
        # L = -E[ e log p(s) + (1 - e) log(1 - p(s)) ] + \lambda \sum_i ||W_i||
        unlikeliness = F.binary_cross_entropy_with_logits(self(states)[..., 0], ended)
        return unlikeliness + PRICE * self.attention().sum()
