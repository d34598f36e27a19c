"""Right answers in ways of one's own: libraries, names and helpers that no rule forbids keep their points."""

import sys

import pytest

from tests.support.assignments import SOURCES, cells
from tests.support.graded_answers import grade_answers, messages, name_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")


def solution(number, function):
    return cells(SOURCES[name_of(number)])[function]["source"]


NETWORK = """
from __future__ import annotations
from typing import NamedTuple


class Fit(NamedTuple):
    before: torch.Tensor
    after: torch.Tensor


class OneStep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.next = nn.Linear(OBSERVATION_SIZE + ACTION_SIZE, OBSERVATION_SIZE)

    def forward(self, noisy, actions, step, first) -> torch.Tensor:
        push = actions / ALPHAS[step].sqrt()
        states = [first]
        for t in range(noisy.shape[1] - 1):
            states.append(self.next(torch.cat([states[-1], push[:, t]], dim=1)))
        return torch.cat([torch.stack(states, dim=1), noisy[..., OBSERVATION_SIZE:]], dim=-1)


trajectory, actions, real = point_mass_windows(2000, seed=1)
seen = trajectory[..., :OBSERVATION_SIZE]
both = Fit(torch.cat([seen, actions], dim=-1)[:, :-1][real[:, 1:]], seen[:, 1:][real[:, 1:]])
weights = torch.linalg.lstsq(F.pad(both.before, (0, 1), value=1.0), both.after).solution
trained = OneStep()
with torch.no_grad():
    trained.next.weight.copy_(weights[:-1].T)
    trained.next.bias.copy_(weights[-1])
trained.eval()
"""
RETURNS = """
def lambda_returns(rewards, terminals, values, gamma, lambda_):
    B, H = rewards.shape
    terminals = terminals.to(values.dtype)
    alive = torch.cat([values.new_ones(B, 1), (1 - terminals[:, :-1]).cumprod(1)], 1)[:, : H - 1]
    F = values.new_zeros(B, H)
    F[:, H - 1] = values[:, H - 1]
    for t in range(H - 2, -1, -1):
        later = (1 - lambda_) * values[:, t + 1] + lambda_ * F[:, t + 1]
        F[:, t] = rewards[:, t] + gamma * (1 - terminals[:, t]) * later
    return F[:, : H - 1], alive
"""
DEEP = """
from copy import deepcopy


def step_policy(policy, optimiser, loss, observations, actions, target, rounds):
    optimiser.zero_grad()
    loss.backward()
    old = policy(observations).log_prob(actions).detach()
    before = deepcopy(policy)
    optimiser.step()
    after = deepcopy(policy)
    fraction = 1.0
    with torch.no_grad():
        for turn in range(rounds + 1):
            for p, a, b in zip(policy.parameters(), before.parameters(), after.parameters(), strict=True):
                p.copy_(a + fraction * (b - a))
            change = (policy(observations).log_prob(actions) - old).abs().mean().item()
            if change == 0 or turn == rounds:
                break
            fraction = min(1.0, fraction * target / change)
    return fraction, change
"""
VARIABLE = "vars = 1\n" + solution(4, "standardise")


def test_annotations_typing_and_eval_keep_their_points_and_so_does_a_fit_by_least_squares():
    assert messages(grade_answers(2, {"trained": NETWORK})) == {"trained": "Right."}


def test_a_matrix_called_f_a_variable_called_vars_and_a_deep_copy_keep_their_points():
    answers = {"lambda_returns": RETURNS, "standardise": VARIABLE, "step_policy": DEEP}
    assert messages(grade_answers(4, answers)) == dict.fromkeys(answers, "Right.")


def test_scipy_may_be_used_where_the_assignment_says_so_and_arguments_may_be_named():
    answer = solution(3, "verdict")
    answers = {"verdict": f"from scipy import stats\n{answer}\nstats.norm.cdf(0.0)\n"}
    answers["tune"] = solution(3, "tune").replace("spread_of(scales[-1])", "spread_of(scale=scales[-1])")
    assert "scale=" in answers["tune"]
    assert messages(grade_answers(3, answers)) == dict.fromkeys(answers, "Right.")


def test_a_helper_in_a_cell_of_ones_own_is_run_before_the_answer_that_uses_it():
    helper = "def _left(alpha_bar):\n    return alpha_bar[1:] / alpha_bar[:-1]\n"
    answer = "def betas(alpha_bar):\n    return (1 - _left(alpha_bar)).clamp(max=0.999)\n"
    own = [("betas", helper), ("betas", "1 / 0  # an experiment")]
    result = grade_answers(1, {"betas": answer}, own)
    assert messages(result) == {"betas": "Right."}
    assert result["notes"] == ["Of your own cells 1 were run, because your answers use what they define."]
