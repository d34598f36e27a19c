"""Attestation: signed reports from a student's kernel about the checks that passed and anything tampered with.

The grader calls :func:`begin` with a key before any of the student's code runs, and :func:`report` after each test. A
report is signed with the key, so printing a similar one is no use. It says what changed since the beginning: a check or
a function of torch that was replaced, or a check that an empty answer passes.
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

OTHER_MODULES = (
    "builtins",
    "math",
    "hmac",
    "hashlib",
    "json",
    "functools",
    "torch",
    "torch.nn",
    "torch.nn.functional",
    "torch.linalg",
    "torch.autograd",
    "torch.distributions",
    "torch.testing",
    "numpy",
)
MARK = "polygrad-edu attestation "


def note(exercise: str, seed: int) -> None:
    """Record that a check has passed; does nothing until :func:`begin`, so outside of a grader."""


def report(nonce: str) -> None:
    """Print a signed line: checks passed since the last report, and what was changed; nothing until :func:`begin`."""


def begin(key: str, checks: str) -> None:
    """Start recording: replace :func:`note` and :func:`report` with functions that work.

    Args:
        key: signs the reports; it is kept only in a closure, where no name leads to it.
        checks: the module of the checks, ``"assignment_1"``.
    """
    global note, report
    importlib.import_module(f"polygrad_edu.checks.{checks}")
    verdict = importlib.import_module("polygrad_edu.checks").verdict
    passed: list[tuple[str, int]] = []
    # kept here, so that replacing them later changes nothing
    sign = hmac.new
    digest = hashlib.sha256
    dump = json.dumps
    say = print

    def note(exercise: str, seed: int) -> None:
        passed.append((exercise, seed))

    def report(nonce: str) -> None:
        changed = [name for name, value in before.items() if now(name) != value and not _by_torch(now(name)[0])]
        since = list(passed)
        passed.clear()
        asleep = [one for one in {one: 0 for one, _ in since} if verdict(one, _empty, seed=0) == "Right."]
        content = dump({"nonce": nonce, "passed": since, "changed": changed[:20], "asleep": asleep})
        say(MARK + sign(key.encode(), content.encode(), digest).hexdigest() + " " + content)

    names = dict(_watched())
    before: dict[str, tuple[Any, ...]] = {}

    def now(name: str) -> tuple[Any, ...]:
        holder, attribute = names[name]
        if attribute == "*":
            return tuple(method for method, value in vars(holder).items() if callable(value))
        return _identity(vars(holder).get(attribute))

    before.update((name, now(name)) for name in names if name.split(".")[-1] not in ("note", "report"))


def read_report(text: str, key: str, nonce: str) -> dict[str, Any] | None:
    """Report with this nonce in the output of a kernel, if there is one that is signed with the key.

    Returns:
        ``passed``: pairs [exercise, seed]; ``changed``: names of what was replaced; ``asleep``: exercises whose check
        passes an empty answer; and ``nonce``.
    """
    for line in text.splitlines():
        signature, _, printed = line.removeprefix(MARK).partition(" ")
        right = hmac.new(key.encode(), printed.encode(), hashlib.sha256).hexdigest()
        if line.startswith(MARK) and hmac.compare_digest(signature.encode(), right.encode()):
            content = json.loads(printed)
            if content["nonce"] == nonce:
                return content
    return None


def _empty(*arguments: Any, **options: Any) -> None:
    """Answer that no working check passes."""


def _watched() -> Iterator[tuple[str, tuple[Any, str]]]:
    """Pairs (name, (holder, attribute)) of all that a check may call: functions, classes and some classes' methods.

    The attribute ``*`` stands for the list of a class's methods.
    """
    classes: set[type] = set()  # a class is known to many modules
    for module_name, module in list(cast(dict[str, Any], sys.modules).items()):  # a program may put anything there
        own = module_name.startswith("polygrad_edu")
        if not isinstance(module, ModuleType) or not (own or module_name in OTHER_MODULES):
            continue
        for name, value in list(vars(module).items()):
            if not callable(value) or (not own and name.startswith("_")):
                continue
            yield f"{module_name}.{name}", (module, name)
            if isinstance(value, type) and value not in classes and (own or name in ("Tensor", "Module", "Generator")):
                classes.add(value)
                for method in ["*", *(method for method, member in vars(value).items() if callable(member))]:
                    yield f"{value.__module__}.{value.__qualname__}.{method}", (value, method)


def _identity(value: Any) -> tuple[Any, ...]:
    """Fingerprint that changes when a value is replaced: the object itself, and a function's code and defaults."""
    if isinstance(value, FunctionType):
        return (value, value.__code__, value.__defaults__)
    return (value,)


def _by_torch(value: Any) -> bool:
    """True for a function from a file of torch, which wraps one of its own when its compiler is loaded."""
    home = str(Path(torch.__file__).parent)
    return isinstance(value, FunctionType) and value.__code__.co_filename.startswith(home)
