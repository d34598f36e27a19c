"""Checks of assignment 2: a denoiser and its loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .arguments import watched
from .asserting import Draw, a_tensor
from .assignment_2_loss import check_masked_loss, check_trained, check_training_step
from .parts import Property, part, worth
from .properties import close

__all__ = [
    "LESSONS",
    "MAY_NOT_IMPORT",
    "MAY_NOT_USE",
    "check_Denoiser",
    "check_masked_loss",
    "check_step_embedding",
    "check_trained",
    "check_training_step",
]

MAY_NOT_IMPORT = ("denoiser", "trajectory_diffusion")
MAY_NOT_USE = ()
LESSONS = {
    "step_embedding": "lesson 3, 'The step'",
    "Denoiser": "lesson 3, 'The network' and 'What goes in'",
}


@worth(
    waves=Property(1, "sines first, then their cosines, each turning on at its own pace"),
    fastest=Property(1, "the fastest wave has its pace"),
    slower=Property(1, "the others are slower by one factor, down to the slowest"),
)
def check_step_embedding(step_embedding: Callable[[Tensor, int, int], Tensor], seed: int = 0) -> None:
    """Check ``step_embedding(step, n_steps, size)``: waves of the step, sines first, [B, size]."""
    draw = Draw(seed)
    for n_steps, size in ((64, 8), (draw.whole(20, 40), 2 * draw.whole(3, 6)), (10, 2), (128, 4)):
        step = torch.randint(n_steps, (7,), generator=draw.generator)
        step[:2] = torch.tensor([0, 1])
        where = f"for 7 steps of {n_steps} and size {size}"
        rows = a_tensor(step_embedding(step, n_steps, size), (7, size), "step_embedding", where)
        assert rows.is_floating_point(), f"{where}: the waves should be floating-point numbers, not {rows.dtype}."
        assert rows.isfinite().all(), f"{where}: some waves are not finite; look at how many frequencies there are."
        sines, cosines = rows.detach().double().chunk(2, dim=1)  # [7, size/2] each
        turns = torch.atan2(sines[1], cosines[1])  # [size/2] radians per step
        with part("waves"):
            assert close(rows[0], torch.tensor([0.0, 1.0]).repeat_interleave(size // 2)), (
                f"{where}: at step 0 every wave is at its beginning, so the first half of the row (the sines) should "
                f"be 0 and the second half (the cosines) 1; yours is {[round(v, 2) for v in rows[0].tolist()]}."
            )
            assert close(sines.square() + cosines.square(), 1), (
                f"{where}: a sine and the cosine {size // 2} places later should belong to the same angle."
            )
        with part("fastest"):
            assert close(turns[0], 1, 1e-3), (
                f"{where}: the fastest wave should turn by one radian from a step to the next; yours turns by "
                f"{turns[0]:.3f}."
            )
        if size > 2:
            with part("slower"):
                _check_paces(turns, n_steps, where)
        with part("waves"):
            alone = step_embedding(step[3:4], n_steps, size)
            assert close(alone[0], rows[3]), f"{where}: step {step[3]} has another embedding when it stands alone."
            angles = step.double()[:, None] * turns  # [7, size/2]
            assert turns.min() > 0, f"{where}: some wave does not turn."
            assert close(rows, torch.cat([angles.sin(), angles.cos()], dim=1), 1e-2), (
                f"{where}: a wave should go on turning at the pace of its first step, and it does not."
            )


def _check_paces(turns: Tensor, n_steps: int, where: str) -> None:
    assert abs(turns[-1] * n_steps - 1) < 1e-2, (
        f"{where}: the slowest wave should turn by one radian in all {n_steps} steps together; yours turns by "
        f"{turns[-1] * n_steps:.3f}."
    )
    ratios = turns[1:] / turns[:-1]
    assert close(ratios, ratios.mean(), 1e-3), (
        f"{where}: each wave should be slower than the one before by the same factor; yours are slower by "
        f"{[round(1 / v, 2) for v in ratios.tolist()]}."
    )


def _shaken(denoiser: nn.Module, draw: Draw) -> nn.Module:
    """Shake the weights of a denoiser, so that none is zero by design."""
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter += 0.1 * draw.normal(*parameter.shape).to(parameter)
    return denoiser


@worth(
    first=Property(1, "the first observation is kept, and the noise in its place is not looked at"),
    listens=Property(1.5, "all actions, rewards, the first observation and the step count"),
    rows=Property(1, "each trajectory is seen by itself, and nothing is random"),
    learns=Property(0.5, "a gradient arrives at every parameter"),
    blocks=Property(1.5, "residual blocks of its own, one after the other"),
    precision=Property(0.5, "it works in float64"),
)
def check_Denoiser(make: Callable[..., nn.Module], seed: int = 0) -> None:
    """Check ``Denoiser(horizon, observation_size, action_size, n_steps, width, depth)`` and its ``forward``."""
    draw = Draw(seed)
    for sizes in ((5, 4, 2, 16), (draw.whole(3, 7), draw.whole(2, 6), draw.whole(1, 3), draw.whole(8, 40))):
        horizon, obs, act, n_steps = sizes
        torch.manual_seed(seed)
        denoiser = watched(_shaken(make(horizon, obs, act, n_steps, 32, 2), draw), "forward")
        noisy = draw.normal(6, horizon, obs + 2)
        actions = draw.normal(6, horizon, act)
        first = draw.normal(6, obs)
        step = torch.randint(1, n_steps, (6,), generator=draw.generator)
        inputs = (noisy, actions, step, first)
        where = f"for 6 trajectories of {horizon} time points, {obs} observations and {act} actions"
        seen = a_tensor(denoiser(*inputs), noisy.shape, "forward", where)
        assert any(True for _ in denoiser.parameters()), "a network without parameters learns nothing."
        with part("rows"):
            _check_rows(denoiser, inputs, seen)
        with part("first"):
            _check_first(denoiser, inputs, seen, obs)
        with part("listens"):
            _check_listens(denoiser, inputs, seen, obs)
        with part("learns"):
            _check_gradients(denoiser, seen)
        with part("blocks"):
            _check_blocks(make, sizes, denoiser, inputs, draw)
        with part("precision"):
            _check_precision(denoiser, inputs)


def _ask(denoiser: nn.Module, *inputs: Tensor) -> Tensor:
    """Answer of a denoiser; one that is no number would differ from every other, and so pass for one that listens."""
    return a_tensor(denoiser(*inputs), tuple(inputs[0].shape), "forward", f"for {len(inputs[0])} trajectories")


def _check_rows(denoiser: nn.Module, inputs: tuple[Tensor, ...], seen: Tensor) -> None:
    noisy, actions, step, first = inputs
    assert close(denoiser(*inputs), seen), (
        "the same input gave two different answers; nothing in this network should be random."
    )
    alone = denoiser(noisy[:2], actions[:2], step[:2], first[:2])
    assert close(alone, seen[:2]), (
        "a trajectory is seen differently when others stand beside it in the batch. Normalise within a row."
    )
    together = denoiser(noisy, actions, step[:1], first)
    assert close(together[0], seen[0]), "a step of shape [1] should serve all rows, as it does in sampling."


def _check_gradients(denoiser: nn.Module, seen: Tensor) -> None:
    if seen.requires_grad:
        seen.square().mean().backward()
    for name, parameter in denoiser.named_parameters():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        assert gradient.any(), (
            f"no gradient arrives at the parameter {name}: it would never learn. Is it used, and is the way to it "
            "free of detach() and no_grad()?"
        )


def _check_first(denoiser: nn.Module, inputs: tuple[Tensor, ...], seen: Tensor, obs: int) -> None:
    noisy, actions, step, first = inputs
    assert close(seen[:, 0, :obs], first, 1e-6), (
        "the first observation is known, so the answer should hold it exactly as it was given."
    )
    other = noisy.clone()
    other[:, 0, :obs] += 1
    assert close(denoiser(other, actions, step, first), seen), (
        "what stands in the noisy trajectory where the first observation belongs is noise about something known; "
        "your network still listens to it."
    )


def _check_listens(denoiser: nn.Module, inputs: tuple[Tensor, ...], seen: Tensor, obs: int) -> None:
    noisy, actions, step, first = inputs
    for t in range(noisy.shape[1]):
        changed = actions.clone()
        changed[:, t] += 1
        assert not close(_ask(denoiser, noisy, changed, step, first), seen, 1e-6), (
            f"another action at time point {t} changes nothing: what happens depends on all actions."
        )
        changed = noisy.clone()
        changed[:, t, obs:] += 1
        assert not close(_ask(denoiser, changed, actions, step, first), seen, 1e-6), (
            f"another noisy reward and terminal at time point {t} change nothing; only the first *observation* is "
            "known."
        )
    later = _ask(denoiser, noisy, actions, step, first + 1)[:, 1:]
    assert not close(later, seen[:, 1:], 1e-6), (
        "another first observation changes nothing of what comes later: the network is not told where it starts."
    )
    assert not close(_ask(denoiser, noisy, actions, step - 1, first), seen, 1e-6), (
        "another step changes nothing: the network cannot know how far to trust what it is shown."
    )


def _check_order_of_blocks(denoiser: nn.Module, blocks: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Check that two blocks do other things in another order: if both read the same input, they do not."""
    parts = [list(block.parameters()) for block in blocks.children()]
    shapes = [[parameter.shape for parameter in part] for part in parts]
    if len(parts) != 2 or shapes[0] != shapes[1]:
        return  # another way to build them, in which they cannot be told apart from outside
    with torch.no_grad():
        before = _ask(denoiser, *inputs)
        for one, other in zip(*parts, strict=True):
            kept = one.clone()
            one.copy_(other)
            other.copy_(kept)
        after = _ask(denoiser, *inputs)
    assert not close(before, after, 1e-6), (
        "with the two blocks in the other order the answer is the same, so both read the same input. A block should "
        "read what the one before it has passed on."
    )


def _check_blocks(
    make: Any, sizes: tuple[int, ...], denoiser: nn.Module, inputs: tuple[Tensor, ...], draw: Draw
) -> None:
    noisy, actions, step, first = inputs
    count = [sum(p.numel() for p in make(*sizes, 32, depth).parameters()) for depth in (1, 2, 3)]
    assert count[2] - count[1] == count[1] - count[0] > 0, (
        f"with 1, 2 and 3 blocks the network has {count[0]}, {count[1]} and {count[2]} parameters; each block should "
        "bring weights of its own."
    )
    wider = sum(p.numel() for p in make(*sizes, 64, 2).parameters())
    assert wider > count[1], "with twice the width the network has no more parameters than before."
    blocks = getattr(denoiser, "blocks", None)
    assert isinstance(blocks, nn.Module), "keep the residual blocks in self.blocks (a Sequential or a ModuleList)."
    saved = {name: value.clone() for name, value in denoiser.state_dict().items()}
    _check_order_of_blocks(denoiser, blocks, (noisy, actions, step, first))
    with torch.no_grad():
        denoiser.load_state_dict(saved)
        for parameter in blocks.parameters():
            parameter.zero_()
        passed = denoiser(noisy, actions, step, first)
        otherwise = denoiser(noisy + draw.normal(*noisy.shape), actions, step, first)
        denoiser.load_state_dict(saved)
    assert not close(passed[:, 1:], otherwise[:, 1:], 1e-6), (
        "with every weight of the blocks at 0 the answer no longer depends on the input. A residual block that has "
        "learned nothing passes on what came in."
    )


def _check_precision(denoiser: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    noisy, actions, step, first = inputs
    denoiser.double()
    doubled = (noisy.double(), actions.double(), step, first.double())
    try:
        answer = denoiser(*doubled)
    except RuntimeError as error:
        raise AssertionError(
            f"in float64 (denoiser.double() and such inputs) the network stops with: {error}. Some tensor in it is "
            "made in a precision of its own; let it follow the input's."
        ) from None
    assert answer.dtype == torch.float64, f"for float64 inputs the answer should be float64; yours is {answer.dtype}."
