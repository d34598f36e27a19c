"""Checks of assignment 3: score guidance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy import stats
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Laplace, Normal

from ..interop.outside_policies import SquashedGaussian
from . import given
from .asserting import Draw, a_number, a_tensor, place, two
from .assignment_3_chain import check_collapsed, check_guided_step, check_tune
from .parts import Property, part, worth
from .properties import close

__all__ = [
    "LESSONS",
    "MAY_NOT_IMPORT",
    "MAY_NOT_USE",
    "check_collapsed",
    "check_gaussian_score",
    "check_guided_step",
    "check_policy_score",
    "check_tune",
    "check_verdict",
]

WORDS = ("on-policy", "too wide", "too narrow", "off centre")
ON, WIDE, NARROW, OFF = WORDS
MAY_NOT_IMPORT = ("guided_sampler", "score_guidance", "guidance_theory")
MAY_NOT_USE = ()
LESSONS = {
    "gaussian_score": "lesson 5, 'The direction: a score'",
    "policy_score": "lesson 5, 'The direction: a score'",
    "verdict": "lesson 5, 'How to look: in units of the policy'",
}


@worth(
    direction=Property(1, "it leads to the mean, further out in proportion"),
    slope=Property(1, "with the right strength for each std", ("direction",)),
)
def check_gaussian_score(gaussian_score: Callable[[Tensor, Tensor, Tensor], Tensor], seed: int = 0) -> None:
    """Check ``gaussian_score(actions, mean, std)``: [B, H, A], with one std per action dimension."""
    draw = Draw(seed)
    for shape, dtype in (
        ((4, 3, 2), torch.float32),
        ((draw.whole(2, 5), draw.whole(2, 5), draw.whole(1, 4)), torch.float64),
    ):
        mean = draw.normal(*shape).to(dtype)
        std = (0.2 + draw.uniform(shape[-1])).to(dtype)
        actions = mean + draw.normal(*shape).to(dtype)
        where = f"for actions {shape} and std [{shape[-1]}]"
        score = a_tensor(gaussian_score(actions, mean, std), shape, "gaussian_score", where)
        assert score.dtype == dtype, f"{where} in {dtype} the score should be {dtype} too; yours is {score.dtype}."
        with part("direction"):
            assert close(gaussian_score(mean, mean, std), 0), "at the policy's mean the score should be 0."
            assert (score * (mean - actions) > 0).all(), "the score should point from each action towards the mean."
            assert close(gaussian_score(mean + 2 * (actions - mean), mean, std), 2 * score, 1e-3), (
                "twice as far from the mean the score should be twice as large."
            )
        with part("slope"):
            inches = gaussian_score(10 * actions, 10 * mean, 10 * std)
            assert close(10 * inches, score, 1e-3), (
                "measure actions, mean and std in units a tenth as long, so that all numbers are 10 times as large: a "
                f"gradient with respect to the action is then a tenth; yours is {(inches / score).flatten()[0]:.3g} "
                "times as large."
            )
            sure = gaussian_score(actions, mean, std / 2)
            assert close(sure, 4 * score, 1e-3), "with half the std the pull should be four times as strong."
            wanted = _slope(
                lambda a, m=mean, s=std: Independent(Normal(m.double(), s.double()), 1).log_prob(a), actions
            )
            assert close(score, wanted, 1e-3), (
                f"{where} the score of the action at "
                f"{place((score.double() - wanted).abs() > 1e-3 * wanted.abs().clamp(min=1))} is not the slope of log "
                "N there."
            )


def _slope(log_prob: Callable[[Tensor], Tensor], actions: Tensor, step: float = 1e-5) -> Tensor:
    """Slope of log-probabilities [B, H] by finite differences, without automatic differentiation or a formula."""
    actions = actions.double()
    columns = []
    for k in range(actions.shape[-1]):
        aside = torch.zeros_like(actions)
        aside[..., k] = step
        columns.append((log_prob(actions + aside) - log_prob(actions - aside)) / (2 * step))
    return torch.stack(columns, dim=-1)  # [B, H, A]


class _Policy(nn.Module):
    """Linear policy of one of three families, with weights that could receive a gradient."""

    def __init__(self, family: str, observation_size: int, action_size: int):
        super().__init__()
        self.family = family
        self.weight = nn.Parameter(0.3 * torch.randn(action_size, observation_size, dtype=torch.float64))
        self.log_std = nn.Parameter(-torch.linspace(0.2, 1, action_size, dtype=torch.float64))

    def forward(self, states: Tensor) -> Distribution:
        loc = states @ self.weight.T
        std = self.log_std.exp().expand_as(loc)
        if self.family == "squashed Gaussian":
            return SquashedGaussian(loc, std)
        return Independent((Normal if self.family == "Gaussian" else Laplace)(loc, std), 1)


@worth(
    gaussian=Property(1, "for a Gaussian policy it is the slope of log pi"),
    families=Property(1, "and for policies that are no Gaussians", ("gaussian",)),
    sampler=Property(1, "it works where nothing is recorded", ("gaussian",)),
    plain=Property(1, "it leaves nothing behind: neither a graph nor a gradient", ("gaussian",)),
)
def check_policy_score(policy_score: Callable[..., Tensor], seed: int = 0) -> None:
    """Check ``policy_score(policy, states, actions)``: the score of any policy, by automatic differentiation."""
    draw = Draw(seed)
    for family in ("Gaussian", "squashed Gaussian", "Laplace"):
        batch = draw.whole(2, 4)
        horizon = draw.whole(2, 4)
        obs = draw.whole(2, 4)
        act = draw.whole(1, 3)
        torch.manual_seed(seed)
        policy = _Policy(family, obs, act)
        states = draw.normal(batch, horizon, obs).double()
        actions = 0.8 * torch.tanh(draw.normal(batch, horizon, act).double())
        where = f"for a {family} policy and actions {tuple(actions.shape)}"
        score = policy_score(policy, states, actions)
        a_tensor(score, tuple(actions.shape), "policy_score", where)
        with torch.no_grad():
            wanted = _slope(lambda a, p=policy, s=states: p(s).log_prob(a), actions)
        with part("gaussian" if family == "Gaussian" else "families"):
            assert (score * wanted).sum() > 0, f"{where} your score leads to actions that are *less* likely."
            one = policy_score(policy, states[:1, :1], actions[:1, :1])
            assert close(one[0, 0], score[0, 0]), (
                f"{where} the score of an action changes when others stand beside it. Each action's score is its own."
            )
            assert close(score, wanted, 1e-3), (
                f"{where} your score is not the slope of log pi(a|s) with respect to the action. Differentiate the "
                "policy's own log_prob: not every policy is a Gaussian."
            )
        with part("sampler"):
            _check_unrecorded(policy_score, policy, states, actions, score)
        with part("plain"):
            assert not score.requires_grad, (
                "your score is still tied to the policy's weights, so a whole chain of steps would be kept in memory; "
                "return plain numbers."
            )
            assert all(p.grad is None for p in policy.parameters()), (
                "the policy's weights have received a gradient. Only the one with respect to the actions was asked for."
            )
            assert not actions.requires_grad, (
                "afterwards the caller's actions require a gradient; work on a tensor of your own."
            )


def _check_unrecorded(
    policy_score: Callable[..., Tensor], policy: nn.Module, states: Tensor, actions: Tensor, score: Tensor
) -> None:
    with torch.no_grad():
        try:
            quiet = policy_score(policy, states, actions)
        except RuntimeError:
            quiet = torch.full_like(actions, float("nan"))
    assert close(quiet, score.detach(), 1e-3), (
        "inside torch.no_grad(), where samplers run, your score fails: there, nothing is recorded that could be "
        "differentiated, unless a function asks for it."
    )


@worth(
    distance=Property(1.5, "the distance is the largest gap, in units of the policy"),
    words=Property(1, "clear cases get the right word"),
    chance=Property(0.5, "the border is that of chance, for the number of actions there are", ("words",)),
)
def check_verdict(verdict: Callable[..., tuple[float, str]], seed: int = 0) -> None:
    """Check ``verdict(actions, mean, std)``: Kolmogorov-Smirnov distance to the policy, and one of four words."""
    draw = Draw(seed)
    batch = draw.whole(120, 200)
    act = draw.whole(2, 3)
    mean = 3 * draw.normal(batch, 5, act)
    std = 0.2 + 0.8 * draw.uniform(act)
    count = mean.numel()
    grid = Normal(0.0, 1.0).icdf((torch.arange(count) + 0.5) / count)
    z = grid[torch.randperm(count, generator=draw.generator)].view_as(mean)

    def judged(z: Tensor, mean: Tensor = mean) -> tuple[float, str]:
        actions = mean + std * z
        answer = given(verdict(actions, mean, std), "verdict")
        distance, word = two(answer, "verdict should return a distance and a word")
        distance = a_number(distance, "the distance of verdict")
        assert word in WORDS, f"the word should be one of {', '.join(WORDS)}; yours is {word!r}."
        with part("distance"):
            wanted = stats.kstest(z.flatten().numpy(), "norm").statistic
            assert abs(distance - wanted) < 2e-3, (
                f"for {z.numel()} actions with the standardised mean {z.mean():.2f} and std {z.std():.2f} the largest "
                f"gap between the two distribution functions is not {distance:.4f}. Are the actions in units of the "
                "*policy*, each in its own state and dimension, and did you look at both ends of each stair?"
            )
        return distance, word

    cases = [(z, ON), (1.5 * z, WIDE), (0.6 * z, NARROW), (z + 0.7, OFF), (z - 0.7, OFF)]
    cases += [(1.6 * z + 0.3, WIDE), (0.5 * z - 0.3, NARROW), (1.3 * z + 0.6, OFF), (0.7 * z - 0.6, OFF)]
    cases += [(1.1 * z + 0.4, OFF), (2.5 * z + 0.8, WIDE)]
    with part("words"):
        for changed, word in cases:
            said = judged(changed)[1]
            assert said == word, (
                f"for {count} actions whose standardised mean is {changed.mean():.2f} and whose std is "
                f"{changed.std():.2f} the verdict should not be {said!r}."
            )
    for lonely in (-1.0, 0.4):
        judged(torch.full((1, 1, act), lonely), mean[:1, :1])
    few = Normal(0.0, 1.0).icdf((torch.arange(30 * act) + 0.5) / (30 * act)).view(30, 1, act)
    with part("chance"):
        assert judged(1.3 * few, mean[:30, :1])[1] == ON, (
            f"with {few.numel()} actions a std of 1.3 is within chance: how large a gap is surprising depends on how "
            "many actions there are."
        )
        assert judged(1.3 * z)[1] == WIDE, f"with {count} actions a std of 1.3 is beyond chance."
        limit = 1.36 / count**0.5
        for share, word, where in ((0.88, ON, "within"), (1.12, WIDE, "beyond")):
            spread = _spread_at(share * limit, z)
            assert judged(spread * z)[1] == word, (
                f"for {count} numbers ({batch} x 5 actions of {act} dimensions) a distance of {share * limit:.4f} is "
                f"{where} chance, and your verdict says otherwise. How many numbers are there?"
            )


def _spread_at(distance: float, z: Tensor) -> float:
    """Factor above 1 by which ``z`` has to be spread to stand at this Kolmogorov-Smirnov distance."""
    low, high = 1.0, 2.0
    for _ in range(25):
        middle = (low + high) / 2
        if stats.kstest((middle * z).flatten().numpy(), "norm").statistic < distance:
            low = middle
        else:
            high = middle
    return low
