"""Checks of lesson 3: the denoiser."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..denoiser import FourierStepFeatures
from . import given


def check_step_features(step_features: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]) -> None:
    """Check ``step_features(step, frequencies, unit)``: the step itself, then sines, then cosines."""
    frequencies = torch.tensor([0.25, -1.3, 0.7])
    step = torch.tensor([0, 1, 6, 40])
    out = given(step_features(step, frequencies, 1.0), "step_features")
    assert torch.is_tensor(out), f"step_features should return a tensor, not a {type(out).__name__}."
    assert out.shape == (4, 7), (
        f"for 4 steps and 3 frequencies the shape should be (4, 7), the step itself and two numbers for each "
        f"frequency; yours is {tuple(out.shape)}."
    )
    for unit in (1.0, 1 / 64):
        out = step_features(step, frequencies, unit)
        features = FourierStepFeatures(n_frequencies=3, unit=unit)
        features.frequencies.copy_(frequencies)
        wanted = features(step)
        assert torch.allclose(out[:, 0], wanted[:, 0], atol=1e-4), (
            f"the first column should be the step in units of {unit:.3g}; at step 6 yours is {out[2, 0]:.3g}."
        )
        assert torch.allclose(out[0, 1:], wanted[0, 1:], atol=1e-4), (
            f"at step 0 all sines are 0 and all cosines 1; your row there is {[round(v, 2) for v in out[0].tolist()]}. "
            "The sines come first."
        )
        if unit == 1.0:
            assert abs(out[1, 1] - 1) < 1e-3, (
                "a frequency of 1/4 should have gone a quarter of its way round at step 1, where a sine is 1; "
                f"yours is {out[1, 1]:.2f}. How long is a whole way round?"
            )
        assert torch.allclose(out, wanted, atol=1e-3), (
            f"with the unit {unit:.3g} the waves are off, though they begin well at step 0. Does every frequency meet "
            "every step, and does the unit reach the waves, too?"
        )


def check_denoiser_input(denoiser_input: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Check ``denoiser_input(trajectory, actions, alpha_bar, noise, observation_size)``: the network's input."""
    draws = torch.Generator().manual_seed(0)
    trajectory = torch.randn(3, 5, 6, generator=draws)
    noise = torch.randn(3, 5, 6, generator=draws)
    actions = torch.randn(3, 5, 2, generator=draws)
    alpha_bar = torch.tensor([0.9, 0.5, 0.04])
    before = trajectory.clone(), actions.clone()
    answer = given(denoiser_input(trajectory, actions, alpha_bar, noise, 4), "denoiser_input")
    two_things = isinstance(answer, tuple) and len(answer) == 2
    assert two_things, "denoiser_input should return two things: the noisy trajectory and the scaled actions."
    noisy, scaled = answer
    unchanged = torch.equal(trajectory, before[0]) and torch.equal(actions, before[1])
    assert unchanged, "the trajectory or the actions that were given came back changed; leave them as they are."
    assert noisy.shape == trajectory.shape, f"a trajectory {tuple(trajectory.shape)} became {tuple(noisy.shape)}."
    assert scaled.shape == actions.shape, f"actions {tuple(actions.shape)} became {tuple(scaled.shape)}."
    share = alpha_bar[:, None, None]
    hidden = share.sqrt() * trajectory + (1 - share).sqrt() * noise
    assert torch.allclose(noisy[:, 1:], hidden[:, 1:], atol=1e-5), (
        "after the first time point the trajectory is not noised as in lesson 2; look at the two weights, and at "
        "whether each row has its own alpha_bar."
    )
    assert torch.allclose(noisy[:, 0, :4], trajectory[:, 0, :4]), (
        "the first observation is known when imagining; in yours there is noise on it, or it is scaled."
    )
    assert torch.allclose(noisy[:, 0, 4:], hidden[:, 0, 4:], atol=1e-5), (
        "at the first time point only the observation is known, not the reward and the ending (the last two columns)."
    )
    ratio = (scaled / actions).mean(dim=(1, 2))
    assert torch.allclose(scaled, ratio[:, None, None] * actions, atol=1e-4), (
        "the actions are more than scaled: is there noise on them?"
    )
    assert not torch.allclose(ratio, alpha_bar, atol=1e-4), (
        "the actions are multiplied by alpha_bar, which is a share of the *variance*: where 0.04 of it is left, the "
        "actions themselves should be 0.2 times as large."
    )
    assert torch.allclose(ratio, alpha_bar.sqrt(), atol=1e-4), (
        f"where a share {alpha_bar[2]:.2f} of the trajectory's variance is left, the same should be left of the "
        f"actions'; in yours it is {ratio[2] ** 2:.2f}."
    )


def check_denoising_loss(denoising_loss: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]) -> None:
    """Check ``denoising_loss(answer, trajectory, observation_size)``: squared error but of the first observation."""
    trajectory = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(1))
    loss = torch.as_tensor(given(denoising_loss(trajectory.clone(), trajectory, 4), "denoising_loss"))
    assert loss.ndim == 0, f"a loss is one number; yours has the shape {tuple(loss.shape)}."
    assert loss == 0, f"for a perfect answer the loss should be 0; yours is {float(loss):.3g}."
    answer = trajectory.clone()
    answer[:, 0, :4] += 3.0
    before = answer.clone(), trajectory.clone()
    loss = denoising_loss(answer, trajectory, 4)
    unchanged = torch.equal(answer, before[0]) and torch.equal(trajectory, before[1])
    assert unchanged, "the answer or the trajectory that was given came back changed; leave them as they are."
    assert loss == 0, (
        f"an answer wrong only in the first observation should cost nothing; yours costs {float(loss):.3g}."
    )
    answer = trajectory.clone()
    answer[:, 0, 4:] -= 3.0
    assert denoising_loss(answer, trajectory, 4) > 0, (
        "the reward and the ending at the first time point are not given, but a wrong answer there costs nothing."
    )
    answer = trajectory.clone()
    answer[:, 3, 1] -= 1.0
    assert denoising_loss(answer, trajectory, 4) > 0, "an answer too small at time 3 costs nothing or less."
    answer[:, 3, 1] -= 1.0
    loss = float(denoising_loss(answer, trajectory, 4))
    assert abs(loss - 4 / 30) < 1e-5, (
        "of the 30 numbers of each trajectory one is off by 2, so the mean over all of them should be 4 / 30 = 0.133; "
        f"yours is {loss:.3g}."
    )
