"""Checks of lesson 7: the actor-critic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..actor_critic import lambda_returns
from . import given


def check_lambda_weights(lambda_weights: Callable[[float, int], list[float]]) -> None:
    """Check ``lambda_weights(lambda_, n_returns)``: the weights of the n-step returns in a lambda-return."""
    for lambda_, n in ((0.5, 5), (0.9, 9), (0.0, 4), (1.0, 4), (0.3, 1)):
        weights = [float(weight) for weight in given(lambda_weights(lambda_, n), "lambda_weights")]
        where = f"for lambda = {lambda_} and {n} return{'s' if n > 1 else ''}"
        assert len(weights) == n, f"{where} there should be {n} weights; yours are {len(weights)}."
        assert min(weights) >= 0, f"{where} a weight is negative: {min(weights):.3g}."
        assert abs(sum(weights) - 1) < 1e-6, (
            f"{where} the weights add up to {sum(weights):.4f}. They make an average, so nothing may be left over."
        )
        for k in range(n - 2):
            assert abs(weights[k + 1] - lambda_ * weights[k]) < 1e-6, (
                f"{where} weight number {k + 2} should be lambda times the one before; {weights[k]:.4f} is followed "
                f"by {weights[k + 1]:.4f}."
            )
        if n > 1:
            assert abs(weights[0] - (1 - lambda_)) < 1e-6, (
                f"{where} the one-step return has the weight {weights[0]:.4f}. At lambda = 0 it should be all there "
                "is, at lambda = 1 it should not count."
            )


def check_reality_weight(reality_weight: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Check ``reality_weight(terminals)``: 1 up to and including the first terminal step, 0 after it, [B, H-1]."""
    rows = [[0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1]]
    for row in [rows, *([row] for row in rows)]:
        terminals = torch.tensor(row, dtype=torch.float32)
        kept = terminals.clone()
        weight = given(reality_weight(terminals), "reality_weight")
        assert torch.is_tensor(weight), f"reality_weight should return a tensor, not a {type(weight).__name__}."
        assert tuple(weight.shape) == (len(row), 5), (
            f"flags of shape {tuple(terminals.shape)} gave weights of shape {tuple(weight.shape)}; there is one for "
            "each step but the last."
        )
        assert torch.equal(terminals, kept), "the flags themselves were changed; work on a new tensor."
        for flags, ours in zip(row, weight.tolist(), strict=True):
            if 1 not in flags[:5]:
                assert ours == [1.0] * 5, f"nothing ends in the flags {flags}, but the weights are {ours}."
                continue
            end = flags.index(1)
            assert all(w == 1 for w in ours[:end]), f"for {flags} a step before the end does not count: {ours}."
            assert ours[end] == 1, (
                f"for {flags} the step that ends it, number {end}, should count too; you gave {ours}."
            )
            assert all(w == 0 for w in ours[end + 1 :]), f"for {flags} something after the end still counts: {ours}."
    terminals = (torch.rand(50, 10, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    nothing = torch.zeros_like(terminals)
    expected = lambda_returns(nothing, terminals, nothing, 1, 1, last_step_counts=True).reality_weight
    assert torch.equal(reality_weight(terminals), expected), "on fifty random rows of flags some weights are off."


def check_single_pass(single_pass: Callable[..., torch.Tensor]) -> None:
    """Check ``single_pass(rewards, terminals, values, gamma, lambda_)``: advantages [B, H-1], wherever they count."""
    rewards = torch.tensor([[1.0, 0, 2, 0, 1, 0]])
    values = torch.tensor([[3.0, 5, 1, 4, 2, 4]])
    no_end = torch.zeros_like(rewards)
    ended = torch.tensor([[0.0, 0, 1, 0, 0, 0]])

    def advantages(rewards: torch.Tensor, terminals: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        inputs = rewards.clone(), terminals.clone(), values.clone()
        found = given(single_pass(*inputs, 0.5, 0.5), "single_pass")
        assert torch.is_tensor(found), f"single_pass should return a tensor, not a {type(found).__name__}."
        steps = len(rewards), rewards.shape[1] - 1
        assert tuple(found.shape) == steps, (
            f"rewards of shape {tuple(rewards.shape)} gave advantages of shape {tuple(found.shape)}; there is one for "
            "each step but the last."
        )
        kept = all(map(torch.equal, inputs, (rewards, terminals, values)))
        assert kept, "the rewards, flags or values themselves were changed; work on new tensors."
        return found

    as_pencil = advantages(rewards, no_end, values)[0, 0].item()
    assert abs(as_pencil + 0.4805) < 1e-3, (
        "the six states from the beginning, which do not end, with gamma and lambda 0.5: the advantage of step 0 is "
        f"-0.4805 by pencil, and yours is {as_pencil:.4f}."
    )
    _check_an_end(advantages, rewards, ended, values)
    pair = advantages(rewards.repeat(2, 1), torch.cat([no_end, ended]), values.repeat(2, 1))
    assert torch.allclose(pair[0], advantages(rewards, no_end, values)[0], atol=1e-5), (
        "of two trajectories in a batch the second ends, and that changes the advantages of the first."
    )
    _check_many_ends(single_pass)


def _check_an_end(
    advantages: Callable[..., torch.Tensor], rewards: torch.Tensor, ended: torch.Tensor, values: torch.Tensor
) -> None:
    """Check the advantages of a trajectory that ends at step 2, where it is paid 2 and was promised 1."""
    where = "the same six states, but step 2 ends the episode:"
    lived = torch.tensor([1.0, 1, 1, 0, 0, 0])
    # a promise that doubles with each step holds no surprise where gamma is one half, so nothing but step 2 hears of it
    promises = values * lived + torch.tensor([0.0, 0, 0, 4, 8, 16])
    without, promised = (advantages(rewards * lived, ended, later)[0, 2].item() for later in (values * lived, promises))
    assert abs(promised - without) < 1e-5, (
        f"{where} its advantage is {without:.3g} if the critic promises nothing for the states after it, and "
        f"{promised:.3g} if it promises 4, 8 and 16. Nobody will ever collect that."
    )
    found = advantages(rewards, ended, values)[0]
    assert abs(found[2]) > 1e-6, (
        f"{where} it is paid 2 where the critic had promised 1, and you say that it is neither better nor worse. The "
        "step that ends it was still lived."
    )
    paid = rewards + torch.tensor([[0.0, 0, 10, 0, 0, 0]])
    heard = (advantages(paid, ended, values)[0] - found)[1].item()
    assert abs(heard) > 1e-5, (
        f"{where} if that step is paid 10 more, the advantage of step 1, which led to it, does not move. Who is to "
        "learn what leads to an end?"
    )
    assert abs(found[2] - 1) < 1e-5, (
        f"{where} it is paid 2 where the critic had promised 1, and after an end there is nothing. So its advantage is "
        f"1, and yours is {found[2]:.4g}."
    )


def _check_many_ends(single_pass: Callable[..., torch.Tensor]) -> None:
    """Check fifty random trajectories, some of which end, against the package, up to where each one ends."""
    draws = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(2, 50, 8, generator=draws)
    terminals = (torch.rand(50, 8, generator=draws) < 0.15).float()
    right = lambda_returns(rewards, terminals, values, 0.9, 0.8, last_step_counts=True)
    off = (single_pass(rewards, terminals, values, 0.9, 0.8) - right.advantages).abs() * right.reality_weight
    wrong = (off > 1e-4).any(dim=1).sum().item()
    assert not wrong, f"of fifty random trajectories with gamma = 0.9 and lambda = 0.8 {wrong} have an advantage off."


def check_find_fraction(find_fraction: Callable[..., float]) -> None:
    """Check ``find_fraction(change_of, target, rounds)``: the fraction of a step whose change is the target."""
    changes = {
        "a change of 0.4 times the fraction": lambda f: 0.4 * f,
        "a change that bends upwards, 0.2 f + 0.1 f^2": lambda f: 0.2 * f + 0.1 * f**2,
        "a change that bends downwards, 0.5 f / (1 + f)": lambda f: 0.5 * f / (1 + f),
    }
    for name, change in changes.items():
        asked: list[float] = []

        def change_of(fraction: Any, change: Callable[[float], float] = change, asked: list[float] = asked) -> float:
            asked.append(float(fraction))
            return change(asked[-1])

        fraction = float(given(find_fraction(change_of, 0.05, 4), "find_fraction"))
        assert asked, f"with {name} you never measured a change."
        assert len(asked) <= 5, f"four rounds of trying were allowed, with {name} you measured {len(asked)} times."
        assert max(asked) <= 1 + 1e-9, f"with {name} a fraction of {max(asked):.3g} was tried; the whole step is 1."
        assert abs(change(fraction) - 0.05) < 0.1 * 0.05, (
            f"with {name} and the target 0.05 your fraction {fraction:.4g} changes {change(fraction):.4g}."
        )
    small = float(find_fraction(lambda f: 0.01 * f, 0.05, 4))
    assert small <= 1, f"where even the whole step changes less than the target you take {small:.3g} of it."
    assert small > 0.999, f"where even the whole step changes less than the target take all of it, not {small:.3g}."
