"""Arguments of an answer: copies are handed over, and an answer that changes them in place is told so by name.

Its result is judged all the same; half of its points remain (:class:`.Judgement`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from .parts import spoil

HOW_TO_COPY = {Tensor: "{0}.clone()", np.ndarray: "{0}.copy()", list: "list({0})"}


def is_class(answer: Any) -> bool:
    """True for a class, and for the stand-in of one that lives in another process."""
    return isinstance(answer, type) or "type" in getattr(answer, "_bases", ())


def guarded(answer: Any, name: str) -> Any:
    """Answer that gets copies of tensors, arrays and lists of numbers, and whose changes to them are told.

    Args:
        answer: a function, or the stand-in of one; anything else is returned as it is.
        name: of what the student wrote, for the message.
    """
    if not callable(answer) or is_class(answer) or isinstance(answer, nn.Module):
        return answer

    def asked(*arguments: Any, **options: Any) -> Any:
        handed = [_copy(argument) for argument in arguments]
        before = [_content(argument) for argument in arguments]
        value = answer(*handed, **options)
        for argument, copy in zip(arguments, handed, strict=True):
            if isinstance(argument, Tensor) and copy.requires_grad:  # a mark that checks look for themselves
                argument.requires_grad_()
        _compare(answer, name, handed, before)
        return value

    return functools.update_wrapper(asked, answer)


def watched(network: nn.Module, name: str) -> nn.Module:
    """The same network, to which the same applies from now on whenever it is called.

    Args:
        network: the student's, or the stand-in of one.
        name: of what the student wrote, for the message.
    """
    before: list[Any] = []

    def hand_over(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        before[:] = [_content(argument) for argument in arguments]
        return tuple(_copy(argument) for argument in arguments)

    def look(_: nn.Module, handed: tuple[Any, ...], value: Any) -> None:
        _compare(network.forward, name, list(handed), before)

    network.register_forward_pre_hook(hand_over)
    network.register_forward_hook(look)
    return network


def _compare(answer: Any, name: str, handed: list[Any], before: list[Any]) -> None:
    for place, (value, content) in enumerate(zip(handed, before, strict=True)):
        if content is None or _same(_content(value), content):
            continue
        if isinstance(value, Tensor) and value.requires_grad:  # this is the caller's own
            value.data.copy_(content)
        argument = _argument(answer, place)
        copy = next(how for kind, how in HOW_TO_COPY.items() if isinstance(value, kind)).format(argument or "a")
        called = f"`{argument}`" if argument else f"number {place + 1}"
        spoil(f"Not yet: {told_to_copy(name, called, copy)}")


def told_to_copy(name: str, argument: str, copy: str) -> str:
    """Sentence for an answer that has changed an argument, with the way to copy it."""
    return (
        f"{name} changed its argument {argument} in place, and its caller still needs that. Copy it first ({copy}), or "
        "work on something new."
    )


def _copy(argument: Any) -> Any:
    """Copy of an argument; what leads a gradient back is handed over itself, or the way would end in the copy."""
    content = _content(argument)
    return argument if content is None or (isinstance(argument, Tensor) and argument.requires_grad) else content


def _content(argument: Any) -> Any:
    """Copy of what an argument holds; ``None`` for what is not compared."""
    if isinstance(argument, Tensor):
        return argument.detach().clone()
    if isinstance(argument, np.ndarray):
        return argument.copy()
    if type(argument) is list and all(type(part) in (int, float) for part in argument):
        return list(argument)
    return None


def _same(now: Any, before: Any) -> bool:
    if isinstance(now, Tensor):
        alike = now.shape == before.shape and now.dtype == before.dtype
        return alike and bool(((now == before) | (now.isnan() & before.isnan())).all())
    if isinstance(now, np.ndarray):
        return bool(np.array_equal(now, before, equal_nan=now.dtype.kind in "fc"))
    return now == before


def _argument(answer: Callable[..., Any], place: int) -> str:
    """Name that the answer gives to an argument; empty if that is not known."""
    try:
        link = getattr(answer, "_link", None)
        if link is None:
            name = list(inspect.signature(answer).parameters)[place]
        else:  # a stand-in of an answer that lives in another process
            code = link.request("get", answer._number, "__code__")  # pyright: ignore[reportFunctionMemberAccess]
            name = code.co_varnames[place]
    except Exception:  # a callable of the student's own making
        return ""
    return name if isinstance(name, str) and name.isidentifier() else ""
