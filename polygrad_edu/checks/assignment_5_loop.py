"""Checks of assignment 5, third part: the whole loop, in its order, in three small worlds, and on the pendulum."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from torch.distributions import Distribution, Independent, Normal

from .. import environments
from ..actor_critic import GaussianPolicy
from ..course.loop_parts import PENDULUM, LineWorld, Parts, Plan, make_parts
from . import given
from .asserting import Draw, is_a
from .parts import Property, part, so_far, worth
from .step_counter import real_steps

LESSONS = {
    "imagination_loop": "lesson 8, 'The loop, in plain code' and 'How often?'",
    "pendulum": "lesson 8, 'The loop, in plain code'",
}
BAR = 30  # the return that right loops reached with every seed (55 and more), and untrained policies with none


def _act(env: Any, observation: Any, policy: Any, replay: Any, generator: torch.Generator) -> tuple[Any, bool]:
    if policy is None:
        action = 2 * torch.rand(env.action_space.shape, generator=generator) - 1
    else:
        with torch.no_grad():
            distribution = policy(torch.as_tensor(observation))
        action = distribution.mean + distribution.stddev * torch.randn(env.action_space.shape, generator=generator)
    following, reward, terminal, truncated, _ = env.step(action.numpy())
    replay.add(observation, action.numpy(), reward, terminal, truncated)
    ended = bool(terminal or truncated)
    return env.reset()[0] if ended else following, ended


def _improve(parts: Parts, count: int, generator: torch.Generator) -> dict[str, Any]:
    first = parts.replay.observations[parts.replay.draw(count, generator)]
    imagined = parts.world_model.imagine(first, parts.actor_critic.policy, parts.world_model.window, generator)
    return parts.optimiser.update(*imagined[:4])


Loop = Callable[..., Any]


@worth(
    steps=Property(2, "as many real steps as planned, random first, then by the policy that learns"),
    fits=Property(1.5, "the world model learns when and as often as planned, in the right units"),
    improves=Property(1.5, "the policy learns when and as often as planned, after the world model"),
    worlds=Property(2, "in three small worlds what is imagined comes true", ("steps", "fits", "improves")),
)
def check_imagination_loop(imagination_loop: Loop, seed: int = 0) -> None:
    """Check ``imagination_loop(env, parts, plan, seed, act, improve)``."""
    draw = Draw(seed)
    for plan in (
        Plan(40, 13, 9, 1.0, 4, 16),
        Plan(draw.whole(50, 70), draw.whole(10, 20), draw.whole(0, 12), 0.3, draw.whole(2, 5), draw.whole(8, 32)),
        Plan(30, 10, 5, 1.5, 1, 8),
    ):
        _check_order(imagination_loop, plan, seed)
    if so_far("steps", "fits", "improves"):  # it trains in three worlds
        with part("worlds"):
            _check_worlds(imagination_loop, seed)


def _check_order(imagination_loop: Loop, plan: Plan, seed: int) -> None:
    log: list[tuple[str, Any]] = []
    replay = SimpleNamespace(n_starts=1, refresh_normaliser=lambda: log.append(("refresh", None)))
    world_model = SimpleNamespace(fit=lambda replay: log.append(("fit", replay)), window=5)
    actor_critic = SimpleNamespace(policy=object())
    parts = Parts(*cast(Any, (replay, world_model, actor_critic, SimpleNamespace())))
    env = SimpleNamespace(reset=lambda seed=None: (log.append(("reset", seed)), (-1, {}))[1])

    def act(env: Any, observation: Any, policy: Any, replay: Any, generator: torch.Generator) -> tuple[int, bool]:
        log.append(("act", (observation, policy, generator, generator.initial_seed())))
        done = sum(name == "act" for name, _ in log)
        return done, done % 7 == 0

    def improve(parts: Any, count: Any, generator: Any) -> dict[str, torch.Tensor]:
        log.append(("improve", (count, generator)))
        return {"action_std": torch.tensor(1.0)}

    imagination_loop(env, parts, plan, seed, act, improve)
    assert log, "imagination_loop is empty so far; write it, then run this cell again."
    with part("steps"):
        _check_steps(log, plan, seed, actor_critic.policy)
    _check_learning(log, plan, parts)


def _check_steps(log: list[tuple[str, Any]], plan: Plan, seed: int, current: Any) -> None:
    assert log[0] == ("reset", seed), (
        f"the first thing should be a reset of the environment with the seed, {seed}; yours is {log[0][0]}."
    )
    acts = [what for name, what in log if name == "act"]
    assert len(acts) == plan.env_steps, (
        f"the plan has {plan.env_steps} real steps in all, the random ones included; yours took {len(acts)}."
    )
    observations = [what[0] for what in acts]
    assert observations == [-1, *range(1, plan.env_steps)], (
        "each step should be taken at the observation that the one before led to; yours are not."
    )
    random = [what[1] is None for what in acts]
    assert random == [k < plan.prefill_steps for k in range(plan.env_steps)], (
        f"the first {plan.prefill_steps} steps, and only they, should be random (policy None); yours has "
        f"{sum(random)} of them."
    )
    assert all(what[1] is current for what in acts[plan.prefill_steps :]), (
        "after the random steps the policy that is being trained should act, and another does."
    )
    generators = {id(what[2]) for what in acts} | {id(what[1]) for name, what in log if name == "improve"}
    assert len(generators) == 1, (
        "one generator should serve the whole run; a new one for each call draws the same numbers again and again."
    )
    assert acts[0][3] == seed, (
        f"the generator should begin with the seed of the run, {seed}; yours begins with {acts[0][3]}."
    )


def _check_learning(log: list[tuple[str, Any]], plan: Plan, parts: Parts) -> None:
    setting = f"with {plan.prefill_steps} random steps, {plan.pretrain_updates} updates on them"
    setting += f" and {plan.updates_per_step} for each further step"
    steps = list(itertools.accumulate(int(name == "act") for name, _ in log))  # real steps taken, after each entry
    with part("fits"):
        _check_fits(log, steps, plan, parts, setting)
    with part("improves"):
        _check_improvements(log, steps, plan)
    refreshed = {step for (name, _), step in zip(log, steps, strict=True) if name == "refresh"}
    ends = {k for k in range(plan.prefill_steps + 1, plan.env_steps + 1) if k % 7 == 0}
    with part("fits"):
        assert ends <= refreshed, (
            "whenever a later episode has ended, the normaliser should follow what has been added; the policy soon "
            "goes where chance never did."
        )


def _check_fits(log: list[tuple[str, Any]], steps: list[int], plan: Plan, parts: Parts, setting: str) -> None:
    fits = 0
    fresh = False
    ahead = 0.0
    for (name, what), step in zip(log, steps, strict=True):
        if name == "refresh":
            fresh = fresh or step >= plan.prefill_steps
        if name == "fit":
            assert what is parts.replay, "the world model should be fitted to the replay."
            assert step >= plan.prefill_steps, (
                f"{setting}: the world model is fitted in step {step}, before the random ones are over."
            )
            assert fresh, (
                "the world model is fitted before the normaliser has followed the random steps: it would learn in "
                "units of its own invention."
            )
            fits += 1
            ahead = max(ahead, fits - plan.pretrain_updates - (step - plan.prefill_steps) * plan.updates_per_step)
    wanted = plan.pretrain_updates + (plan.env_steps - plan.prefill_steps) * plan.updates_per_step
    assert abs(fits - wanted) < 1, (
        f"{setting}, {plan.env_steps} steps call for about {wanted:g} updates of the world model; yours made {fits}."
    )
    assert ahead < 1e-6, f"{setting}, yours ran {ahead:.1f} updates ahead of the real steps."


def _check_improvements(log: list[tuple[str, Any]], steps: list[int], plan: Plan) -> None:
    improved: list[int] = []
    for place, ((name, what), step) in enumerate(zip(log, steps, strict=True)):
        if name != "improve":
            continue
        assert step >= plan.prefill_steps, (
            f"the policy learns in step {step}, from a world model that has learned nothing."
        )
        assert what[0] == plan.imagined_trajectories, (
            f"the plan imagines {plan.imagined_trajectories} trajectories at a time, yours {what[0]}."
        )
        later = [other for other, _ in log[place:]]
        before_next = later[: later.index("act")] if "act" in later else later
        assert "fit" not in before_next, (
            f"in step {step} the policy dreams before the world model has learned what it can."
        )
        improved.append(step)
    due = [k for k in range(plan.prefill_steps, plan.env_steps + 1) if k % plan.improve_every == 0]
    assert improved == due, (
        f"with an update of the policy every {plan.improve_every} real steps, from step {plan.prefill_steps} on, it "
        f"should learn {len(due)} times, first in step {due[0]}; yours learns {len(improved)} times, first in step "
        f"{improved[0] if improved else '-'}."
    )


LINE = Plan(250, 200, pretrain_updates=400, updates_per_step=1.0, improve_every=10, imagined_trajectories=32)


def _within_reach(observations: torch.Tensor) -> Distribution:
    """Policy within the range of forces; the trained one might ask for more, which the world cuts off."""
    return Independent(Normal(torch.zeros(*observations.shape[:-1], 1), 0.4), 1)


def _check_worlds(imagination_loop: Loop, seed: int) -> None:
    """Check what a loop learns in three worlds where the truth is known."""
    for env, name in (
        (LineWorld(), "linear"),
        (LineWorld(pays=1.0), "constant reward"),
        (LineWorld(edge=1.0), "known terminal"),
    ):
        parts = make_parts(env, LINE, seed, width=64)
        imagination_loop(env, parts, LINE, seed, _act, _improve)
        steps = parts.replay.size
        assert steps == LINE.env_steps, (
            f"in a world on a line, {LINE.env_steps} steps were planned and {steps} are in the replay."
        )
        first = torch.linspace(-0.9, 0.9, 200)[:, None]
        with torch.no_grad():
            seen = parts.world_model.imagine(first, _within_reach, 4, torch.Generator().manual_seed(seed))
        following = 0.9 * first[:, 0] + 0.3 * seen.actions[:, 0, 0].clamp(-1, 1)
        if name == "linear":
            left = (seen.observations[:, 1, 0] - following).square().mean() / following.var()
            assert left < 0.4, (
                f"in a linear world the next state is known; what your loop's world model imagines leaves {left:.0%} "
                "of its variance unexplained. Was it fitted, and in the right units?"
            )
        elif name == "constant reward":
            off = (seen.rewards - 1).abs().mean()
            assert off < 0.05, (
                f"in a world that pays 1 for every step your loop imagines rewards that are off by {off:.2f}."
            )
        else:
            certain = (following.abs() - 1).abs() > 0.1
            wrong = (seen.terminals[:, 0] != (following.abs() > 1).float())[certain].float().mean()
            assert wrong < 0.1, (
                f"in a world that ends beyond 1 your loop is wrong about the end of {wrong:.0%} of the steps it "
                "imagines."
            )


def check_pendulum(pendulum: Callable[[int], GaussianPolicy], seed: int = 0) -> None:
    """Check ``pendulum(seed)``: the return of its policy on the simulator, after 1,000 real steps."""
    # five runs, each tried with a right loop: no student fails by a seed that nobody has seen
    with real_steps(pendulum) as steps:
        policy = given(pendulum(seed % 5), "pendulum")
    assert is_a(policy, GaussianPolicy), (
        f"pendulum should return the policy among the parts, a GaussianPolicy; yours returned a "
        f"{type(policy).__name__}."
    )
    episodes = environments.evaluate(lambda: environments.make("InvertedPendulum-v5", 1 / 3), policy, 10, 4_000_000)
    reached = float(np.mean(episodes))
    assert reached >= BAR, (
        f"after {PENDULUM.env_steps:,} real steps your policy balances the pole for {reached:.0f} steps on average; at "
        f"least {BAR} are asked for. Are act, improve and imagination_loop all right by themselves?"
    )
    assert 0 <= steps[0] - PENDULUM.env_steps < 50, (  # making an environment tries a few steps
        f"the plan has {PENDULUM.env_steps:,} real steps, random ones included; while your policy was trained the "
        f"pendulum took {steps[0]:,} of them."
    )
