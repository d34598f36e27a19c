"""Properties that assignments' checks ask of any answer: that there is one, an ordinary tensor, the right shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import given


def tensor(value: Any, shape: tuple[int, ...], what: str) -> Tensor:
    """Check for an ordinary finite tensor of this shape and return it in float64.

    Args:
        value: the result to check.
        shape: its shape.
        what: the call that returned it, for the message.

    Raises:
        AssertionError: it is another thing.
    """
    given(value, what)
    # the comparisons of a subclass cannot be trusted
    assert type(value) is Tensor, f"{what} should return a torch tensor, not a {type(value).__name__}."
    assert not value.is_complex(), f"{what} should return real numbers, not {value.dtype}."
    assert tuple(value.shape) == shape, f"{what} should have the shape {shape}; yours has {tuple(value.shape)}."
    value = value.detach().double()
    bad = int((~value.isfinite()).sum())
    assert bad == 0, f"{what} holds {bad} of {value.numel()} numbers that are infinite or not a number."
    return value


def call(answer: Callable[..., Any], *arguments: Any, what: str) -> Any:
    """Call ``answer(*arguments)`` and check that there is an answer.

    Raises:
        AssertionError: it is no function, or nothing was returned.
    """
    assert callable(answer), f"{what} should be a function, not a {type(answer).__name__}."
    return given(answer(*arguments), what)


def close(left: Tensor | float, right: Tensor | float, tolerance: float = 1e-4) -> bool:
    """True if two tensors or numbers agree within ``tolerance``, relative to the larger of 1 and ``right``."""
    left = torch.as_tensor(left, dtype=torch.float64)  # flags, too: of True and False there are no differences
    right = torch.as_tensor(right, dtype=torch.float64)
    return bool(((left - right).abs() <= tolerance * right.abs().clamp(min=1)).all())


def random(seed: int, *shape: int) -> Tensor:
    """Standard normal numbers, the same for the same seed and shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
