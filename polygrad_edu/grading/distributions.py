"""Distributions that cross between the processes by value: what each is made of, and how it is made again."""

from __future__ import annotations

import importlib
from typing import Any

from torch.distributions import Distribution

# class -> the module it is from, and the attributes that it is made of
DISTRIBUTIONS = {
    "Normal": ("torch.distributions", ("loc", "scale")),
    "Laplace": ("torch.distributions", ("loc", "scale")),
    "Independent": ("torch.distributions", ("base_dist", "reinterpreted_batch_ndims")),
    "SquashedGaussian": ("polygrad_edu.interop.outside_policies", ("loc", "scale")),
}


def parts_of(value: Any) -> list[Any] | None:
    """Parts that a distribution is made of; ``None`` for one that does not cross by value, and for anything else."""
    if not isinstance(value, Distribution) or type(value).__name__ not in DISTRIBUTIONS:
        return None
    return [getattr(value, name) for name in DISTRIBUTIONS[type(value).__name__][1]]


def made_of(name: str, parts: list[Any]) -> Distribution:
    """Distribution of this class; its parts are not examined, since a mapped tensor cannot be."""
    make = getattr(importlib.import_module(DISTRIBUTIONS[name][0]), name)
    return make(*parts) if name == "SquashedGaussian" else make(*parts, validate_args=False)
