"""Checks of assignment 4: lambda-returns and the actor-critic update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..actor_critic import lambda_returns as reference
from .asserting import Draw, a_tensor, place, two
from .assignment_4_update import check_actor_loss, check_critic_loss, check_step_policy
from .parts import Property, part, worth
from .properties import close

__all__ = [
    "LESSONS",
    "MAY_NOT_IMPORT",
    "MAY_NOT_USE",
    "check_actor_loss",
    "check_critic_loss",
    "check_lambda_returns",
    "check_standardise",
    "check_step_policy",
]

MAY_NOT_IMPORT = ("actor_critic", "policy_update")
MAY_NOT_USE = ("actor_critic.ActorCritic", "actor_critic.lambda_returns")
LESSONS = {
    "lambda_returns": "lesson 7, 'The same in one pass' and 'When the story ends before the trajectory does'",
    "standardise": "lesson 7, 'The actor: more of what went well'",
}


def _returns(answer: Any, shape: tuple[int, int], where: str) -> tuple[Tensor, Tensor]:
    parts = two(answer, "lambda_returns should return two tensors: returns and weights")
    returns, weights = (
        a_tensor(part, shape, f"lambda_returns ({name})", where)
        for part, name in zip(parts, ("returns", "weights"), strict=True)
    )
    return returns, weights


@worth(
    returns=Property(2, "where nothing ends the returns are right"),
    ends=Property(1.5, "a return stops at an end, and nothing reaches back over it"),
    weights=Property(1, "the weights are 1 up to the step that ends the episode, and 0 behind it"),
    kinds=Property(0.5, "float64, flags of True and False, and garbage behind an end do no harm", ("ends",)),
)
def check_lambda_returns(lambda_returns: Callable[..., tuple[Tensor, Tensor]], seed: int = 0) -> None:
    """Check ``lambda_returns(rewards, terminals, values, gamma, lambda_)``: returns and weights [B, H-1]."""
    draw = Draw(seed)
    for batch, horizon, gamma, lambda_ in (
        (3, 6, 0.9, 0.0),
        (4, 5, 0.9, 1.0),
        (2, 2, 0.99, 0.9),
        (3, 7, 1.0, 1.0),
        (draw.whole(2, 7), draw.whole(4, 9), draw.number(0.8, 1), draw.number(0.2, 0.95)),
    ):
        shape = (batch, horizon - 1)
        where = f"for {batch} trajectories of {horizon} time points"
        rewards = draw.normal(batch, horizon)
        values = 5 + draw.normal(batch, horizon)
        nothing_ends = torch.zeros(batch, horizon)
        setting = f"gamma {gamma:.2f} and lambda {lambda_:.2f}"
        answer = lambda_returns(rewards, nothing_ends, values, gamma, lambda_)
        returns, weights = _returns(answer, shape, where)
        with part("weights"):
            assert close(weights, 1), "where nothing ends every step should have the weight 1."
        with part("returns"):
            one_step = rewards[:, :-1] + gamma * values[:, 1:]
            assert close(returns[:, -1], one_step[:, -1]), (
                "the return of the last step is its reward and what the critic expects of the last state, discounted; "
                f"with {setting} yours is off."
            )
            if lambda_ == 0:
                assert close(returns, one_step), (
                    "with lambda 0 each return should look one reward ahead and then ask the critic."
                )
            if lambda_ == 1:
                total = values[:, -1]
                for t in reversed(range(horizon - 1)):
                    total = rewards[:, t] + gamma * total
                assert close(returns[:, 0], total), (
                    "with lambda 1 the first return should count every reward there is, and the critic once."
                )
            wanted = reference(rewards, nothing_ends, values, gamma, lambda_).value_targets
            assert close(returns, wanted), (
                f"with {setting} and no ending, the return of step {place((returns - wanted).abs() > 1e-3)[1]} is off."
            )
        _check_ends(lambda_returns, draw, rewards, values, gamma, lambda_)
    with part("kinds"):
        wide = [draw.normal(2, 5).double() for _ in range(2)]
        returns, _ = lambda_returns(wide[0], torch.zeros(2, 5, dtype=torch.bool), wide[1], 0.9, 0.5)
        assert returns.dtype == torch.float64, (
            f"for float64 rewards and values the returns should be float64, not {returns.dtype}."
        )


def _check_ends(lambda_returns: Any, draw: Draw, rewards: Tensor, values: Tensor, gamma: float, lambda_: float) -> None:
    batch, horizon = rewards.shape
    terminals = draw.ends(batch, horizon)
    returns, weights = lambda_returns(rewards, terminals, values, gamma, lambda_)
    wanted = reference(rewards, terminals, values, gamma, lambda_, last_step_counts=True)
    for row, flags in enumerate(terminals[:, :-1].tolist()):
        if 1 not in flags:
            continue
        end = flags.index(1)
        with part("weights"):
            assert weights[row, end] == 1, (
                f"step {end} of the flags {flags} ends the episode and was really taken: its weight should be 1."
            )
            assert (weights[row, end + 1 :] == 0).all(), (
                f"for the flags {flags} a step after the end still has a weight."
            )
            assert (weights[row, :end] == 1).all(), f"for the flags {flags} a step before the end has lost its weight."
        with part("ends"):
            assert close(returns[row, end], rewards[row, end]), (
                f"for the flags {flags} the return of the step that ends the episode should be its reward and nothing "
                f"more; with the reward {rewards[row, end]:.2f} yours is {returns[row, end]:.2f}."
            )
            assert close(returns[row, :end], wanted.value_targets[row, :end]), (
                f"for the flags {flags} a step before the end is worth something else: what comes after the end "
                "reaches back over it."
            )
    real = wanted.reality_weight == 1
    behind = torch.cat([real.new_zeros(batch, 1), ~real], dim=1)  # time points that nothing leads to
    garbage = (
        values.masked_fill(behind, 1e12),
        rewards.masked_fill(torch.cat([~real, real.new_zeros(batch, 1)], 1), -1e12),
    )
    with part("kinds"):
        spoiled, _ = lambda_returns(garbage[1], terminals, garbage[0], gamma, lambda_)
        assert close(spoiled[real], returns[real]), (
            "garbage that was imagined after an end changes the returns before it."
        )
        as_flags, _ = lambda_returns(rewards, terminals.bool(), values, gamma, lambda_)
        assert close(as_flags[real], returns[real]), "terminal flags of True and False should mean the same as 1 and 0."


@worth(
    real=Property(1.5, "over the real steps of the batch together the mean is 0 and the std 1"),
    masked=Property(0.5, "steps that are not real come out as 0", ("real",)),
    equal=Property(1, "where all are equal, or there is only one, all are 0", ("real",)),
)
def check_standardise(standardise: Callable[[Tensor, Tensor], Tensor], seed: int = 0) -> None:
    """Check ``standardise(advantages, weights)``: mean 0 and std 1 over real steps, 0 elsewhere."""
    draw = Draw(seed)
    for batch, steps in ((4, 5), (draw.whole(3, 9), draw.whole(2, 9))):
        advantages = 7 + 3 * draw.normal(batch, steps)
        weights = torch.ones(batch, steps)
        for row in range(1, batch):
            weights[row, draw.whole(0, steps - 1) + 1 :] = 0
        real = weights == 1
        advantages[~real] = 1e4
        where = f"of {int(real.sum())} real steps among {batch * steps}"
        normed = a_tensor(standardise(advantages, weights), (batch, steps), "standardise", where)
        with part("real"):
            assert close(normed[real].mean(), 0, 1e-3), (
                f"{where} the standardised mean should be 0, it is {normed[real].mean():.3f}. Steps that are not real "
                "have a say in it."
            )
            assert close(normed[real].std(), 1, 1e-3), (
                f"{where} the standardised std (with n - 1) should be 1, it is {normed[real].std():.4f}; over which "
                "steps, and as one batch?"
            )
        with part("masked"):
            assert close(normed[~real], 0), (
                f"{where} those that are not real should come out as 0, for nothing is known of them."
            )
        with part("real"):
            order = advantages[real].argsort()
            assert (normed[real][order].diff() >= -1e-6).all(), "a better action should stay the better one."
            assert close(standardise(100 * advantages, weights), normed, 1e-3), (
                "advantages in other units (times 100) should standardise to the same."
            )
            rest = normed[real] * advantages[real].std() + advantages[real].mean()
            assert close(rest, advantages[real], 1e-3), (
                "all steps of the batch are standardised together, by one mean and one std."
            )
    with part("equal"):
        flat = standardise(torch.full((2, 3), 4.0), torch.ones(2, 3))
        assert close(flat.nan_to_num(9), 0), (
            "six advantages of 4.0 are no better and no worse than each other: all should be 0."
        )
        lonely = standardise(torch.tensor([[2.0, 1e9]]), torch.tensor([[1.0, 0.0]]))
        assert close(lonely.nan_to_num(9), 0), (
            "a single real step is as good as the mean of all real steps: 0, not something infinite."
        )
