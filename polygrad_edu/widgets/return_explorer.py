"""Return explorer: move lambda, gamma and the episode's end; see returns, advantages and the weights behind them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..actor_critic import lambda_returns
from ..course.paths import shipped
from .base import Control, LessonWidget, check_number

NONE = "none"  # no terminal flag
GAMMAS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.97, 0.99, 1.0)
LAMBDAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
PENCIL = ((1.0, 0.0, 2.0, 0.0, 1.0, 0.0), (3.0, 5.0, 1.0, 4.0, 2.0, 4.0))  # rewards and values, as in lesson 7


ORDINARY, ENDED = 4, 3  # of the sixteen that lesson 7 imagines; only one of them ends ...
ENDS_AT = 3  # ... at this step


@functools.cache
def hopper_trajectory(which: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Rewards and values [H] along one of 16 trajectories that the shipped Hopper's world model imagined."""
    hopper = shipped("hopper-cpu")
    imagined = hopper.loop.imagine_from(hopper.observations[:16], torch.Generator().manual_seed(0))
    values = hopper.loop.actor_critic.value(imagined.observations).detach()  # [16, H]
    return tuple(imagined.rewards[which].tolist()), tuple(values[which].tolist())


TRAJECTORIES = {
    "pencil": lambda: PENCIL,
    "hopper": lambda: hopper_trajectory(ORDINARY),
    "hopper-ended": lambda: hopper_trajectory(ENDED),
}


def check_trajectory(rewards: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Rewards and values as lists of floats.

    Raises:
        ValueError: they are not two rows of equal length, at least two, or not finite.
    """
    paid, expected = (torch.as_tensor(row, dtype=torch.float32) for row in (rewards, values))
    if paid.ndim != 1 or paid.shape != expected.shape or len(paid) < 2:
        shapes = f"{list(paid.shape)} and {list(expected.shape)}"
        raise ValueError(f"rewards and values must be two rows [H] of equal length, at least 2; they are {shapes}")
    if not (paid.isfinite().all() and expected.isfinite().all()):
        raise ValueError("rewards and values must be finite")
    return paid.tolist(), expected.tolist()


def return_weights(lambda_: float, n_returns: int, terminal: int | str = NONE) -> list[float]:
    """Weights of the returns of 1, 2, ... ``n_returns`` steps in the lambda-return of step 0.

    A terminal flag at step t makes all returns of more than t steps the same: the rewards up to step t, without the
    critic. The first of them gets the weight of all.
    """
    # w_n = (1 - \lambda) \lambda^{n-1}, and the last gets the rest
    last = n_returns if terminal == NONE else min(int(terminal) + 1, n_returns)
    weights = [(1 - lambda_) * lambda_ ** (n - 1) for n in range(1, last)] + [lambda_ ** (last - 1)]
    return weights + [0.0] * (n_returns - last)


def return_frame(
    rewards: Sequence[float], values: Sequence[float], lambda_: float, gamma: float, terminal: int | str
) -> dict[str, Any]:
    """Compute the frame of :class:`ReturnExplorer`, as ``return_frame.js`` does in the page.

    Args:
        rewards, values: [H]; the last reward is not used, because no imagined state follows it.
        lambda_: weight of long returns, 0 to 1.
        gamma: discount, 0 to 1.
        terminal: the step that ends the episode, 0 to H-2, or ``none``.

    Raises:
        ValueError: a value is out of range, or rewards and values are not a trajectory.
    """
    rewards, values = check_trajectory(rewards, values)
    n = len(rewards) - 1  # actions with a state after them
    check_number("lambda", lambda_, 0, 1)
    check_number("gamma", gamma, 0, 1)
    if terminal != NONE:
        check_number("the terminal's step", terminal, 0, n - 1, whole=True)
    paid = torch.tensor([rewards])  # [1, H]
    expected = torch.tensor([values])  # [1, H]
    flags = torch.zeros(1, n + 1)  # [1, H]
    if terminal != NONE:
        flags[0, int(terminal)] = 1

    def estimate(n_steps: int, weight: float):
        part = slice(0, n_steps + 1)
        return lambda_returns(paid[:, part], flags[:, part], expected[:, part], gamma, weight, last_step_counts=True)

    found = estimate(n, lambda_)
    n_step = [estimate(steps, 1.0).value_targets[0, 0].item() for steps in range(1, n + 1)]  # R^(n)_0
    weights = return_weights(lambda_, n, terminal)
    advantages: Tensor = found.advantages[0]  # [H-1]
    return {
        "rewards": rewards[:n],
        "values": values,
        "terminal": None if terminal == NONE else int(terminal),
        "returns": found.value_targets[0].tolist(),
        "advantages": advantages.tolist(),
        "real": found.reality_weight[0].tolist(),
        "n_step": n_step,
        "weights": weights,
        "text": sentence(values[0], found.value_targets[0, 0].item(), advantages[0].item(), weights, terminal),
    }


def sentence(value: float, lambda_return: float, advantage: float, weights: list[float], terminal: int | str) -> str:
    """Sentence that says what the picture shows."""
    verdict = "as good as" if abs(advantage) < 5e-4 else "better than" if advantage > 0 else "worse than"
    words = f"From step 0 on the lambda-return is {lambda_return:.4g}, where the critic said {value:.4g}: an advantage "
    words += f"of {advantage:+.4g}, so the action was {verdict} usual. "
    counted = sum(1 for weight in weights if weight > 0)
    mean_steps = sum((i + 1) * weight for i, weight in enumerate(weights))
    if counted == 1:
        steps = weights.index(max(weights)) + 1
        words += f"All the weight is on the return of {steps} step{'s' * (steps > 1)}. "
    else:
        words += (
            f"The return of 1 step counts {weights[0]:.0%}; on average a return of {mean_steps:.1f} steps is asked. "
        )
    if terminal == NONE:
        return words + "No terminal flag: the critic speaks for all that comes after the last step."
    after = len(weights) - 1 - int(terminal)
    return words + (
        f"The episode ends at step {terminal}: nothing is expected after it, "
        f"and the {after} step{'s' * (after != 1)} behind it {'is' if after == 1 else 'are'} no experience."
    )


class ReturnExplorer(LessonWidget):
    """Widget for the lambda-returns and advantages of an imagined trajectory.

    Args:
        trajectory: ``pencil``, six steps that can be worked out by hand; ``hopper``, ten that a trained world model
            imagined; ``hopper-ended``, ten of the same in which the episode is over after the third, so that the rest
            is no experience; or your own, a pair of rewards and values, each [H].
        state: first values of ``lambda_``, ``gamma`` or ``terminal``.
    """

    title = "Return explorer"
    script = "return_explorer.js"
    page_scripts = ("return_frame.js",)

    def __init__(self, trajectory: str | tuple[Sequence[float], Sequence[float]] = "pencil", **state: Any):
        if isinstance(trajectory, str):
            if trajectory not in TRAJECTORIES:
                known = ", ".join(TRAJECTORIES)
                raise ValueError(f"there is no trajectory {trajectory!r}; choose {known} or give (rewards, values)")
            rewards, values = TRAJECTORIES[trajectory]()
        else:
            rewards, values = check_trajectory(*trajectory)
        self.compute = functools.partial(return_frame, rewards, values)
        steps = tuple(range(len(rewards) - 1))
        flag = ENDS_AT if trajectory == "hopper-ended" else NONE
        super().__init__(
            [
                Control("lambda_", "Lambda λ", LAMBDAS, 0.5 if trajectory == "pencil" else 0.9),
                Control("gamma", "Discount γ", GAMMAS, 0.5 if trajectory == "pencil" else 0.99),
                Control("terminal", "Terminal flag at step", (*steps, NONE), flag),
            ],
            page_settings={"rewards": list(rewards), "values": list(values)},
            **state,
        )
