"""State guidance: moving the imagined states as well as the actions.

Two ways: along the policy's score, which the paper tries and finds harmful (arXiv 2312.08533, its ablation), and along
the critic's advantage (arXiv 2604.09035). In both the actions stay the policy's own, see
:mod:`polygrad_edu.score_guidance`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F


def states_shift(
    states: Tensor, actions: Tensor, policy_at: Callable[[Tensor], Distribution], scale: float | Tensor
) -> Tensor:
    r"""Shift of normalised states [B, H, O] by ``update_states``: $\lambda \nabla_s \log \pi(a \mid s)$.

    Args:
        actions: [B, H, A] guided, before noise is added.
        policy_at: the policy as a function of normalised states.
        scale: lambda, times the number of trained steps that this visit stands for.
    """
    with torch.enable_grad():
        states = states.detach().requires_grad_()
        log_prob = policy_at(states).log_prob(actions).sum()
        return scale * torch.autograd.grad(log_prob, states)[0]  # [B, H, O]


def advantage_score(trajectory: Tensor, advantage_of: Callable[[Tensor], Tensor], scale: float) -> Tensor:
    r"""Direction in which the critic's advantages draw a normalised trajectory [B, H, O+2]; actions stay as they are.

    Sigmoid advantage guidance (arXiv 2604.09035) weighs trajectories by $\prod_t \mathrm{sigm}(\eta A_t)$. By
    classifier guidance the reverse step's mean then moves by its variance times the gradient of the
    weight's logarithm, which is taken at the predicted trajectory, where PolyGRAD takes the policy's too.

    Args:
        advantage_of: from a normalised trajectory to the advantages [B, H-1] of its steps.
        scale: eta; 0 draws nowhere.
    """
    with torch.enable_grad():
        trajectory = trajectory.detach().requires_grad_()
        # \nabla_x \sum_t \log \mathrm{sigm}(\eta A_t)
        log_weight = F.logsigmoid(scale * advantage_of(trajectory)).sum()
        return torch.autograd.grad(log_weight, trajectory)[0]  # [B, H, O+2]
