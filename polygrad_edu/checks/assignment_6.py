"""Checks of assignment 6, the bug hunt: one for each report, independent of the other four bugs."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from ..course.bug_hunt import HORIZON, N_STEPS, SmallPolyGRAD
from . import given
from .arguments import is_class
from .asserting import Draw, is_a, untouched
from .properties import close, tensor

MAY_NOT_IMPORT = ()
MAY_NOT_USE = ()
LESSONS = {
    "ReportOne": "lesson 8, 'The common mistake'",
    "ReportTwo": "lesson 8, 'The loop, in plain code'",
    "ReportThree": "lesson 7, 'How far to step'",
    "ReportFour": "lesson 5, 'The package's rule, and the same as yours'",
    "ReportFive": "lesson 2, 'The way back'",
}

Program = type[SmallPolyGRAD]


def _start(program: Program, seed: int, name: str) -> SmallPolyGRAD:
    given(program, name)
    assert is_class(program), f"{name} should be a class, not a {type(program).__name__}."
    assert is_a(program, SmallPolyGRAD), f"{name} should be a SmallPolyGRAD with one method mended."
    return program(seed)


def check_ReportOne(program: Program, seed: int = 0) -> None:
    """Check how the end of an episode is stored."""
    model = _start(program, seed, "ReportOne")
    rows, episodes = model.collect(2_000)
    tensor(rows, (2_000, 4), "collect(2000), its rows,")
    assert tuple(episodes.shape) == (2_000,), (
        f"collect(2000) should say the episode of each row; yours has {len(episodes)}."
    )
    following = 0.9 * rows[:, 0] + 0.3 * rows[:, 3]
    certain = (following.abs() - 1).abs() > 1e-4
    ended = (following.abs() > 1)[certain]
    told = rows[certain, 2]
    assert ended.any(), "in 2,000 random steps the edge was never crossed; are they still taken as before?"
    assert (told[ended] == 1).all(), (
        f"of {int(ended.sum())} steps that led beyond the edge only {int(told[ended].sum())} are stored as terminal: "
        "in what the model learns from, nothing ends there."
    )
    assert (told[~ended] == 0).all(), (
        f"{int(told[~ended].sum())} steps that led nowhere near the edge are stored as terminal. Stopped by the clock "
        "is not ended."
    )
    last = torch.cat([episodes.diff() > 0, torch.tensor([False])])
    assert last[:-1][(rows[:-1, 2] == 1)].all(), "behind a terminal row the same episode goes on."
    assert close(rows[1:, 0][~last[:-1]], following[:-1][~last[:-1]]), (
        "within an episode a row's position should be where the step before it led; yours is not."
    )
    lengths = torch.bincount(episodes)
    assert lengths.max() <= 25, f"no episode is longer than 25 steps, and one of yours has {lengths.max()}."
    assert (lengths == 25).any(), "no episode reaches the clock's limit of 25 steps, although some should."


def _weights(model: SmallPolyGRAD) -> torch.Tensor:
    return nn.utils.parameters_to_vector(model.network.parameters()).detach()


def check_ReportTwo(program: Program, seed: int = 0) -> None:
    """Check that runs with the same seed are equal, and others differ."""
    _start(program, seed, "ReportTwo")
    state = torch.get_rng_state()
    runs = []
    for noise, number in ((1, seed + 5), (2, seed + 5), (1, seed + 6)):
        torch.manual_seed(1_000 * noise)  # whatever was drawn before the run began
        model = program(number)
        first = float(model.observation[0])
        actions = model.collect(5)[0][:, 3]
        runs.append((_weights(model), first, actions, model.optimiser))
    torch.set_rng_state(state)
    assert torch.equal(runs[0][0], runs[1][0]), (
        f"two runs with the seed {seed + 5} begin with other weights, depending on what was drawn before they began."
    )
    assert runs[0][1] == runs[1][1], f"two runs with the seed {seed + 5} begin in other states."
    assert torch.equal(runs[0][2], runs[1][2]), f"two runs with the seed {seed + 5} take other random actions."
    assert not torch.equal(runs[0][0], runs[2][0]), (
        f"runs with the seeds {seed + 5} and {seed + 6} begin with the same weights; is the seed used at all?"
    )
    assert not torch.equal(runs[0][2], runs[2][2]), "runs with other seeds take the same random actions."
    model = program(seed)
    before = _weights(model)
    weight = cast(Any, model.network)[0].weight
    weight.grad = torch.ones_like(weight)
    model.optimiser.step()
    assert not torch.equal(before, _weights(model)), (
        "the optimiser holds another network's weights; nothing would be learned."
    )
    assert close(model.alpha_bar[0], 1.0), "the schedule has changed."
    assert len(model.alpha_bar) == N_STEPS + 1, "the schedule has changed."


def check_ReportThree(program: Program, seed: int = 0) -> None:
    """Check the length of a gradient, and its clipping."""
    model = _start(program, seed, "ReportThree")
    draw = Draw(seed)
    shapes = [(draw.whole(2, 5), 3), (draw.whole(1, 4),), (2, 2, 2)]
    for length, limit in ((3.0, 1.0), (40.0, 0.5), (0.3, 1.0), (1.5, 1.6), (draw.number(5, 9), draw.number(1, 3))):
        parameters = [nn.Parameter(torch.zeros(shape)) for shape in shapes]
        unused = nn.Parameter(torch.zeros(2))
        raw = [draw.normal(*shape) for shape in shapes]
        whole = torch.cat([part.flatten() for part in raw]).norm()
        for parameter, part in zip(parameters, raw, strict=True):
            parameter.grad = part * length / whole
        where = f"for a gradient of length {length:.2f} over {len(shapes)} parameters and a limit of {limit:.2f}"
        told = model.clip_gradient(iter([*parameters, unused]), limit)
        after = torch.cat([cast(torch.Tensor, parameter.grad).flatten() for parameter in parameters])
        assert abs(float(given(told, "clip_gradient")) - length) < 1e-3 * length, (
            f"{where}: you report a length of {float(told):.3f}."
        )
        assert abs(after.norm() - min(length, limit)) < 1e-3 * limit, (
            f"{where}: afterwards its length should be {min(length, limit):.2f}; it is {after.norm():.3f}."
        )
        aligned = torch.dot(after, torch.cat([part.flatten() for part in raw])) / (after.norm() * whole)
        assert aligned > 0.9999, f"{where}: it should be shortened, and it has been turned as well."
    still = nn.Parameter(torch.zeros(3))
    still.grad = torch.zeros(3)
    model.clip_gradient([still], 1.0)
    assert still.grad.isfinite().all(), "a gradient of length 0 is no longer finite."


def check_ReportFour(program: Program, seed: int = 0) -> None:
    """Check the actions that guidance puts into a trajectory."""
    model = _start(program, seed, "ReportFour")
    draw = Draw(seed)
    model.mean = torch.tensor([draw.number(0.5, 1.5), -0.4, 0.1, draw.number(-1.0, -0.5)])
    model.scale = torch.tensor([draw.number(0.2, 0.5), 0.3, 0.3, draw.number(1.5, 2.5)])
    seen = draw.normal(6, HORIZON, 3)
    noise = draw.normal(6, HORIZON, 1)
    gain = draw.number(-1.0, -0.5)
    asked: list[Any] = []

    def policy(positions: torch.Tensor) -> torch.Tensor:
        asked.append(positions)
        return gain * positions

    with untouched("guide", seen=seen, noise=noise):
        actions = tensor(model.guide(seen, policy, 0.3, noise), (6, HORIZON, 1), "guide").float()
    assert asked, "the policy was not asked."
    there = seen[..., :1] * model.scale[0] + model.mean[0]
    assert close(asked[-1], there), (
        f"the policy was asked at positions around {asked[-1].mean():.2f}; on the line, the predicted ones lie around "
        f"{there.mean():.2f}. In whose units does a policy think?"
    )
    played = actions * model.scale[3] + model.mean[3]
    still = model.guide(seen, policy, 0.3, 0 * noise) * model.scale[3] + model.mean[3]
    assert close(still, gain * there), (
        "without noise the action should be the policy's mean, in the model's units of an *action*; brought back to "
        "the line yours is another."
    )
    assert close(played - still, 0.3 * noise), (
        "the policy's spread is 0.3 on the line; that of your actions, brought back there, is "
        f"{(played - still).std() / noise.std():.2f}."
    )


def check_ReportFive(program: Program, seed: int = 0) -> None:
    """Check the steps that the reverse process visits."""
    model = _start(program, seed, "ReportFive")
    steps = [int(step) for step in given(model.visits(), "visits")]
    assert len(steps) == len(set(steps)), "a step is visited twice."
    assert set(steps) <= set(range(N_STEPS)), (
        f"steps go from 0 to {N_STEPS - 1}; the way back visits {min(steps)} to {max(steps)}."
    )
    assert steps == sorted(steps, reverse=True), "the way back goes from the noisiest step to the least noisy."
    missing = sorted(set(range(N_STEPS)) - set(steps))
    assert not missing, f"step {missing[0]} hides something, and the way back never undoes it."
    clean = torch.linspace(-1, 1, 9).view(3, 3, 1)
    draw = Draw(seed)
    x = draw.normal(3, 3, 1)
    for step in steps:
        mean, spread = model.posterior(clean, x, step)
        x = mean + spread * draw.normal(3, 3, 1)
    assert close(x, clean, 1e-3), (
        "even with a network that sees everything right, the way back does not end at the clean trajectory."
    )
