"""Values that both processes have: tensors, arrays and lists that follow what the other side does to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class Shared:
    """Tensor, array or list that both sides have, and what the other side knows of it."""

    def __init__(self, value: Any, scoped: bool):
        self.value = value
        self.scoped = scoped  # dropped when the call that it is an argument of has ended
        self.note()

    def note(self) -> None:
        """Take the present state for known."""
        self.known = self._state()

    def _state(self) -> tuple[Any, Tensor | None, bool]:
        value = self.value
        if isinstance(value, Tensor):
            grad = value.grad if value.is_leaf else None
            return value.detach().clone(), None if grad is None else grad.detach().clone(), value.requires_grad
        return (value.copy() if isinstance(value, np.ndarray) else list(value)), None, False

    def has_changed(self) -> bool:
        """True if something has happened since :meth:`note`."""
        value, grad, requires_grad = self.known
        now = self.value
        if not isinstance(now, Tensor):
            return not (np.array_equal(now, value) if isinstance(now, np.ndarray) else now == value)
        new = now.grad if now.is_leaf else None
        same = _same(now.detach(), value) and (new is None) == (grad is None) and now.requires_grad == requires_grad
        return not same or (new is not None and grad is not None and not _same(new.detach(), grad))

    def become(self, value: Any, grad: Tensor | None, requires_grad: bool) -> None:
        """Take over the other side's state."""
        mine = self.value
        if isinstance(mine, Tensor):
            if mine.shape == value.shape and mine.dtype == value.dtype:
                mine.data.copy_(value)
            else:
                mine.data = value
            if mine.is_leaf:
                mine.requires_grad_(requires_grad)
                mine.grad = grad
        elif isinstance(mine, np.ndarray):
            mine[...] = value
        else:
            mine[:] = value
        self.note()


def _same(left: Tensor, right: Tensor) -> bool:
    return left.dtype == right.dtype and torch.equal(left, right)
