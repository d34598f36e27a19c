"""Stand-ins for what lives in the other process: objects, functions, networks, and results that have a gradient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .maps import call


class Link(Protocol):
    """Way to the other process.

    Attributes:
        side: whose end this is: checks or student.
    """

    side: str

    def request(self, what: str, *parts: Any) -> Any:
        """Ask the other process for something, and wait for its answer."""
        ...


class Remote:
    """Object of the other process; reading an attribute, an item or the length of it asks there.

    In the student's process a method of it is asked for once: the checks' own objects keep theirs.

    Args:
        link: to the other process.
        number: of the object there.
        bases: names of the package's classes that it is, or is derived from.
    """

    def __init__(self, link: Link, number: int, bases: list[str]):
        self.__dict__.update({"_link": link, "_number": number, "_bases": bases})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = self._link.request("get", self._number, name)
        if isinstance(value, RemoteCallable) and self._link.side == "student":
            self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        self._link.request("set", self._number, name, value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._link.request("items", self._number))

    def __getitem__(self, key: Any) -> Any:
        return self._link.request("item", self._number, key)

    def __len__(self) -> int:
        return self._link.request("length", self._number)

    def __bool__(self) -> bool:
        return True


class RemoteCallable(Remote):
    """Function or class of the other process."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return call(self._link.request, self._number, arguments, options)


class RemoteModule(nn.Module):
    """Network of the other process, with the same parameters and buffers under the same names.

    Its parameters are copies that follow those of the other process, and these follow them: before each message, what
    has changed on one side is told to the other. Called, it asks the other process.
    """

    def __init__(self, link: Link, number: int, bases: list[str]):
        super().__init__()
        self.__dict__.update({"_link": link, "_number": number, "_bases": bases})

    def forward(self, *arguments: Any, **options: Any) -> Any:
        return call(self._link.request, self._number, arguments, options)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_"):
                raise
            return self._link.request("get", self._number, name)

    def __getitem__(self, index: int) -> nn.Module:
        return list(self.children())[index]

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[nn.Module]:
        return self.children()

    def __deepcopy__(self, memo: dict[int, Any]) -> RemoteModule:
        return self._link.request("copy", self._number)


class Linked(torch.autograd.Function):
    """Result of the other process whose gradient is worked out there."""

    # forward and what it keeps for backward are apart, because torch.func wants them so

    @staticmethod
    def forward(link: Link, key: str, value: list[Tensor], keys: list[str], *leaves: Tensor) -> Tensor:
        return value[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.link, ctx.key, _, ctx.keys, *_ = inputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        # the first of the leaves only makes the result one that has a gradient
        found = ctx.link.request("gradient", ctx.key, ctx.keys, gradients[0])
        return (None, None, None, None, None, *found)
