"""Checks of assignment 4, second half: both losses, and the size of a policy step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..actor_critic import GaussianPolicy, mlp
from ..actor_critic import lambda_returns as reference
from . import given
from .asserting import Draw, a_number, fails_with, two
from .parts import Property, part, worth
from .properties import close

LESSONS = {
    "actor_loss": "lesson 7, 'The actor: more of what went well'",
    "critic_loss": "lesson 7, 'The actor: more of what went well'",
    "step_policy": "lesson 7, 'How far to step'",
}


@worth(
    reinforce=Property(1.5, "a step down makes actions of positive advantage likelier, by the right amount"),
    real=Property(1, "steps that are not real do not count", ("reinforce",)),
    detached=Property(0.5, "advantages and actions get no gradient", ("reinforce",)),
    entropy=Property(1, "the entropy of the real steps is rewarded"),
)
def check_actor_loss(actor_loss: Callable[..., Tensor], seed: int = 0) -> None:
    """Check ``actor_loss(policy, observations, actions, advantages, weights, entropy_weight)``: value and gradient."""
    draw = Draw(seed)
    for batch, steps, obs, act in (
        (3, 4, 3, 2),
        (draw.whole(2, 5), draw.whole(2, 6), draw.whole(2, 4), draw.whole(1, 3)),
    ):
        torch.manual_seed(seed)
        policy = GaussianPolicy(obs, act, 8, draw.number(0.4, 0.9), 0.1)
        observations = draw.normal(batch, steps, obs)
        advantages = draw.normal(batch, steps).requires_grad_()
        weights = (torch.arange(steps) < 1 + torch.arange(batch)[:, None]).float()
        with torch.no_grad():
            mean = policy.mean(observations)
        actions = (mean + 0.5 * draw.normal(*mean.shape)).requires_grad_()
        # what is due is worked out first, of the networks as they are before an answer has had them in its hands
        chances = _log_prob(policy, observations, actions)
        entropy = policy(observations).entropy().mean().item() * weights.mean().item()
        loss = given(actor_loss(policy, observations, actions, advantages, weights, 0.0), "actor_loss")
        told = a_number(loss.detach() if torch.is_tensor(loss) else loss, "actor_loss")
        assert torch.as_tensor(loss).requires_grad, "no gradient leads back from the loss to the policy."
        gradients = torch.autograd.grad(loss, [*policy.parameters(), advantages, actions], allow_unused=True)
        with part("detached"):
            assert gradients[-2] is None or not gradients[-2].any(), (
                "the loss has a gradient with respect to the *advantages*: they are a judgement of the critic, not "
                "something the actor may improve."
            )
            assert gradients[-1] is None or not gradients[-1].any(), (
                "the loss has a gradient with respect to the *actions*; they were taken, and only their probability "
                "can still change."
            )
        size = f"for {act}-dimensional actions and {batch} x {steps} steps"
        with part("reinforce"):
            assert all(g is not None for g in gradients[:-2]), "some of the policy's parameters get no gradient."
            better = [p.detach() - 1e-3 * g for p, g in zip(policy.parameters(), gradients, strict=False)]
            gain = _log_prob(policy, observations, actions, better) - chances
            assert (gain * advantages * weights).sum() > 0, (
                "a step down your loss makes actions of positive advantage *less* likely. Optimisers go downhill."
            )
            all_real = actor_loss(policy, observations, actions, advantages, torch.ones_like(weights), 0.0)
            _check_value(all_real, -(chances * advantages.detach()).mean(), size)
        with part("real"):
            other = advantages.detach() + 50 * (weights == 0)
            assert close(actor_loss(policy, observations, actions, other, weights, 0.0), told), (
                "the advantages of steps that are not real change the loss."
            )
            _check_value(loss, -(chances * advantages.detach() * weights).mean(), size)
        nothing = torch.zeros_like(advantages)
        with part("entropy"):
            bonus = actor_loss(policy, observations, actions, nothing, weights, 0.1)
            # torch's types do not know that an unused one has None
            (slope,) = cast(tuple[Tensor | None], torch.autograd.grad(bonus, policy.log_std, allow_unused=True))
            slope = torch.zeros_like(policy.log_std) if slope is None else slope
            assert slope.any(), "with the weight 0.1 the entropy is not in the loss."
            assert (slope < 0).all(), (
                "without advantages, a step down the loss should make the policy *more* random; yours makes it surer."
            )
            assert abs(bonus.item() + 0.1 * entropy) < 1e-3, (
                "without advantages the loss should be what the entropy of the real steps earns, "
                f"{-0.1 * entropy:.4f}; yours is {bonus.item():.4f}."
            )


def _check_value(loss: Tensor, wanted: Tensor, size: str) -> None:
    told = float(torch.as_tensor(loss).detach())
    assert abs(told - wanted) < 1e-3 * max(1, abs(wanted)), (
        f"{size} the loss should be {wanted:.4f} with no entropy, yours is {told:.4f}. Is it the probability of "
        "the whole action, and the mean over all these steps?"
    )


def _log_prob(
    policy: nn.Module, observations: Tensor, actions: Tensor, parameters: list[Tensor] | None = None
) -> Tensor:
    policy = copy.deepcopy(policy)
    with torch.no_grad():
        for parameter, value in zip(policy.parameters(), parameters or (), strict=False):
            parameter.copy_(value)
        return policy(observations).log_prob(actions)  # [B, H-1]


@worth(
    square=Property(2, "half the mean square of what the critic is off, over steps that are real"),
    slow=Property(1, "the slow critic says what to learn, and learns nothing itself", ("square",)),
    gradient=Property(1, "the gradient is the critic's own alone", ("square", "slow")),
)
def check_critic_loss(critic_loss: Callable[..., Tensor], seed: int = 0) -> None:
    """Check ``critic_loss(critic, slow_critic, returns_of, observations, rewards, terminals)``."""
    draw = Draw(seed)
    for batch, horizon, obs in ((4, 5, 2), (draw.whole(4, 8), draw.whole(3, 8), draw.whole(2, 5))):
        torch.manual_seed(seed)
        critic = mlp(obs, 1, 8)
        slow = mlp(obs, 1, 8)
        observations = draw.normal(batch, horizon, obs).requires_grad_()
        rewards = draw.normal(batch, horizon)
        terminals = draw.ends(batch, horizon)
        lambda_ = draw.number(0.3, 0.9)

        def returns_of(
            rewards: Tensor, terminals: Tensor, values: Tensor, by: float = lambda_
        ) -> tuple[Tensor, Tensor]:
            answer = reference(rewards, terminals, values, 0.9, by, last_step_counts=True)
            return answer.value_targets, answer.reality_weight

        # what is due is worked out first, of the networks as they are before an answer has had them in its hands
        with torch.no_grad():
            aims, weights = returns_of(rewards, terminals, slow(observations)[..., 0])
        wanted = 0.5 * ((critic(observations[:, :-1])[..., 0] - aims).square() * weights).mean()
        own, _ = returns_of(rewards, terminals, critic(observations)[..., 0])
        chasing = 0.5 * ((critic(observations[:, :-1])[..., 0] - own).square() * weights).mean()
        slopes = torch.autograd.grad(wanted, list(critic.parameters()))
        arguments = (critic, slow, returns_of, observations, rewards, terminals)
        loss = given(critic_loss(*arguments), "critic_loss")
        told = a_number(loss.detach() if torch.is_tensor(loss) else loss, "critic_loss")
        assert torch.as_tensor(loss).requires_grad, "no gradient leads back from the loss to the critic."
        gradients = torch.autograd.grad(
            loss, [*slow.parameters(), *critic.parameters()], allow_unused=True, retain_graph=True
        )
        n_slow = len(list(slow.parameters()))
        with part("slow"):
            assert all(g is None or not g.any() for g in gradients[:n_slow]), (
                "the slow critic gets a gradient: what the critic should learn is given, and nothing is learned "
                "through it."
            )
            assert abs(told - chasing) > 1e-4, (
                "the critic is compared with returns made of its own values: it chases its own tail."
            )
        with part("square"):
            assert min(abs(told - wanted), abs(told - chasing)) < 1e-3 * max(1, wanted), (
                f"for {batch} trajectories of {horizon} time points the loss should be {wanted:.4f}; yours is "
                f"{told:.4f}. Do values of the shape [B, H-1, 1] meet returns of the shape [B, H-1]; do steps after an "
                "end count; is it half the square?"
            )
        with part("gradient"):
            assert all(close(a, b, 1e-3) for a, b in zip(gradients[n_slow:], slopes, strict=True)), (
                "the loss has the right value but another gradient: something that should be given is learned through, "
                "or the other way about."
            )


@worth(
    along=Property(1, "the step goes along the optimiser's own, asked once, and never beyond it"),
    size=Property(2, "it changes log pi as much as was asked for", ("along",)),
    told=Property(0.5, "the fraction and the change are reported as they are", ("along",)),
    still=Property(0.5, "a gradient of 0 does no harm", ("size",)),
)
def check_step_policy(step_policy: Callable[..., tuple[float, float]], seed: int = 0) -> None:
    """Check ``step_policy(policy, optimiser, loss, observations, actions, target, rounds)``: fraction and change."""
    draw = Draw(seed)
    for rate, target in ((0.05, 0.03), (0.02, 0.01 + 0.01 * (seed % 3)), (1e-5, 0.05)):
        torch.manual_seed(seed)
        policy = GaussianPolicy(3, 2, 16, 0.6, 0.1)
        observations = draw.normal(32, 5, 3)
        with torch.no_grad():
            actions = policy.mean(observations) + policy.std * draw.normal(32, 5, 2)
        advantages = draw.normal(32, 5)
        optimiser = torch.optim.Adam(policy.parameters(), lr=rate)
        for parameter in policy.parameters():  # what an earlier update left behind
            parameter.grad = torch.full_like(parameter, 100.0)
        before = [p.detach().clone() for p in policy.parameters()]
        old = _log_prob(policy, observations, actions)
        whole = _whole_step(policy, observations, actions, advantages, rate)
        loss = -(policy(observations).log_prob(actions) * advantages).mean()
        answer = step_policy(policy, optimiser, loss, observations, actions, target, 6)
        parts = two(answer, "step_policy should return a fraction and a change")
        fraction, told = (a_number(part, "step_policy") for part in parts)
        taken = [p.detach() - b for p, b in zip(policy.parameters(), before, strict=True)]
        change = (_log_prob(policy, observations, actions) - old).abs().mean().item()
        setting = f"with a learning rate of {rate:g} and a target of {target:g}"
        assert all(t.isfinite().all() for t in taken), f"{setting} some parameters are no longer finite."
        assert any(t.any() for t in taken), f"{setting} the policy stands where it stood: no step was taken."
        along = sum((t * w).sum() for t, w in zip(taken, whole, strict=True)) / sum(w.square().sum() for w in whole)
        zero = torch.zeros(())
        off = sum(((t - along * w).square().sum() for t, w in zip(taken, whole, strict=True)), zero).sqrt()
        with part("along"):
            assert off < 1e-2 * sum((t.square().sum() for t in taken), zero).sqrt(), (
                f"{setting} the policy did not move along Adam's own step for this loss. Is a gradient of an earlier "
                "update still there, or was Adam asked more than once?"
            )
            assert along < 1 + 1e-3, (
                f"{setting} the policy moved {along:.2f} times Adam's step; never take more than the whole."
            )
        with part("told"):
            assert abs(along - fraction) < 1e-2 * max(fraction, 1e-3), (
                f"{setting} you report the fraction {fraction:.4f} and took {along:.4f} of Adam's step."
            )
        with part("size"):
            if rate == 1e-5:
                assert along > 0.999, (
                    f"{setting} even the whole step changes less than the target, so take all of it; you took "
                    f"{along:.3f}."
                )
            else:
                assert abs(change - target) < 0.1 * target, (
                    f"{setting} log pi changed by {change:.4f} on average over the batch (its absolute value)."
                )
        with part("told"):
            assert abs(told - change) < 0.05 * change + 1e-6, (
                f"{setting} you report the change {told:.4f}; the policy you leave behind has changed by {change:.4f}."
            )
        counts = {int(state["step"]) for state in optimiser.state.values()}
        with part("along"):
            assert counts == {1}, (
                f"one update should ask the optimiser once; it was asked {max(counts, default=0)} times, and its "
                "memory moved each time."
            )
    with part("still"):
        _check_still(step_policy)


def _whole_step(
    policy: nn.Module, observations: Tensor, actions: Tensor, advantages: Tensor, rate: float
) -> list[Tensor]:
    twin = copy.deepcopy(policy)
    twin.zero_grad()
    (-(twin(observations).log_prob(actions) * advantages).mean()).backward()
    torch.optim.Adam(twin.parameters(), lr=rate).step()
    return [t.detach() - p.detach() for t, p in zip(twin.parameters(), policy.parameters(), strict=True)]


def _check_still(step_policy: Any) -> None:
    policy = GaussianPolicy(3, 2, 16, 0.6, 0.1)
    observations = torch.zeros(2, 2, 3)
    optimiser = torch.optim.Adam(policy.parameters(), lr=0.1)
    loss = 0 * policy(observations).log_prob(torch.zeros(2, 2, 2)).mean()
    stopped = fails_with(
        ZeroDivisionError, lambda: step_policy(policy, optimiser, loss, observations, torch.zeros(2, 2, 2), 0.03, 4)
    )
    finite = not stopped and all(p.isfinite().all() for p in policy.parameters())
    assert finite, "where the gradient is 0 everywhere nothing changes, and your search divides by that nothing."
