"""The state of a loop: everything that decides its future, as tensors and as data that JSON can hold.

Networks and their averages, optimisers, normaliser, guidance scale, replay, environments, random states, counters. A
loop that a state is restored to goes on as the first one would have, to the last bit.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from ..files.input_error import InputError
from ..imagination_loop import ImaginationLoop
from ..replay import Normaliser

_HISTORY = ("count", "running_mean", "sum_of_squares", "lowest", "highest")
_STATISTICS = (*_HISTORY, "mean", "scale", "imagined_scale", "extent")


def state_of(loop: ImaginationLoop) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Everything that decides the future of ``loop``: tensors by name, and the rest as data that JSON can hold."""
    tensors: dict[str, torch.Tensor] = {}
    for name, module in _modules(loop).items():
        tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
    for name, optimiser in _optimisers(loop).items():
        for index, entries in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}/{index}/{key}": value for key, value in entries.items()}
    for name in loop.replay.tensors:
        tensors[f"replay/{name}"] = getattr(loop.replay, name)[: loop.replay.size]
    for field in Normaliser.fields:
        for key, value in vars(getattr(loop.replay.normaliser, field)).items():
            if key in _STATISTICS:
                tensors[f"normaliser/{field}/{key}"] = torch.as_tensor(value)
    tensors["generator"] = loop.generator.get_state()
    tensors |= loop.world_model.extra_state() | {"exploded": loop.exploded}
    tensors["observations"] = torch.as_tensor(loop.collector.observations)
    state = {
        "counters": {name: _or_none(getattr(loop, name)) for name in loop.counters},
        "replay": {name: getattr(loop.replay, name) for name in loop.replay.counters},
        "environments": loop.collector.snapshot(),
        "device": loop.device.type,
    }
    return tensors, state


def restore(loop: ImaginationLoop, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    """Bring a freshly made loop to the state that :func:`state_of` gave.

    Raises:
        Exception: one of ``files.safe_files.DAMAGE``, if the state is damaged or does not fit the loop.
    """
    for name, module in _modules(loop).items():
        module.load_state_dict(under(tensors, name))
    for name, optimiser in _optimisers(loop).items():
        entries: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in under(tensors, name).items():
            index, entry = key.split("/")
            entries.setdefault(int(index), {})[entry] = value
        optimiser.load_state_dict(optimiser.state_dict() | {"state": entries})
    for name in loop.replay.counters:
        setattr(loop.replay, name, _like(getattr(loop.replay, name), state["replay"][name]))
    for name in loop.replay.tensors:
        own = getattr(loop.replay, name)[: loop.replay.size]
        stored = tensors[f"replay/{name}"]
        if stored.shape != own.shape:
            raise InputError(f"it holds {name} of shape {[*stored.shape]} where {[*own.shape]} is needed")
        own[:] = stored
    loop.replay.check()
    for field in Normaliser.fields:
        standardiser = getattr(loop.replay.normaliser, field)
        for key in _STATISTICS:
            # a state of 0.2.0 or before knows one scale
            stored_key = "scale" if f"normaliser/{field}/{key}" not in tensors and key == "imagined_scale" else key
            value = tensors[f"normaliser/{field}/{stored_key}"]
            old = getattr(standardiser, key)
            on_host = int(value) if key == "count" else value.numpy()
            setattr(standardiser, key, value.to(old) if isinstance(old, torch.Tensor) else on_host)
    if state["device"] == loop.device.type:
        loop.generator.set_state(tensors["generator"])
    else:  # a state means nothing to another kind of device: go on from a seed that depends on the step
        loop.generator.manual_seed(loop.seed + int(state["counters"]["env_step"]))
    loop.world_model.load_extra_state(tensors)
    loop.exploded.copy_(tensors["exploded"])
    loop.collector.restore(state["environments"], tensors["observations"].numpy())
    for name in loop.counters:
        setattr(loop, name, _like(getattr(loop, name), state["counters"][name]))
    if not 0 <= loop.env_step == loop.replay.size:
        raise ValueError(f"its counter says {loop.env_step} steps, its replay holds {loop.replay.size}")


def _or_none(value: Any) -> Any:
    """``value`` as JSON knows it: None for a number that has not been measured yet, which is nan or infinite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _like(old: Any, new: Any) -> Any:
    """``new`` as the type of ``old``: a number, or a list of as many numbers; None stands for ``old``."""
    if new is None and isinstance(old, float):
        return old
    if isinstance(old, list):
        if not isinstance(new, list) or len(new) != len(old):
            raise ValueError(f"it holds {new!r:.60} where {len(old)} numbers belong")
        return [_like(first, value) for first, value in zip(old, new, strict=True)]
    if isinstance(new, bool) or not isinstance(new, int | float if isinstance(old, float) else int):
        raise ValueError(f"it holds {new!r:.60} where a number belongs")
    return type(old)(new)


def _modules(loop: ImaginationLoop) -> dict[str, torch.nn.Module]:
    modules: dict[str, torch.nn.Module] = {
        "world_model": loop.world_model.network,
        "averaged_model": loop.world_model.averaged_network,
        "actor_critic": loop.actor_critic,
        "best_policy": loop.best_policy,
    }
    if loop.settled_policy is not loop.actor_critic.policy:
        modules["settled_policy"] = loop.settled_policy
    return modules


def _optimisers(loop: ImaginationLoop) -> dict[str, torch.optim.Optimizer]:
    return {
        "world_model_optimiser": loop.world_model.optimiser,
        "actor_optimiser": loop.optimiser.actor,
        "critic_optimiser": loop.optimiser.critic,
    }


def under(tensors: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with ``name/``, without it."""
    return {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(name + "/")}
