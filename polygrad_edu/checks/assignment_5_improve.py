"""Checks of assignment 5, second part: imagining, and learning from it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor

from ..course.loop_parts import Parts
from ..imagined_trajectories import ImaginedTrajectories
from . import given
from .asserting import Draw, own_randomness
from .parts import Property, part, worth
from .properties import close

LEARNED_FROM = ("observations", "actions", "rewards", "terminals")
LESSONS = {"improve": "lesson 8, 'The loop, in plain code'"}


@worth(
    starts=Property(1.5, "it begins at real states that the replay drew, in the environment's units"),
    asked=Property(0.5, "the policy of now imagines, as far as the world model was made for"),
    learned=Property(1.5, "the optimiser learns from what was imagined"),
    tuned=Property(0.5, "the guidance is told how spread the actions were"),
)
def check_improve(improve: Callable[..., Any], seed: int = 0) -> None:
    """Check ``improve(parts, count, generator)``: imagine with the current policy, and learn from it."""
    draw = Draw(seed)
    rows = draw.whole(30, 60)
    obs = draw.whole(2, 4)
    act = draw.whole(1, 3)
    horizon = draw.whole(4, 9)
    stored = draw.normal(rows, obs)
    allowed = torch.arange(0, rows, 3)
    parts, log = _fakes(stored, allowed, horizon, act, draw)
    for count in (5, draw.whole(9, 20)):
        log.clear()
        generator = torch.Generator().manual_seed(seed)
        with own_randomness("improve"):
            metrics = improve(parts, count, generator)
        names = [name for name, _ in log]
        assert names, "improve is empty so far; write it, then run this cell again."
        assert names.count("imagine") == 1, f"one call should imagine once; yours did {names.count('imagine')} times."
        assert names.count("update") == 1, (
            f"one call should update the policy once; yours did {names.count('update')} times."
        )
        first, policy, asked, source = next(what for name, what in log if name == "imagine")
        with part("asked"):
            assert policy is parts.actor_critic.policy, (
                "what is imagined should be what the policy does *now*; the one you passed on is another."
            )
            assert asked == horizon, (
                f"imagine as many time points as the world model was made for ({horizon}); you ask for {asked}."
            )
            assert source in (None, generator), "the randomness should come from the generator that was given."
        with part("starts"):
            assert first.shape == (count, obs), (
                f"{count} trajectories of {obs} observations should be begun; yours start from the shape "
                f"{tuple(first.shape)}."
            )
            rows_used = (first[:, None] - stored).abs().sum(-1).min(1)
            assert rows_used.values.max() < 1e-6, (
                "an imagined trajectory should begin at a real state, as it is stored, in the environment's units; "
                "yours does not."
            )
            assert set(rows_used.indices.tolist()) <= set(allowed.tolist()), (
                "you begin at rows that the replay did not draw."
            )
            assert len(set(rows_used.indices.tolist())) > 1, "all your trajectories begin at the same state."
        _check_update(log, given(metrics, "improve"))


def _fakes(
    stored: Tensor, allowed: Tensor, horizon: int, action_size: int, draw: Draw
) -> tuple[Parts, list[tuple[str, Any]]]:
    log: list[tuple[str, Any]] = []

    # arguments have the names that they have in the package: answers may use them
    def imagine(
        first_observations: Tensor, policy: Any, horizon: int, generator: torch.Generator | None = None
    ) -> ImaginedTrajectories:
        count = len(first_observations)
        imagined = ImaginedTrajectories(
            draw.normal(count, horizon, first_observations.shape[-1]),
            draw.normal(count, horizon, action_size),
            draw.normal(count, horizon),
            (draw.uniform(count, horizon) < 0.2).float(),
        )
        log.append(("imagine", (first_observations.clone(), policy, horizon, generator)))
        log.append(("imagined", imagined))
        return imagined

    def update(*batch: Any, **named: Any) -> dict[str, Tensor]:
        log.append(("update", (*batch, *(named[name] for name in LEARNED_FROM if name in named))))
        return {"action_std": torch.tensor(1.3), "actor_loss": torch.tensor(0.1)}

    replay = SimpleNamespace(
        observations=stored,
        size=len(stored),
        n_starts=len(allowed),
        starts=allowed,
        draw=lambda n, generator: allowed[torch.randint(len(allowed), (n,), generator=generator)],
    )
    world_model = SimpleNamespace(
        window=horizon,
        imagine=imagine,
        adapt_guidance=lambda action_std: log.append(("adapt_guidance", action_std)) or {},
    )
    actor_critic = SimpleNamespace(policy=lambda observations: None)
    return Parts(*cast(Any, (replay, world_model, actor_critic, SimpleNamespace(update=update)))), log


def _check_update(log: list[tuple[str, Any]], metrics: Any) -> None:
    (imagined,) = (what for name, what in log if name == "imagined")
    (batch,) = (what for name, what in log if name == "update")
    with part("learned"):
        assert len(batch) == 4, (
            "the optimiser learns from observations, actions, rewards and terminals; yours was given "
            f"{len(batch)} things."
        )
        for name, ours, wanted in zip(LEARNED_FROM, batch, imagined, strict=False):
            same = ours.shape == wanted.shape and close(ours, wanted)
            assert same, f"the {name} that the optimiser learns from are not the ones that were imagined."
    with part("tuned"):
        told = [what for name, what in log if name == "adapt_guidance"]
        assert told, (
            "the world model was not told how spread the imagined actions were, so its guidance can never be tuned."
        )
        assert close(torch.as_tensor(told[-1]), 1.3), (
            "what the world model is told is not the spread of the standardised actions (action_std)."
        )
        assert "actor_loss" in metrics, "return what the optimiser reported."
