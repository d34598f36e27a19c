"""Checks of lesson 4: trajectory diffusion."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from . import given


def check_with_first(with_first: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check ``with_first(trajectory, first_observations)``: the known first observation is put back."""
    trajectory = torch.arange(2 * 3 * 5.0).reshape(2, 3, 5)
    before = trajectory.clone()
    first = -torch.ones(2, 3)
    out = given(with_first(trajectory, first), "with_first")
    assert torch.equal(trajectory, before), "the trajectory you were given was changed; change a copy of it."
    assert out.shape == before.shape, f"the shape should stay {tuple(before.shape)}; yours is {tuple(out.shape)}."
    assert torch.equal(out[:, 0, :3], first), "the first time step's observation should be the given one, in every row."
    assert torch.equal(out[:, 0, 3:], before[:, 0, 3:]), (
        "reward and terminal of the first step are not known: keep them."
    )
    assert torch.equal(out[:, 1:], before[:, 1:]), (
        "only the first time step is known; later ones should stay as they are."
    )


def check_error_by_step(error_by_step: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """Check ``error_by_step(imagined, real, scale)``: median over trajectories of the scaled mean squared error."""
    real = torch.zeros(5, 3, 2)
    scale = torch.tensor([1.0, 1.0])
    same = given(error_by_step(real, real, scale), "error_by_step")
    assert same.shape == (3,), f"three time steps should give three numbers; yours has shape {tuple(same.shape)}."
    assert torch.equal(same, torch.zeros(3)), "if the imagined is the real, the error should be 0."
    off = error_by_step(real + torch.tensor([3.0, 1.0]), real, scale)
    assert not torch.allclose(off, torch.full((3,), 10.0)), "average over an observation's numbers, do not add them up."
    assert torch.allclose(off, torch.full((3,), 5.0)), (
        f"one number off by 3, the other by 1: the mean of their squares is 5; you say {off[0]:g}."
    )
    units = error_by_step(real + 10.0, real, torch.tensor([10.0, 10.0]))
    assert torch.allclose(units, torch.ones(3)), (
        f"off by 10 where 10 is the data's own size is an error of 1; you say {units[0]:g}. Divide before squaring."
    )
    astray = real.clone()
    astray[0] = 1000.0
    assert torch.equal(error_by_step(astray, real, scale), torch.zeros(3)), (
        "one of five trajectories went far astray and decided the result; the median over trajectories would not care."
    )
    growing = torch.arange(3.0)[None, :, None].expand(5, 3, 2)
    assert torch.allclose(error_by_step(growing, real, scale), torch.tensor([0.0, 1.0, 4.0])), (
        "each time step should have its own error: off by 0, 1 and 2 in the three steps gives 0, 1 and 4."
    )
    uneven = real.clone()
    uneven[:, 0] = torch.tensor([[0.0, 2.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0], [2.0, 0.0]])
    assert torch.equal(error_by_step(uneven, real, scale)[:1], torch.tensor([2.0])), (
        "four of five trajectories have one number off by 2 and the other right, an error of 2 each: the median is 2, "
        f"and you say {error_by_step(uneven, real, scale)[0]:g}. First the mean within a trajectory, then the median "
        "over trajectories."
    )
