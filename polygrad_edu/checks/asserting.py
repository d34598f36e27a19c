"""Helpers of the assignments' checks: inputs drawn from a seed, and assertions with sentences for the student."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from . import given
from .arguments import told_to_copy
from .properties import tensor


class Draw:
    """Random inputs of a check; another seed gives other numbers and other shapes."""

    def __init__(self, seed: int):
        self.generator = torch.Generator().manual_seed(1_000 + seed)

    def whole(self, low: int, high: int) -> int:
        """Draw a whole number from ``low`` to ``high``, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def number(self, low: float, high: float) -> float:
        """Draw a number between ``low`` and ``high``."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers."""
        return torch.randn(*shape, generator=self.generator)

    def uniform(self, *shape: int) -> Tensor:
        """Draw numbers between 0 and 1."""
        return torch.rand(*shape, generator=self.generator)

    def ends(self, batch: int, horizon: int) -> Tensor:
        """Draw terminal flags [B, H]: an end in two of three rows, and meaningless flags after it in some."""
        flags = torch.zeros(batch, horizon)
        for row in range(batch):
            if row % 3:
                flags[row, self.whole(0, horizon - 2)] = 1
            if row % 3 == 2:
                flags[row, -1] = 1
        return flags


def a_tensor(answer: Any, shape: tuple[int, ...], what: str, where: str) -> Tensor:
    """Check for an ordinary finite tensor of this shape; return it unchanged, with its dtype and gradient."""
    given(answer, what)
    tensor(answer, tuple(shape), f"{what} {where}")
    return answer


def two(answer: Any, wanted: str) -> tuple[Any, Any]:
    """Check for two parts and return them; ``wanted`` says which they should be."""
    given(answer, wanted.split()[0])
    assert isinstance(answer, tuple | list), f"{wanted}; yours is a {type(answer).__name__}."
    assert len(answer) == 2, f"{wanted}; yours has {len(answer)} parts."
    return answer[0], answer[1]


def a_number(answer: Any, what: str) -> float:
    """Check for a single number and return it as a float."""
    given(answer, what)
    try:
        assert torch.as_tensor(answer).numel() == 1
    except (AssertionError, TypeError, ValueError, RuntimeError):
        raise AssertionError(f"{what} should return a single number.") from None
    return float(answer)


def place(wrong: Tensor) -> tuple[int, ...]:
    """Index of the first true value."""
    return tuple(wrong.nonzero()[0].tolist())


@contextmanager
def untouched(what: str, **inputs: Tensor) -> Generator[None, None, None]:
    """Context that fails if one of the named ``inputs`` has changed at its end."""
    before = {name: value.detach().clone() for name, value in inputs.items()}
    yield
    for name, value in inputs.items():
        assert torch.equal(value.detach().nan_to_num(), before[name].nan_to_num()), told_to_copy(
            what, f"`{name}`", f"{name}.clone()"
        )


@contextmanager
def own_randomness(what: str) -> Generator[None, None, None]:
    """Context that fails if torch's global random state has changed at its end."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state()), (
        f"{what} drew from torch's global random numbers. Draw from the generator it is given: only then does the "
        "same generator lead to the same result, whatever else was drawn before."
    )


def is_a(answer: Any, base: type) -> bool:
    """True for an object of the package's class ``base``, for a class derived from it, and for stand-ins of either."""
    if base.__name__ in getattr(answer, "_bases", ()):
        return True
    return issubclass(answer, base) if isinstance(answer, type) else isinstance(answer, base)


def fails_with(kind: type[Exception], call: Callable[[], Any]) -> bool:
    """True if ``call`` raises an error of this kind."""
    try:
        call()
    except kind:
        return True
    return False
