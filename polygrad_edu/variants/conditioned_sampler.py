r"""The conditioned sampler: trajectories of which something is asked as a whole, an end or a return.

A model that steps can only be asked for what comes next. To reach a given end it must be run many times, and the run
that came nearest is kept: shooting. A model of whole trajectories can be asked directly. At each visit the denoiser
says what it sees, $\hat x_0$, and how it would change its mind if the noisy trajectory were another one. That second
answer is the covariance of what it is not sure of (Tweedie's formula, second order):

$C = \frac{1 - \bar\alpha_t}{\sqrt{\bar\alpha_t}} \, \frac{\partial \hat x_0}{\partial x_t}$

So Bayes' rule for Gaussians says what to see instead, once a reading $A x_0$ is known to be $y$ give or take
$\sigma_y$. It is the update of a Kalman filter (arXiv 2310.06721; the gradient alone is arXiv 2209.14687):

$\hat x_0 \leftarrow \hat x_0 + C A^T (A C A^T + \sigma_y^2 I)^{-1} (y - A \hat x_0)$

For Gaussian data and an exact denoiser that is exact at every visit. The actions stay the policy's own: what is asked
for tells of the states, the rewards and whatever is hidden, and not of what the policy would do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..guided_sampler import GuidedSampler, SamplerState
from ..noise_schedule import Visit
from ..replay import Normaliser
from ..trajectory_diffusion import with_first

SURE = 1e-6  # a variance in normalised units, of a reading on which the denoiser has made up its mind
NO_USE = 1e6  # the variance of a reading that says nothing
FARTHEST = 3.0  # in normalised units: no visit moves a number by more than this


@dataclass(frozen=True)
class Condition:
    """A linear reading of a normalised trajectory, and the value that it should have.

    Attributes:
        read: from trajectories [..., H, O+2] to readings [..., K].
        wanted: [B, K] for each trajectory of a batch.
        std: how far from it is still right, in the units of the reading.
    """

    read: Callable[[Tensor], Tensor]
    wanted: Tensor
    std: float = 0.01


def end_at(places: Tensor, time_point: int, normaliser: Normaliser) -> Condition:
    """The condition that the state at ``time_point`` is the one of ``places`` [B, O], raw."""
    size = places.shape[-1]
    return Condition(lambda trajectory: trajectory[..., time_point, :size], normaliser.observations.normalise(places))


def return_of(returns: Tensor, steps: int, normaliser: Normaliser) -> Condition:
    """The condition that the rewards of the first ``steps`` steps add up to ``returns`` [B], raw."""
    rewards = normaliser.rewards
    # \sum_h r_h = \sum_h (m + s \tilde r_h), so the mean of \tilde r_h is known
    mean = (returns / steps - rewards.mean) / rewards.scale
    return Condition(lambda trajectory: trajectory[..., :steps, -2].mean(dim=-1, keepdim=True), mean.reshape(-1, 1))


class ConditionedSampler(GuidedSampler):
    """A guided sampler whose trajectories meet a condition.

    Args:
        sampler: the one to be conditioned; its diffusion, walk and guidance are used as they are.
        condition: as many wanted readings as first observations are asked for.
    """

    def __init__(self, sampler: GuidedSampler, condition: Condition):
        super().__init__(sampler.diffusion, sampler.walk, sampler.guidance, sampler.normaliser)
        self.condition = condition

    def reconstruct(self, visit: Visit, state: SamplerState, normed_first: Tensor) -> Tensor:
        with torch.enable_grad():
            noisy = state.trajectory.detach().requires_grad_()
            reconstruction = super().reconstruct(visit, state._replace(trajectory=noisy), normed_first)
            reading = self.condition.read(reconstruction)  # [B, K]
            # rows of A \partial \hat x_0 / \partial x_t, one way back through the network for each number that is read
            rows = [torch.autograd.grad(read.sum(), noisy, retain_graph=True)[0] for read in reading.unbind(dim=1)]
        # A C, with C = (1 - \bar\alpha_t) / \sqrt{\bar\alpha_t} \, \partial \hat x_0 / \partial x_t
        cross = (1 - visit.signal**2) / visit.signal * torch.stack(rows, dim=1)  # [B, K, H, O+2]
        own = _positive(self.condition.read(cross))  # [B, K, K] A C A^T
        missing = self.condition.wanted - reading.detach()  # [B, K]
        before = reconstruction.detach().flatten(1)  # [B, H * (O+2)]
        # in float64: float32 cannot hold a variance of no use beside a small one, and the matrix may become singular
        seen_together = cross.flatten(2).double()  # [B, K, H * (O+2)]
        after = kalman_update(before.double(), seen_together, own, missing.double(), self.condition.std)
        after = after.to(before.dtype)
        # a learned gradient's small variance beside a large covariance would throw a trajectory out of the data
        seen = before + (after - before).clamp(-FARTHEST, FARTHEST)
        return with_first(seen.reshape_as(reconstruction), normed_first)


def kalman_update(seen: Tensor, cross: Tensor, own: Tensor, missing: Tensor, std: float) -> Tensor:
    r"""The mean of Gaussians [B, D], once a reading of each is known.

    Args:
        seen: [B, D] $\hat x_0$, the mean before.
        cross: [B, K, D] $A C$, how the reading varies with what is read.
        own: [B, K, K] $A C A^T$, how the reading varies.
        missing: [B, K] $y - A \hat x_0$, what the reading lacks.
        std: $\sigma_y$, of what is known about the reading.
    """
    known = own + std**2 * torch.eye(own.shape[-1], device=own.device)  # [B, K, K]
    # \hat x_0 + C A^T (A C A^T + \sigma_y^2 I)^{-1} (y - A \hat x_0)
    weights = torch.linalg.solve(known, missing[..., None])  # [B, K, 1]
    return seen + (weights * cross).sum(dim=1)


def _positive(covariance: Tensor) -> Tensor:
    """The covariance [B, K, K] that a learned denoiser means: symmetric, and of no use where it says less than nothing.

    Under nearly pure noise a denoiser's gradient is mostly its own error. A variance below 0 there must not move
    anything, and a large one does not.
    """
    covariance = covariance.double()
    values, vectors = torch.linalg.eigh((covariance + covariance.mT) / 2)
    values = torch.where(values > SURE, values, NO_USE)
    return vectors @ (values[..., None] * vectors.mT)
