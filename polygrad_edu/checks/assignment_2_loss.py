"""Checks of assignment 2, second half: the loss, the update, and the trained denoiser."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..course.point_mass_data import ALPHAS, HORIZON, left_unexplained, point_mass_windows
from . import given
from .asserting import Draw, a_number, own_randomness
from .parts import Property, part, worth
from .properties import close

LESSONS = {
    "masked_loss": "lesson 3, 'What comes out, and the loss'",
    "training_step": "lesson 3, 'What goes in', and lesson 2, 'All the steps in one jump'",
    "trained": "lesson 3",
}


@worth(
    squares=Property(0.5, "it is 0 where all is right, and grows with the square of the error"),
    given=Property(1, "the first observation, which is given, costs nothing, and all else does", ("squares",)),
    real=Property(1, "time points that are not real cost nothing", ("squares",)),
    garbage=Property(0.5, "what is no number there spoils nothing", ("real",)),
    mean=Property(1, "the mean is over the scored numbers alone, and so is the gradient", ("squares",)),
)
def check_masked_loss(masked_loss: Callable[[Tensor, Tensor, Tensor, int], Tensor], seed: int = 0) -> None:
    """Check ``masked_loss(prediction, clean, real, observation_size)``: mean over the numbers to be predicted."""
    draw = Draw(seed)
    for batch, horizon, obs, dtype in (
        (4, 5, 3, torch.float32),
        (draw.whole(3, 9), draw.whole(4, 8), 2, torch.float64),
    ):
        clean = draw.normal(batch, horizon, obs + 2).to(dtype)
        lengths = torch.arange(batch) % horizon + 1  # [B] from a single real time point on
        real = torch.arange(horizon) < lengths[:, None]  # [B, H]
        scored = real[..., None].repeat(1, 1, obs + 2)
        scored[:, 0, :obs] = False  # [B, H, O+2]
        prediction = clean + draw.normal(*clean.shape).to(dtype)
        told = a_number(masked_loss(prediction, clean, real, obs), "masked_loss")

        def cost(error: Tensor, clean: Tensor = clean, real: Tensor = real, obs: int = obs) -> float:
            return float(masked_loss(clean + error, clean, real, obs))

        nothing = torch.zeros_like(clean)
        of_first = nothing.clone()
        of_reward = nothing.clone()
        after = nothing.clone()
        of_first[:, 0, :obs] = 3
        of_reward[:, 0, obs] = 3
        after[~real] = 3
        with part("squares"):
            assert abs(a_number(masked_loss(clean, clean, real, obs), "masked_loss")) < 1e-9, (
                "a perfect prediction should cost 0."
            )
            assert abs(cost(-2 * torch.ones_like(clean)) / max(cost(torch.ones_like(clean)), 1e-12) - 4) < 1e-3, (
                "with every error twice as large the loss should be four times as large."
            )
        with part("given"):
            assert abs(cost(of_first)) < 1e-9, "an error in the first observation, which is given, should cost nothing."
            assert cost(of_reward) > 1e-6, "an error in the first *reward*, which is not given, costs nothing."
        with part("real"):
            assert abs(cost(after)) < 1e-9, "an error at a time point that is not real should cost nothing; it does."
        with part("mean"):
            assert abs(cost(nothing + 0.5) - 0.25) < 1e-4, (
                "where every number is off by 0.5 the mean squared error is 0.25, however many numbers are not scored; "
                f"yours is {cost(nothing + 0.5):.4f}. Over how many numbers is the mean?"
            )
            wanted = (prediction - clean).square()[scored].mean()
            assert abs(told - wanted) < 1e-4 * wanted, (
                f"with {lengths.tolist()} real time points in the rows each scored *number* should count the same; "
                "some of yours count more than others."
            )
        leaf = prediction.clone().requires_grad_()
        with part("garbage"):
            loss = masked_loss(leaf.masked_fill(~real[..., None], float("nan")), clean, real, obs)
            assert torch.as_tensor(loss).detach().isfinite(), (
                "a number that is not a number at a time point that is not real spoils the whole loss. Zero times that "
                "is not zero: choose, do not multiply."
            )
        with part("mean"):
            loss = masked_loss(leaf, clean, real, obs)
            assert torch.as_tensor(loss).requires_grad, "no gradient leads back from the loss to the prediction."
            (gradient,) = torch.autograd.grad(loss, leaf)
            assert bool((gradient[~scored] == 0).all()), "some numbers that are not scored still have a gradient."
            assert bool((gradient[scored] != 0).all()), "some numbers that are scored have no gradient."


class _Recorder(nn.Module):
    """Denoiser that predicts the same number everywhere and records its inputs."""

    def __init__(self, value: float):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))
        self.shown: list[tuple[Tensor, ...]] = []

    def forward(self, noisy: Tensor, actions: Tensor, step: Tensor, first: Tensor) -> Tensor:
        self.shown.append((noisy.detach().clone(), actions.detach().clone(), step.clone(), first.detach().clone()))
        return self.value.expand_as(noisy)


def _mean_square(prediction: Tensor, clean: Tensor, real: Tensor, observation_size: int) -> Tensor:
    return ((prediction - clean).square() * real[..., None]).mean()


@worth(
    loss=Property(0.5, "the answer is compared with the clean trajectory, and that loss is reported"),
    update=Property(1, "one step of the optimiser, along this batch's gradient alone"),
    steps=Property(1, "every row draws a step of its own, any of them"),
    shown=Property(1.5, "what the denoiser is shown: noise of its step, actions weakened alike, the clean first"),
)
def check_training_step(training_step: Callable[..., Any], seed: int = 0) -> None:
    """Check ``training_step(denoiser, optimiser, loss, alphas_cumprod, trajectory, actions, real, generator)``."""
    draw = Draw(seed)
    n_steps = 6 + seed % 5
    batch = 64
    alphas = torch.linspace(0.95, 0.05, n_steps)
    trajectory = draw.normal(batch, 5, 5) + 1
    actions = draw.normal(batch, 5, 2)
    real = torch.ones(batch, 5, dtype=torch.bool)
    denoiser = _Recorder(0.5)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.SGD(denoiser.parameters(), lr=0.1)
    arguments = (denoiser, optimiser, _mean_square, alphas, trajectory, actions, real, generator)
    with own_randomness("training_step"):
        for update in range(40):
            before = denoiser.value.item()
            told = a_number(training_step(*arguments), "training_step")
            assert len(denoiser.shown) == update + 1, "each update should ask the denoiser once."
            with part("loss"):
                wanted = (before - trajectory).square().mean().item()
                assert abs(told - wanted) < 1e-3, (
                    f"the denoiser said {before:.3f} everywhere, which costs {wanted:.3f} measured against the clean "
                    f"trajectory; yours reports {told:.3f}. What is its answer compared with?"
                )
            with part("update"):
                moved = denoiser.value.item() - before
                assert moved != 0 or abs(before - trajectory.mean()) < 1e-4, "the optimiser took no step."
                slope = 2 * (before - trajectory.mean().item())
                assert abs(moved + 0.1 * slope) < 1e-3, (
                    f"in update {update + 1} the parameter moved by {moved:.3f}; this batch's gradient alone would "
                    f"move it by {-0.1 * slope:.3f}. Is a gradient of an earlier update still there?"
                )
    shown = [torch.stack(each) for each in itertools.islice(zip(*denoiser.shown, strict=True), 4)]
    noisy, scaled, step, first = shown  # [40, B, ...] each
    with part("steps"):
        assert step.shape[1:] == (batch,), (
            f"each of the {batch} rows should have a step; yours has the shape {tuple(step.shape[1:])}."
        )
        assert not step.is_floating_point(), "steps are whole numbers."
        assert set(step.flatten().tolist()) <= set(range(n_steps)), (
            f"steps go from 0 to {n_steps - 1}; yours reach {step.min()} and {step.max()}."
        )
        assert (step[0] != step[0, 0]).any(), "all rows of a batch stand at the same step; let each row draw its own."
        missing = sorted(set(range(n_steps)) - set(step.flatten().tolist()))
        assert not missing, (
            f"in 40 batches of {batch} step {missing[0]} of {n_steps} was never drawn, so it is never learned."
        )
    with part("shown"):
        assert close(first, trajectory[:, 0, :3].expand_as(first)), (
            "the denoiser should be given the *clean* first observation."
        )
        _check_noise(noisy, scaled, alphas[step], trajectory, actions)
    again = []
    for _ in range(2):
        denoiser = _Recorder(0.5)
        generator = torch.Generator().manual_seed(seed + 1)
        optimiser = torch.optim.SGD(denoiser.parameters(), lr=0.1)
        training_step(denoiser, optimiser, _mean_square, alphas, trajectory, actions, real, generator)
        again.append(denoiser.shown[0][0])
    assert torch.equal(*again), "the same generator led to two different updates; something is drawn from elsewhere."


def _check_noise(noisy: Tensor, scaled: Tensor, alpha: Tensor, trajectory: Tensor, actions: Tensor) -> None:
    alpha = alpha[..., None, None]  # [40, B, 1, 1]
    centred = trajectory - trajectory.mean(0)
    signal = (noisy * centred).mean((0, 1))[1:] / centred.square().mean(0)[1:]  # [H-1, O+2]
    share = alpha.sqrt().mean()
    assert abs(signal.mean() - share) < 0.05, (
        f"of the clean trajectory {share:.2f} should be left on average at these steps; in what you show the denoiser "
        f"it is {signal.mean():.2f}."
    )
    noise = ((noisy - alpha.sqrt() * trajectory) / (1 - alpha).sqrt())[:, :, 1:]  # [40, B, H-1, O+2]
    assert not close(noise[0], noise[1]), "two updates in a row used the same noise."
    assert not close(noise[0, 0], noise[0, 1]), "all rows of a batch were given the same noise."
    assert max(abs(noise.mean()), abs(noise.std() - 1)) < 0.03, (
        f"the noise, in units of what its step should bring, has the mean {noise.mean():.2f} and the standard "
        f"deviation {noise.std():.2f}; it should be standard normal."
    )
    per_step = (noise.square().mean((2, 3)).flatten() - 1).abs()
    assert per_step.max() < 2.5, "at some steps the noise is much too strong."
    assert close(scaled, alpha.sqrt() * actions, 1e-4), (
        "the actions should come in weakened as the trajectory is, and without noise; yours do not."
    )


def check_trained(denoiser: nn.Module, seed: int = 0) -> None:
    """Check a trained denoiser on new point masses: most of the variance must be explained, at two diffusion steps."""
    given(denoiser, "trained")
    data = point_mass_windows(400, 500 + seed)
    bars = ((len(ALPHAS) // 2, 0.03), (len(ALPHAS) - 2, 0.12))
    for step, max_left in bars:
        left = left_unexplained(denoiser, data, step, seed)
        assert left < max_left, (
            f"on 400 trajectories of {HORIZON} time points that it never saw, with {ALPHAS[step]:.1%} of the signal "
            f"left, your denoiser leaves {left:.1%} of the observations' variance unexplained; at most {max_left:.0%} "
            "is asked for. Does the loss still fall when training ends? Lesson 3 shows how to ask whether it listens "
            "to the actions."
        )
    weights = [parameter.detach().clone() for parameter in denoiser.parameters()]
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.zero_()
    empty = [left_unexplained(denoiser, data, step, seed) < max_left for step, max_left in bars]
    with torch.no_grad():
        for parameter, value in zip(denoiser.parameters(), weights, strict=True):
            parameter.copy_(value)
    assert not any(empty), (
        "with all its weights at 0 your denoiser explains as much as before: what it knows is not in its weights, so "
        "it did not learn it."
    )
