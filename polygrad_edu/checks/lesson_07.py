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
