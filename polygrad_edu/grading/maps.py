"""Calls of the other process within ``torch.func.vmap``: one for each entry, whose answers are then mapped as well.

A tensor within a map stands for all entries at once; it has no numbers of its own that a message could hold.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch._C._functorch as mapping  # nothing public tells of tensors within a map
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

from .distributions import made_of, parts_of


def call(request: Callable[..., Any], number: int, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """Ask the other process for a call of its object ``number``; within maps once for each entry.

    Args:
        request: of a :class:`.link.Link`.
        number: of the object.
        arguments: by position.
        options: by name.
    """
    given = [*arguments, *options.values()]
    if not any(_is_mapped(value) for value in given):
        return request("call", number, list(arguments), dict(options))
    answers: list[Any] = []
    with temporarily_clear_interpreter_stack():  # what both processes share would else become part of the map
        maps = [_maps_of(value) for value in given]
        sizes = {level: size for each in maps for level, size in each.sizes.items()}
        levels = sorted(sizes)
        for places in itertools.product(*(range(sizes[level]) for level in levels)):
            at = dict(zip(levels, places, strict=True))
            entry = [
                each.tensor[tuple(at[level] for level in each.sizes)] if each.sizes else each.tensor for each in maps
            ]
            named = dict(zip(options, entry[len(arguments) :], strict=True))
            answers.append(request("call", number, entry[: len(arguments)], named))
        shape = [sizes[level] for level in levels]
        whole = _joined(answers, lambda parts: torch.stack(parts).unflatten(0, shape))

    def mapped(parts: list[Tensor]) -> Tensor:
        return functools.reduce(lambda value, level: mapping._add_batch_dim(value, 0, level), levels, parts[0])

    return _joined([whole], mapped)


def _is_mapped(value: Any) -> bool:
    """True for a tensor within a map, also if ``torch.func.grad`` has wrapped it, but does not ask for its gradient."""
    if not isinstance(value, Tensor) or not mapping.is_functorch_wrapped_tensor(value):
        return False
    if mapping.is_gradtrackingtensor(value):
        return not value.requires_grad and _is_mapped(mapping.get_unwrapped(value))
    return mapping.is_batchedtensor(value)


class Mapped(NamedTuple):
    """Value, and if it is a tensor within maps, the whole one with their axes first."""

    tensor: Any
    sizes: dict[int, int]  # of these axes, by the level of the map, rising


def _maps_of(value: Any) -> Mapped:
    if not _is_mapped(value):
        return Mapped(value, {})
    inner = _maps_of(mapping.get_unwrapped(value))
    if mapping.is_gradtrackingtensor(value):
        return inner
    place = len(inner.sizes)
    whole = inner.tensor.movedim(mapping.maybe_get_bdim(value) + place, place)
    return Mapped(whole, inner.sizes | {mapping.maybe_get_level(value): whole.shape[place]})


def _joined(answers: list[Any], join: Callable[[list[Tensor]], Tensor]) -> Any:
    """Answer of which each tensor is that of all ``answers``."""
    first = answers[0]
    if isinstance(first, Tensor):
        return join(answers)
    if type(first) in (list, tuple):
        return type(first)(_joined(list(each), join) for each in zip(*answers, strict=True))
    if parts_of(first) is None:
        return first
    parts = zip(*(parts_of(answer) or () for answer in answers), strict=True)
    return made_of(type(first).__name__, [_joined(list(each), join) for each in parts])
