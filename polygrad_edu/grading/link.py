"""Link: two processes that ask each other for things, each waiting for its answer, over a pair of pipes."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Generator
from typing import Any, cast

import torch
from torch import Tensor, nn

from .crossing import Crossing
from .failures import Failure, as_exception, describe
from .wire import BrokenWireError, receive, send


class Link(Crossing):
    """One end of the link.

    Args:
        side: a letter, another one at the other end.
        reader: file descriptor that the other end's messages come from.
        writer: file descriptor that this end's messages go to.
        may_use: judges an attribute that the other end asks for: the object, and the attribute's name.

    Attributes:
        services: name -> function that the other end may call, beyond those of every link.
        failure: first failed assertion of this end's own code while it served the other end.
        waited: seconds that this end has waited for messages, not counting the wait that it is in.
    """

    def __init__(self, side: str, reader: int, writer: int, may_use: Callable[[Any, str], bool]):
        super().__init__(side)
        self.reader = reader
        self.writer = writer
        self.may_use = may_use
        self.depth = 0
        self.busy = False  # with a message, which an interrupt must not cut in two
        self.interrupted = False
        self.failure: AssertionError | None = None
        self.waited = 0.0
        self.waits_since: float | None = None
        self.services: dict[str, Callable[..., Any]] = {
            "call": self._call,
            "get": self._get,
            "items": self._items,
            "item": lambda number, key: self.mine[number][key],
            "length": lambda number: len(self.mine[number]),
            "gradient": self._gradient,
            "copy": self._copy,
        }

    def request(self, what: str, *parts: Any) -> Any:
        """Ask the other end, and serve it until it has answered.

        Raises:
            Exception: of the other end, under its name.
            BrokenWireError: the other end has gone, or talks nonsense.
        """
        number = next(self.numbers)
        known = set(self.shared)
        self._send({"ask": what, "number": number, "grad": torch.is_grad_enabled()}, list(parts), what == "call")
        arguments = set(self.shared) - known
        while True:
            content, tensors = self._receive()
            if "ask" in content:
                self._serve(content, tensors)
            elif content.get("answer") == number:
                break
        answer = self._understand(content.get("body"), tensors)
        self.drop(arguments)
        if self.failure is not None and not self.depth:
            failure = self.failure
            self.failure = None
            raise failure
        if "failed" in content:
            raise as_exception(Failure(*(str(part) for part in content["failed"])))
        return answer

    def serve_once(self) -> None:
        """Wait for one request and answer it."""
        content, tensors = self._receive(idle=True)
        if "ask" in content:
            self._serve(content, tensors)

    def _serve(self, content: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        known = set(self.shared)
        parts = cast(list[Any], self._understand(content.get("body"), tensors))
        arguments = set(self.shared) - known
        self.depth += 1
        answer: dict[str, Any] = {"answer": content.get("number")}
        body: Any = None
        try:
            with torch.set_grad_enabled(bool(content.get("grad"))):
                body = self.services[str(content["ask"])](*parts)
        except BrokenWireError:
            raise
        except BaseException as error:  # the student's code may raise anything
            if isinstance(error, AssertionError) and self.failure is None:
                self.failure = error
            answer["failed"] = describe(error)
        finally:
            self.depth -= 1
        try:
            self._send(answer, body)
        except Exception as error:  # too large, within itself, or of a kind that no message holds: nothing was sent
            self._send(answer | {"failed": describe(error)}, None)
        self.drop(arguments)

    def _send(self, content: dict[str, Any], body: Any, share: bool = False) -> None:
        self.tensors = {}
        content["body"] = self.encode(body, share)
        with self._undivided():
            content["changes"] = self.changes()
            send(self.writer, content, self.tensors)

    def _receive(self, idle: bool = False) -> tuple[dict[str, Any], dict[str, Tensor]]:
        with self._undivided(), _understood(), self._waiting():
            content, tensors = receive(self.reader)
            self.apply(content["changes"], tensors)
            if idle:  # an interrupt that came before this message was meant for what had just ended
                self.interrupted = False
        return cast(dict[str, Any], content), tensors

    @contextlib.contextmanager
    def _waiting(self) -> Generator[None, None, None]:
        self.waits_since = begin = time.monotonic()
        try:
            yield
        finally:
            self.waits_since = None
            self.waited += time.monotonic() - begin

    def seconds_waited(self) -> float:
        """Time that this end has waited for the other so far; another thread may ask."""
        waited, since = self.waited, self.waits_since
        return waited + (time.monotonic() - since if since is not None else 0.0)

    def _understand(self, told: Any, tensors: dict[str, Tensor]) -> Any:
        with _understood():
            return self.decode(told, tensors)

    @contextlib.contextmanager
    def _undivided(self) -> Generator[None, None, None]:
        """Context in which an interrupt waits for its end."""
        self.busy = True
        try:
            yield
        finally:
            self.busy = False
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt

    # --- what each end does for the other ---------------------------------------------------------------------------

    def _call(self, number: int, arguments: list[Any], options: dict[str, Any]) -> Any:
        return self.mine[number](*arguments, **options)

    def _get(self, number: int, name: str) -> Any:
        if not self.may_use(self.mine[number], name):
            raise AttributeError(f"{name} of this {type(self.mine[number]).__name__} is not for answers to use")
        return getattr(self.mine[number], name)

    def _items(self, number: int) -> list[Any]:
        return list(self.mine[number])

    def _copy(self, number: int) -> nn.Module:
        if not isinstance(self.mine[number], nn.Module):
            raise TypeError("only networks can be copied")
        return copy.deepcopy(self.mine[number])

    def _gradient(self, key: str, keys: list[str], gradient: Tensor) -> list[Tensor | None]:
        """Gradient of a result that was handed over, with respect to shared tensors."""
        result = self.linked[key]
        leaves = [self.shared[each].value for each in keys]
        return list(torch.autograd.grad(result, leaves, gradient, retain_graph=True, allow_unused=True))


@contextlib.contextmanager
def _understood() -> Generator[None, None, None]:
    """Context in which a message that cannot be understood ends the link."""
    try:
        yield
    except Exception as error:
        raise BrokenWireError(f"a message that says nothing: {type(error).__name__}: {error}") from error
