"""Attributes that a student's process may read of what the checks hand it: a list of names, and nothing else."""

from __future__ import annotations

from types import FunctionType
from typing import Any

OF_ENVIRONMENTS = "reset step action_space observation_space shape low high dtype size sample contains"
OF_REPLAYS = (
    "add draw size observations actions rewards terminals n_starts starts refresh_normaliser normaliser windows "
    "last_of_episode normalise denormalise mean scale"
)
OF_MODELS = "window imagine adapt_guidance fit policy critic slow_critic update zero_grad step param_groups"
OF_POLICIES = "mean std stddev variance log_std minimum_std network log_prob entropy sample rsample base_dist"
NAMES = frozenset(" ".join((OF_ENVIRONMENTS, OF_REPLAYS, OF_MODELS, OF_POLICIES)).split())


def may_use(value: Any, name: str) -> bool:
    """True if ``name`` may be read of ``value``: one of :data:`NAMES`, and not of a function or a class."""
    return name in NAMES and not isinstance(value, FunctionType | type)
