"""Policies by others: one that Stable-Baselines3 trained guides the world model, too.

A world model asks of a policy only a distribution of actions at given observations. A policy is kept here as plain data
(weights and a few words), so that storing and loading it runs nobody's code.
"""

from __future__ import annotations

import itertools
import json
import math
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from .. import __version__
from ..files.input_error import InputError
from ..files.safe_files import (
    DAMAGE,
    MIB,
    LfsPointerError,
    at_most_parameters,
    one_line,
    parse_json,
    parse_tensors,
    read_bytes,
    write_tensors,
)
from ..files.versions import NewerError, refuse_newer_format
from .vec_normalize import doubts_about, normalisation_of

FORMAT = "polygrad-edu policy 1"
MAX_BYTES = 256 * MIB
_ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
# Gauss-Hermite quadrature: nodes and weights of the mean over a standard normal distribution
_nodes, _weights = np.polynomial.hermite_e.hermegauss(64)
_NODES = torch.as_tensor(_nodes, dtype=torch.float32)
_WEIGHTS = torch.as_tensor(_weights, dtype=torch.float32) / math.sqrt(2 * math.pi)
# the limits that SAC gives its own log-std
_MIN_LOG_STD = -20.0
_MAX_LOG_STD = 2.0


class _Tanh(TanhTransform):
    """Its inverse stays finite at -1 and 1, which rounding and clipping do reach."""

    def _inverse(self, y: Tensor) -> Tensor:
        return super()._inverse(y.clamp(-1 + 1e-6, 1 - 1e-6))


class SquashedGaussian(TransformedDistribution):
    r"""$a = \tanh(\mu + \sigma \epsilon)$, the policy of SAC, with the moments that torch does not give it.

    Args:
        loc, scale: [..., A] mean and standard deviation before squashing.
    """

    def __init__(self, loc: Tensor, scale: Tensor):
        self.loc = loc
        self.scale = scale
        base = Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)
        super().__init__(base, [_Tanh()], validate_args=False)

    def _squashed_nodes(self) -> Tensor:
        return torch.tanh(self.loc[..., None] + self.scale[..., None] * _NODES.to(self.loc))  # [..., A, 64]

    @property
    def mean(self) -> Tensor:
        # E[f(\epsilon)] = \sum_i w_i f(x_i) for a standard normal epsilon
        return (self._squashed_nodes() * _WEIGHTS.to(self.loc)).sum(dim=-1)  # [..., A]

    @property
    def variance(self) -> Tensor:
        # of deviations from the mean: a difference of moments would be lost to rounding where tanh is flat
        nodes = self._squashed_nodes()
        weights = _WEIGHTS.to(self.loc)
        deviations = nodes - (nodes * weights).sum(dim=-1, keepdim=True)
        return (deviations**2 * weights).sum(dim=-1).clamp(min=1e-12)  # [..., A]

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()


class MLPPolicy(nn.Module):
    """A Gaussian policy with fixed weights, squashed or not.

    Args:
        sizes: of the observation, of each hidden layer, and of the action.
        activation: tanh or relu.
        squashed: SAC's kind, whose spread depends on the state, or PPO's, whose spread does not.
        clip: limit of normalised observations; ``observation_mean`` and ``observation_scale`` normalise them.
    """

    observation_mean: Tensor
    observation_scale: Tensor

    def __init__(self, sizes: list[int], activation: str, squashed: bool, clip: float = math.inf):
        super().__init__()
        *hidden, action_size = sizes
        layers: list[nn.Module] = []
        for in_size, out_size in itertools.pairwise(hidden):
            layers += [nn.Linear(in_size, out_size), _ACTIVATIONS[activation]()]
        self.body = nn.Sequential(*layers)
        self.mean_head = nn.Linear(hidden[-1], action_size)
        if squashed:
            self.log_std_head = nn.Linear(hidden[-1], action_size)
        else:
            self.log_std = nn.Parameter(torch.zeros(action_size))
        self.register_buffer("observation_mean", torch.zeros(sizes[0]))
        self.register_buffer("observation_scale", torch.ones(sizes[0]))
        self.description: dict[str, Any] = {
            "sizes": sizes,
            "activation": activation,
            "squashed": squashed,
            "clip": clip,
        }
        self.requires_grad_(False)

    def forward(self, observations: Tensor) -> Distribution:
        """The distribution of actions, of which -1 to 1 span the task's range, at raw observations [..., O].

        Raises:
            InputError: the observations have another size than this policy takes.
        """
        if observations.shape[-1] != len(self.observation_mean):
            raise InputError(
                f"the policy takes {len(self.observation_mean)} observations, the task has {observations.shape[-1]}"
            )
        normed = (observations - self.observation_mean) / self.observation_scale
        hidden = self.body(normed.clamp(-self.description["clip"], self.description["clip"]))
        mean = self.mean_head(hidden)  # [..., A]
        if self.description["squashed"]:
            return SquashedGaussian(mean, self.log_std_head(hidden).clamp(_MIN_LOG_STD, _MAX_LOG_STD).exp())
        std = self.log_std.exp().expand_as(mean)
        return Independent(Normal(mean, std, validate_args=False), 1, validate_args=False)


def check_policy_fits(policy: MLPPolicy, name: str, task: str, observation_size: int, action_size: int) -> None:
    """Check that a policy can act in a task.

    Args:
        name: of the policy, for the message; so is ``task``.

    Raises:
        InputError: it takes another number of observations or of actions than the task has.
    """
    sizes = policy.description["sizes"]
    if (sizes[0], sizes[-1]) != (observation_size, action_size):
        raise InputError(
            f"{name} takes {sizes[0]} observations and {sizes[-1]} actions; {task} has {observation_size} and "
            f"{action_size}"
        )


@torch.no_grad()
def from_stable_baselines3(model: Any, statistics: Any = None) -> MLPPolicy:
    """A copy of the policy that a Stable-Baselines3 PPO, A2C or SAC model holds now.

    The model should have been trained on ``environments.make(env_id)``, whose actions lie in -1 to 1. A
    ``VecNormalize`` belongs to the policy: the model knows it while its environments are attached, but its file does
    not hold it.

    Args:
        statistics: the ``VecNormalize`` that the model was trained behind, as ``VecNormalize.load`` gives it. None: the
            one around the model's environments.

    Warns:
        UserWarning: the model saw normalised observations, or may have, and the statistics are missing.

    Raises:
        InputError: a kind of policy that cannot be copied; the message says which kinds can. Or statistics that do not
            fit it.
    """
    try:
        from stable_baselines3.common.base_class import BaseAlgorithm
        from stable_baselines3.common.torch_layers import FlattenExtractor
    except ImportError:
        raise InputError('copying a policy needs Stable-Baselines3: pip install "polygrad-edu[data]"') from None
    if not isinstance(model, BaseAlgorithm):
        raise InputError(f"a {type(model).__name__} is no Stable-Baselines3 model; give a PPO, A2C or SAC model")
    policy = cast(Any, model.policy)
    what = f"{type(model).__name__} with {type(policy).__name__}"
    _check_spaces(model, what)
    if policy.features_extractor_class is not FlattenExtractor:
        extractor = policy.features_extractor_class.__name__
        raise InputError(f"{what} extracts features with {extractor}; use the observations as they are")
    body, mean_head, squashed = _layers_of(policy, what)
    activation = _activation_of(body, what)
    linear = [layer for layer in body if isinstance(layer, nn.Linear)]
    sizes = [linear[0].in_features, *(layer.out_features for layer in linear), mean_head.out_features]
    observed = normalisation_of(model, statistics, sizes[0])
    for doubt in doubts_about(model, statistics):
        warnings.warn(f"{what} {doubt}", stacklevel=3)  # of the caller, beyond no_grad
    with torch.random.fork_rng(devices=[]):  # weights that are overwritten need no one's random numbers
        ours = MLPPolicy(sizes, activation, squashed, observed.clip)
    own_linear = [layer for layer in ours.body if isinstance(layer, nn.Linear)]
    for mine, theirs in zip([*own_linear, ours.mean_head], [*linear, mean_head], strict=True):
        mine.load_state_dict(theirs.state_dict())
    if squashed:
        ours.log_std_head.load_state_dict(policy.actor.log_std.state_dict())
    else:
        ours.log_std.copy_(policy.log_std)
    ours.observation_mean.copy_(torch.as_tensor(observed.mean))
    ours.observation_scale.copy_(torch.as_tensor(observed.scale))
    return ours


def _check_spaces(model: Any, what: str) -> None:
    """Check that a model observes a vector and acts in -1 to 1.

    Raises:
        InputError: it does not; the message begins with ``what``.
    """
    space = model.action_space
    if getattr(model, "use_sde", False) or len(getattr(model.observation_space, "shape", None) or ()) != 1:
        raise InputError(f"{what}: only vector observations without state-dependent exploration are supported")
    if not (hasattr(space, "low") and np.allclose(space.low, -1) and np.allclose(space.high, 1)):
        raise InputError(f"{what} acts in {space}, not in -1 to 1: train it on polygrad_edu.environments.make")


def _layers_of(policy: Any, what: str) -> tuple[Any, Any, bool]:
    """The hidden layers of a policy, the layer of its means, and True if it squashes actions.

    Raises:
        InputError: it is of another kind than PPO's, A2C's or SAC's.
    """
    if hasattr(policy, "mlp_extractor") and hasattr(policy, "action_net"):  # PPO, A2C
        return policy.mlp_extractor.policy_net, policy.action_net, False
    if hasattr(policy, "actor") and hasattr(policy.actor, "latent_pi") and hasattr(policy.actor, "log_std"):  # SAC
        return policy.actor.latent_pi, policy.actor.mu, True
    raise InputError(f"{what} is not supported; use a PPO, A2C or SAC model with an MlpPolicy")


def _activation_of(body: Any, what: str) -> str:
    """The name of the activation between hidden layers.

    Raises:
        InputError: it is none that a policy here may have, there are several, or no layers.
    """
    kinds = {type(layer) for layer in body if not isinstance(layer, nn.Linear)}
    names = [name for name, kind in _ACTIVATIONS.items() if kinds == {kind}]
    if not names or not any(isinstance(layer, nn.Linear) for layer in body):
        layers = ", ".join(type(layer).__name__ for layer in body) or "no hidden ones"
        raise InputError(f"{what} has the layers {layers}; hidden layers with Tanh or ReLU are supported")
    return names[0]


def save_policy(policy: MLPPolicy, path: Path) -> None:
    """Write a policy to a ``.safetensors`` file."""
    description = policy.description | {"clip": min(policy.description["clip"], 1e30)}  # JSON knows no infinity
    metadata = {"format": FORMAT, "version": __version__, "policy": json.dumps(description)}
    write_tensors(path, policy.state_dict(), metadata)


def load_policy(path: Path) -> MLPPolicy:
    """Read what :func:`save_policy` wrote.

    Raises:
        InputError: no such file, not a policy, damaged, not fetched, or of a newer version.
    """
    try:
        content = read_bytes(path, MAX_BYTES)
        if content.startswith(b"PK"):
            raise InputError(
                "it is a zip archive, as Stable-Baselines3 writes; load it there, copy it with from_stable_baselines3, "
                "and write it with save_policy"
            )
        tensors = parse_tensors(content)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        refuse_newer_format(metadata.get("format"), FORMAT, metadata.get("version"), path)
        if metadata.get("format") != FORMAT:
            raise InputError("it was not written by save_policy")
        description = _checked_description(parse_json(metadata["policy"]))
        with at_most_parameters(path.stat().st_size, path), torch.random.fork_rng(devices=[]):
            policy = MLPPolicy(**description)
        policy.load_state_dict(tensors)
    except (LfsPointerError, NewerError):
        raise
    except (OSError, *DAMAGE) as error:
        raise InputError(f"{path} is not a policy file: {one_line(error)}") from None
    if not (policy.observation_scale > 0).all():
        raise InputError(f"{path} is not a usable policy: it divides observations by a scale that is not positive")
    if not policy(policy.observation_mean).stddev.isfinite().all():
        raise InputError(f"{path} is not a usable policy: its spread is not finite")
    return policy


def _checked_description(description: Any) -> dict[str, Any]:
    """Arguments of an :class:`MLPPolicy`.

    Raises:
        InputError: they are none.
    """
    sizes = description["sizes"]
    clip = description["clip"]
    if not isinstance(sizes, list) or len(sizes) < 2 or not all(type(size) is int and size > 0 for size in sizes):
        raise InputError(f"its sizes must be two or more positive whole numbers, not {sizes!r}")
    if description["activation"] not in _ACTIVATIONS:
        raise InputError(f"its activation {description['activation']!r} is none of {', '.join(_ACTIVATIONS)}")
    if type(description["squashed"]) is not bool:
        raise InputError(f"squashed must be true or false, not {description['squashed']!r}")
    if not isinstance(clip, int | float) or not clip > 0:
        raise InputError(f"its clip must be a positive number, not {clip!r}")
    return description
