"""Crossing of values between the checks and a student's process: one set of rules, both ways, for all assignments.

- **By value**: numbers, texts, lists, tuples, dictionaries, arrays and tensors, distributions, named tuples.
- **Shared**: tensors, arrays and lists among the arguments of a call, parameters, and random generators. Each side has
  a copy; what one side changes is told to the other with the next message.
- **By number**: everything else (functions, classes, networks, objects) stays where it is; the other side gets a
  stand-in (:mod:`.remote`) that asks for it.
- A tensor that was computed and has a gradient crosses with its value; the way back from it to the shared tensors is
  asked for when it is needed.
"""

from __future__ import annotations

import abc
import collections
import importlib
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from .distributions import made_of, parts_of
from .remote import Linked, Remote, RemoteCallable, RemoteModule
from .shared import Shared

MAX_RANGE = 1_000_000  # numbers of a range that crosses
# named tuples of the package; others come out as tuples with the same names
NAMED_TUPLES = {
    "Plan": "polygrad_edu.course.loop_parts",
    "Parts": "polygrad_edu.course.loop_parts",
    "ImaginedTrajectories": "polygrad_edu.imagined_trajectories",
    "Windows": "polygrad_edu.course.point_mass_data",
}


class Crossing(abc.ABC):
    """Tables of what both sides know, and the translation of values into messages and back.

    Args:
        side: a letter, another one on each side, so that both can give names.
    """

    def __init__(self, side: str):
        self.side = side
        self.numbers = itertools.count()
        self.random_state: Tensor | None = None
        self.anchor = torch.zeros((), requires_grad=True)
        self.forget()

    @abc.abstractmethod
    def request(self, what: str, *parts: Any) -> Any:
        """Ask the other side for something, and wait for its answer."""

    def forget(self) -> None:
        """Empty the tables; stand-ins given out before are of no use any more."""
        self.shared: dict[str, Shared] = {}
        self.linked: dict[str, Tensor] = {}
        self.keys: dict[int, str] = {}  # id of a shared or linked object -> its key
        self.generators: dict[str, tuple[torch.Generator, Tensor]] = {}
        self.mine: dict[int, Any] = {}
        self.number_of: dict[int, int] = {}
        self.theirs: dict[int, Any] = {}
        self.tensors: dict[str, Tensor] = {}

    # --- out --------------------------------------------------------------------------------------------------------

    def encode(self, value: Any, share: bool = False) -> Any:
        """Translate a value for a message; its tensors are put into :attr:`tensors`.

        Args:
            value: anything.
            share: tensors, arrays and lists are arguments, which the other side may change.
        """
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, np.generic):
            return self.encode(value.item())
        if type(value) in (int, float):
            return value
        if isinstance(value, Remote | RemoteModule):
            return {"yours": value._number}
        if isinstance(value, Tensor):
            return self._encode_tensor(value, share)
        if isinstance(value, np.ndarray):
            return self._encode_array(value, share)
        if isinstance(value, torch.Generator):
            return {"generator": self._pair_generator(value)}
        if isinstance(value, nn.Module):
            return self._encode_module(value)
        simple = self._encode_collection(value, share)
        return self._by_number(value) if simple is None else simple

    def _encode_collection(self, value: Any, share: bool) -> Any:
        """Collections, and a few kinds of constants; ``None`` for anything else."""
        if value is ...:
            return {"ellipsis": True}
        if type(value) is list:
            if share and value and all(type(part) in (int, float) for part in value):
                return {"list": self._pair(value, True), "items": list(value)}
            return [self.encode(part, share) for part in value]
        if isinstance(value, tuple):
            parts = [self.encode(part, share) for part in value]
            if hasattr(value, "_fields"):
                return {"named": type(value).__name__, "fields": list(cast(Any, value)._fields), "parts": parts}
            return {"tuple": parts}
        if type(value) in (dict, collections.defaultdict, collections.OrderedDict):
            return {"dict": [[self.encode(key), self.encode(part, share)] for key, part in value.items()]}
        if isinstance(value, set | frozenset):
            return {"set": [self.encode(part) for part in value]}
        if isinstance(value, range):
            return {"range": [value.start, value.stop, value.step]}
        if isinstance(value, slice):
            return {"slice": [value.start, value.stop, value.step]}
        if isinstance(value, torch.dtype):
            return {"dtype": str(value).removeprefix("torch.")}
        if isinstance(value, torch.device):
            return {"device": str(value)}
        parts = parts_of(value)
        if parts is not None:
            return {"distribution": type(value).__name__, "parts": [self.encode(part) for part in parts]}
        if self.side == "checks" and isinstance(value, Iterator):  # a student's own stays where it is
            return {"iterator": [self.encode(part, share) for part in cast(Iterable[Any], value)]}
        return None

    def _put(self, value: Tensor) -> str:
        """Put a tensor into the message; return its name there."""
        name = str(len(self.tensors))
        self.tensors[name] = value
        return name

    def _encode_tensor(self, value: Tensor, share: bool) -> Any:
        if id(value) in self.keys:
            return {"same": self.keys[id(value)]}
        if type(value) not in (Tensor, nn.Parameter) or value.layout != torch.strided or value.is_meta:
            return self._by_number(value)
        told: dict[str, Any] = {"tensor": self._put(torch.view_as_real(value) if value.is_complex() else value)}
        if value.is_complex():
            return told | {"complex": True}
        if value.requires_grad and not value.is_leaf:
            key = f"{self.side}{next(self.numbers)}"
            self.linked[key] = value
            self.keys[id(value)] = key
            return told | {"linked": key}
        if value.requires_grad or share:
            told |= {"shared": self._pair(value, not value.requires_grad), "grad": value.requires_grad}
            if isinstance(value, nn.Parameter):
                told["parameter"] = True
            if value.grad is not None:
                told["its_grad"] = self._put(value.grad)
        return told

    def _encode_array(self, value: np.ndarray, share: bool) -> Any:
        try:
            told = {"array": self._put(torch.from_numpy(np.array(value))), "shape": list(value.shape)}
        except TypeError:  # of objects, texts or dates
            return self._by_number(value)
        return told | ({"shared": self._pair(value, True)} if share else {})

    def _encode_module(self, module: nn.Module) -> Any:
        """Network: its tree of parts, each with a number, and the tensors in them."""
        if id(module) in self.number_of:
            return {"known": self.number_of[id(module)]}
        tree = [[name, self._number(part), *_kind(part)] for name, part in module.named_modules()]
        tensors = [[name, False, self.encode(part, True)] for name, part in module.named_parameters()]
        for name, part in module.named_buffers():
            tensors.append([name, True, self._encode_tensor(part, True)])
            if id(part) in self.keys:
                self.shared[self.keys[id(part)]].scoped = False
        for part in module.parameters():  # frozen ones are kept as well
            self.shared[self.keys[id(part)]].scoped = False
        return {"module": tree, "tensors": tensors}

    def _number(self, value: Any) -> int:
        """Number of an object that stays on this side."""
        if id(value) not in self.number_of:
            number = next(self.numbers)
            self.mine[number] = value
            self.number_of[id(value)] = number
        return self.number_of[id(value)]

    def _by_number(self, value: Any) -> Any:
        return {"object": self._number(value), "callable": callable(value), "kind": _kind(value)}

    def _pair(self, value: Any, scoped: bool) -> str:
        """Key of a tensor, array or list that is shared from now on."""
        if id(value) not in self.keys:
            key = f"{self.side}{next(self.numbers)}"
            self.keys[id(value)] = key
            self.shared[key] = Shared(value, scoped)
        return self.keys[id(value)]

    def _pair_generator(self, generator: torch.Generator) -> str:
        for key, (known, _) in self.generators.items():
            if known is generator:
                return key
        key = f"{self.side}{next(self.numbers)}"
        self.generators[key] = (generator, torch.empty(0, dtype=torch.uint8))
        return key

    def changes(self) -> dict[str, Any]:
        """Changes on this side since the last message: shared values, gradients, random states."""
        told: list[Any] = []
        for key, shared in self.shared.items():
            if not shared.has_changed():
                continue
            value = shared.value
            shared.note()
            _, grad, requires_grad = shared.known
            if isinstance(value, np.ndarray):
                value = torch.from_numpy(value.copy())
            sent = self._put(value) if isinstance(value, Tensor) else self.encode(value)
            told.append([key, sent, None if grad is None else self._put(grad), requires_grad])
        states: list[Any] = []
        for key, (generator, known) in self.generators.items():
            state = generator.get_state()
            if not torch.equal(state, known):
                self.generators[key] = (generator, state)
                states.append([key, self._put(state)])
        found: dict[str, Any] = {"shared": told, "generators": states}
        state = torch.get_rng_state()
        if self.random_state is None or not torch.equal(state, self.random_state):
            self.random_state = state
            found["random"] = self._put(state)
        return found

    # --- in ---------------------------------------------------------------------------------------------------------

    def apply(self, changes: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Take over what :meth:`changes` of the other side tells."""
        for key, value, grad, requires_grad in changes["shared"]:
            shared = self.shared.get(key)
            if shared is None:
                continue
            if isinstance(shared.value, np.ndarray):
                new: Any = tensors[value].numpy()
            else:
                new = tensors[value] if isinstance(shared.value, Tensor) else [float(part) for part in value]
            shared.become(new, None if grad is None else tensors[grad], bool(requires_grad))
        for key, state in changes["generators"]:
            if key not in self.generators:
                self.generators[key] = (torch.Generator(), tensors[state])
            self.generators[key][0].set_state(tensors[state])
            self.generators[key] = (self.generators[key][0], tensors[state])
        if "random" in changes:
            self.random_state = tensors[changes["random"]]
            torch.set_rng_state(self.random_state)

    def decode(self, told: Any, tensors: dict[str, Tensor]) -> Any:
        """Translate a value of a message back."""
        if isinstance(told, list):
            return [self.decode(part, tensors) for part in cast(list[Any], told)]
        if not isinstance(told, dict):
            return told
        kind = next(iter(told))
        return getattr(self, f"_decode_{kind}")(told, tensors)

    def _decode_yours(self, told: Any, tensors: Any) -> Any:
        return self.mine[told["yours"]]

    def _decode_known(self, told: Any, tensors: Any) -> Any:
        return self.theirs[told["known"]]

    def _decode_same(self, told: Any, tensors: Any) -> Any:
        key = told["same"]
        return self.linked[key] if key in self.linked else self.shared[key].value

    def _decode_generator(self, told: Any, tensors: Any) -> Any:
        return self.generators[told["generator"]][0]

    def _decode_ellipsis(self, told: Any, tensors: Any) -> Any:
        return ...

    def _decode_list(self, told: Any, tensors: Any) -> Any:
        key = told["list"]
        if key not in self.shared:
            self._take(key, list(told["items"]), True)
        return self.shared[key].value

    def _decode_tuple(self, told: Any, tensors: Any) -> Any:
        return tuple(self.decode(told["tuple"], tensors))

    def _decode_named(self, told: Any, tensors: Any) -> Any:
        parts = self.decode(told["parts"], tensors)
        name = str(told["named"])
        if name in NAMED_TUPLES:
            return getattr(importlib.import_module(NAMED_TUPLES[name]), name)(*parts)
        # pyright wants the types of the fields, which are not known here
        make = collections.namedtuple(name, [str(field) for field in told["fields"]])  # pyright: ignore[reportUntypedNamedTuple]
        return make(*parts)

    def _decode_dict(self, told: Any, tensors: Any) -> Any:
        return {self.decode(key, tensors): self.decode(part, tensors) for key, part in told["dict"]}

    def _decode_set(self, told: Any, tensors: Any) -> Any:
        return set(self.decode(told["set"], tensors))

    def _decode_range(self, told: Any, tensors: Any) -> Any:
        whole = range(*told["range"])
        if len(whole) > MAX_RANGE:  # a few letters that would fill the memory of whoever goes through them
            raise ValueError(f"a range of more than {MAX_RANGE:,} numbers")
        return whole

    def _decode_slice(self, told: Any, tensors: Any) -> Any:
        return slice(*told["slice"])

    def _decode_dtype(self, told: Any, tensors: Any) -> Any:
        return {str(kind): kind for kind in vars(torch).values() if isinstance(kind, torch.dtype)}[
            f"torch.{told['dtype']}"
        ]

    def _decode_device(self, told: Any, tensors: Any) -> Any:
        return torch.device(told["device"])

    def _decode_distribution(self, told: Any, tensors: Any) -> Any:
        return made_of(told["distribution"], self.decode(told["parts"], tensors))

    def _decode_iterator(self, told: Any, tensors: Any) -> Any:
        return iter(self.decode(told["iterator"], tensors))

    def _decode_tensor(self, told: Any, tensors: Any) -> Any:
        value = tensors[told["tensor"]]
        if told.get("complex"):
            return torch.view_as_complex(value)
        if "linked" in told:
            leaves = [key for key, shared in self.shared.items() if _has_grad(shared.value)]
            with torch.enable_grad():
                inputs = [self.shared[key].value for key in leaves]
                made = cast(Tensor, Linked.apply(self, told["linked"], [value], leaves, self.anchor, *inputs))
            self.linked[told["linked"]] = made
            self.keys[id(made)] = told["linked"]
            return made
        if "shared" not in told:
            return value
        value = nn.Parameter(value, bool(told["grad"])) if told.get("parameter") else value.requires_grad_(told["grad"])
        if "its_grad" in told:
            value.grad = tensors[told["its_grad"]]
        return self._take(told["shared"], value, not told["grad"])

    def _decode_array(self, told: Any, tensors: Any) -> Any:
        value = tensors[told["array"]].numpy().reshape(told["shape"])
        return self._take(told["shared"], value, True) if "shared" in told else value

    def _take(self, key: str, value: Any, scoped: bool) -> Any:
        """Remember a value that the other side shares."""
        self.shared[key] = Shared(value, scoped)
        self.keys[id(value)] = key
        return value

    def _decode_module(self, told: Any, tensors: Any) -> Any:
        parts: dict[str, RemoteModule] = {}
        for path, number, name, bases in told["module"]:
            part = type(str(name), (RemoteModule,), {})(self, int(number), list(bases))
            parts[path] = self.theirs[int(number)] = part
            if path:
                above, _, last = path.rpartition(".")
                parts[above]._modules[last] = part  # add_module would ask the other process for the name
        for path, is_buffer, tensor in told["tensors"]:
            above, _, last = path.rpartition(".")
            value = self.decode(tensor, tensors)
            (parts[above]._buffers if is_buffer else parts[above]._parameters)[last] = value
            if id(value) in self.keys:
                self.shared[self.keys[id(value)]].scoped = False
        return parts[""]

    def _decode_object(self, told: Any, tensors: Any) -> Any:
        number = int(told["object"])
        if number not in self.theirs:
            name, bases = told["kind"]
            kind = RemoteCallable if told["callable"] else Remote
            self.theirs[number] = type(str(name), (kind,), {})(self, number, list(bases))
        return self.theirs[number]

    def drop(self, arguments: Iterable[str]) -> None:
        """Let go of what was shared as arguments of a call that has ended."""
        for key in arguments:
            shared = self.shared.get(key)
            if shared is not None and shared.scoped and not _has_grad(shared.value):
                del self.shared[key]
                self.keys.pop(id(shared.value), None)


def _has_grad(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad and value.is_leaf


def _kind(value: Any) -> tuple[str, list[str]]:
    """Name of an object's type (of a class: its own), and of the package's classes among its bases."""
    kind: type = value if isinstance(value, type) else type(value)
    bases = [base.__name__ for base in kind.__mro__ if base.__module__.startswith("polygrad_edu.")]
    return type(value).__name__, ["type", *bases] if isinstance(value, type) else bases
