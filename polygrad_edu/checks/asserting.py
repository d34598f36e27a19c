"""What the assignments' checks have in common: inputs drawn from a seed, and assertions that speak in sentences."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from . import given
from .properties import tensor


class Draw:
    """Random inputs of a check: another seed gives other numbers, and other shapes."""

    def __init__(self, seed: int):
        self.generator = torch.Generator().manual_seed(1_000 + seed)

    def whole(self, least: int, most: int) -> int:
        """A whole number, both ends included."""
        return int(torch.randint(least, most + 1, (), generator=self.generator))

    def number(self, least: float, most: float) -> float:
        return least + (most - least) * float(torch.rand((), generator=self.generator))

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator)

    def ends(self, batch: int, horizon: int) -> Tensor:
        """Flags [B, H] with an end in two of three rows, and garbage flags behind it in some."""
        flags = torch.zeros(batch, horizon)
        for row in range(batch):
            if row % 3:
                flags[row, self.whole(0, horizon - 2)] = 1
            if row % 3 == 2:
                flags[row, -1] = 1
        return flags


def a_tensor(answer: Any, shape: tuple[int, ...], what: str, where: str) -> Tensor:
    """``answer`` as it is, with its dtype and its gradient, if it is an ordinary finite tensor of that shape."""
    given(answer, what)
    tensor(answer, tuple(shape), f"{what} {where}")
    return answer


def two(answer: Any, wanted: str) -> tuple[Any, Any]:
    """The two parts of ``answer``; ``wanted`` says which they should be."""
    given(answer, wanted.split()[0])
    assert isinstance(answer, tuple | list), f"{wanted}; yours is a {type(answer).__name__}."
    assert len(answer) == 2, f"{wanted}; yours has {len(answer)} parts."
    return answer[0], answer[1]


def a_number(answer: Any, what: str) -> float:
    """``answer`` as a number, if it is a single one."""
    given(answer, what)
    try:
        assert torch.as_tensor(answer).numel() == 1
    except (AssertionError, TypeError, ValueError, RuntimeError):
        raise AssertionError(f"{what} should return a single number.") from None
    return float(answer)


def place(wrong: Tensor) -> tuple[int, ...]:
    """Where the first true value stands."""
    return tuple(wrong.nonzero()[0].tolist())


@contextmanager
def untouched(what: str, **inputs: Tensor) -> Generator[None, None, None]:
    """Fails if one of the named ``inputs`` is another one afterwards."""
    before = {name: value.detach().clone() for name, value in inputs.items()}
    yield
    for name, value in inputs.items():
        assert torch.equal(value.detach().nan_to_num(), before[name].nan_to_num()), (
            f"{what} changed its argument {name}. Whoever called it still needs that: work on a new tensor."
        )


@contextmanager
def own_randomness(what: str) -> Generator[None, None, None]:
    """Fails if torch's global random state is another one afterwards."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state()), (
        f"{what} drew from torch's global random numbers. Draw from the generator it is given: only then does the "
        "same generator lead to the same result, whatever else was drawn before."
    )


def fails_with(kind: type[Exception], call: Callable[[], Any]) -> bool:
    """Whether ``call`` raises such an error."""
    try:
        call()
    except kind:
        return True
    return False
