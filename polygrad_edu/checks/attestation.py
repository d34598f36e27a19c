"""What a grader learns from inside a student's kernel: which checks passed, and whether anybody tampered with them.

The grader calls :func:`begin` with a key before any of the student's code runs, and :func:`report` after each test. A
report is signed with the key, so that printing one like it is no use, and says what changed since the beginning: a
check or a function of torch that was replaced, a check that an empty answer passes.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, cast

import torch

OTHERS = (
    "builtins", "math", "hmac", "hashlib", "json", "functools", "torch", "torch.nn", "torch.nn.functional",
    "torch.linalg", "torch.autograd", "torch.distributions", "torch.testing", "numpy",
)  # fmt: skip
MARK = "polygrad-edu witness "


def note(exercise: str, seed: int) -> None:
    """A check has passed. Nobody is listening outside of a grader."""


def report(nonce: str) -> None:
    """Print what passed since the last report and what was changed, signed; without :func:`begin` nothing."""


def begin(key: str, checks: str) -> None:
    """Start listening.

    Args:
        key: signs the reports; this module does not keep it where it can be found by name.
        checks: the module of the checks, ``"assignment_1"``.
    """
    global note, report
    importlib.import_module(f"polygrad_edu.checks.{checks}")
    verdict = importlib.import_module("polygrad_edu.checks").verdict
    passed: list[tuple[str, int]] = []
    sign, digest, dump, say = hmac.new, hashlib.sha256, json.dumps, print

    def note(exercise: str, seed: int) -> None:
        passed.append((exercise, seed))

    def report(nonce: str) -> None:
        changed = [name for name, value in before.items() if now(name) != value and not _by_torch(now(name)[0])]
        since, passed[:] = list(passed), []
        asleep = [one for one in {one: 0 for one, _ in since} if verdict(one, _empty, seed=0) == "Right."]
        told = dump({"nonce": nonce, "passed": since, "changed": changed[:20], "asleep": asleep})
        say(MARK + sign(key.encode(), told.encode(), digest).hexdigest() + " " + told)

    names = dict(_watched())
    before: dict[str, tuple[Any, ...]] = {}

    def now(name: str) -> tuple[Any, ...]:
        holder, attribute = names[name]
        if attribute == "*":
            return tuple(method for method, what in vars(holder).items() if callable(what))
        return _identity(vars(holder).get(attribute))

    before.update((name, now(name)) for name in names if name.split(".")[-1] not in ("note", "report"))


def read_report(text: str, key: str, nonce: str) -> dict[str, Any] | None:
    """The report in what a kernel printed, if there is one with this nonce that is signed with the key."""
    for line in text.splitlines():
        signature, _, told = line.removeprefix(MARK).partition(" ")
        right = hmac.new(key.encode(), told.encode(), hashlib.sha256).hexdigest()
        if line.startswith(MARK) and hmac.compare_digest(signature.encode(), right.encode()):
            content = json.loads(told)
            if content["nonce"] == nonce:
                return content
    return None


def _empty(*arguments: Any, **options: Any) -> None:
    """An answer that is right nowhere."""


def _watched() -> Iterator[tuple[str, tuple[Any, str]]]:
    """(name, where it is kept) of all that a check may call: functions, classes and the methods of those in between."""
    classes: set[type] = set()  # a class is known to many modules
    for module_name, module in list(cast(dict[str, Any], sys.modules).items()):  # a program may put anything there
        own = module_name.startswith("polygrad_edu")
        if not isinstance(module, ModuleType) or not (own or module_name in OTHERS):
            continue
        for name, value in list(vars(module).items()):
            if not callable(value) or (not own and name.startswith("_")):
                continue
            yield f"{module_name}.{name}", (module, name)
            if isinstance(value, type) and value not in classes and (own or name in ("Tensor", "Module", "Generator")):
                classes.add(value)
                for method in ["*", *(method for method, what in vars(value).items() if callable(what))]:
                    yield f"{value.__module__}.{value.__qualname__}.{method}", (value, method)  # * for the list of them


def _identity(value: Any) -> tuple[Any, ...]:
    """What is the same as long as nobody touched it: the object, and of a function its code and defaults."""
    if isinstance(value, FunctionType):
        return (value, value.__code__, value.__defaults__)
    return (value,)


def _by_torch(value: Any) -> bool:
    """Whether a function comes from a file of torch, which wraps one of its own when its compiler is loaded."""
    home = str(Path(torch.__file__).parent)
    return isinstance(value, FunctionType) and value.__code__.co_filename.startswith(home)
