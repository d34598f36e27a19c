"""Score guidance: pulling imagined actions towards what the policy would do.

A world model imagines under *some* actions. To be of use to the policy they must be the policy's own, but
the policy acts on states that are still being denoised. PolyGRAD's answer: start from random actions and,
at each reverse step, move them along the score of the policy at the states predicted so far (arXiv
2312.08533, section 4 and Algorithm 1). Five rules stand here:

- ``gradient``, the paper's: a step along the score and some noise, which is Langevin dynamics. Its scale is tuned.
- ``ornstein-uhlenbeck`` (ours): keeps rho of the distance to the policy's mean and adds the noise that is missing.
- ``fixed-noise`` (ours): one draw of noise for the whole chain, which the policy's mean and sigma turn into actions.
- ``sample`` and ``none``, the paper's ablations: draw anew at each step; leave the actions alone.

Every rule is told how many trained steps one visit stands for, and acts as if each of them had been taken
at the same predicted states. So a guidance scale tuned at 128 sampling steps means the same at 16; only
the clip acts once a visit.

Built in lesson 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor
from torch.distributions import ComposeTransform, Distribution, TransformedDistribution

from .files.input_error import InputError
from .settings import GuidanceSettings

# Asked at raw observations [..., O], it answers with a distribution over raw actions [..., A].
Policy = Callable[[Tensor], Distribution]


def policy_score(distribution: Distribution, actions: Tensor, method: str = "closed-form") -> Tensor:
    r"""The policy's score $\nabla_a \log \pi(a \mid s)$, in the environment's units.

    Args:
        distribution: pi(. | s) for each row.
        actions: [..., A] where the gradient is taken.
        method: ``autograd`` asks only for a differentiable ``log_prob``; ``closed-form`` is
            $(\mu - a) / \sigma^2$, right for a Gaussian and several times faster.
    """
    if method == "closed-form":
        if isinstance(distribution, TransformedDistribution):
            raise InputError("the closed form is a Gaussian's; for this policy use the score 'autograd'")
        # \nabla_a \log N(a; \mu, \sigma^2) = (\mu - a) / \sigma^2
        return (distribution.mean - actions) / distribution.variance  # [..., A]
    if method != "autograd":
        raise ValueError(f"method {method!r} is unknown; choose closed-form or autograd")
    with torch.enable_grad():
        actions = actions.detach().requires_grad_()
        log_prob = distribution.log_prob(actions).sum()
        return torch.autograd.grad(log_prob, actions)[0]  # [..., A]


def clip_to_policy(actions: Tensor, distribution: Distribution, clip_std: float) -> Tensor:
    """Actions within ``clip_std`` standard deviations of the policy's mean (before it squashes, if it does); 0: any."""
    if clip_std == 0:
        return actions
    if isinstance(distribution, TransformedDistribution):
        return _squash(clip_to_policy(_unsquash(actions, distribution), distribution.base_dist, clip_std), distribution)
    reach = clip_std * distribution.stddev
    return torch.clamp(actions, distribution.mean - reach, distribution.mean + reach)


def limit_actions(actions: Tensor, limit: float) -> Tensor:
    """Actions cut to +-``limit``, as the task cuts them before it plays them; 0: as they are."""
    return actions.clamp(-limit, limit) if limit else actions


def guide_actions(
    actions: Tensor,
    distribution: Distribution,
    guidance: GuidanceSettings,
    noise: Tensor,
    step_stds: Sequence[float] | Tensor,
    action_unit: Tensor,
) -> Tensor:
    r"""Move actions towards the policy's distribution, for one visit of the sampler.

    Args:
        actions: [B, H, A] now, in the environment's units.
        distribution: the policy at the predicted states, [B, H] rows of A.
        guidance: the rule and its settings.
        noise: [B, H, A] standard normal, for ``fixed-noise`` the same draw at every visit; with the
            autograd score [k, B, H, A], a draw for each of the visit's k trained steps.
        step_stds: posterior standard deviation of each trained step that this visit stands for, noisiest
            first, in normalised units. Its length is the number of steps. Where time points make visits of their
            own, [k, H, 1], with zeros before the steps of those that make fewer than k.
        action_unit: [A] one normalised action unit in the environment's units.

    Returns:
        [B, H, A] actions in the environment's units.
    """
    if guidance.rule == "none":
        return actions
    n_steps = (step_stds > 0).sum(dim=0) if isinstance(step_stds, Tensor) else len(step_stds)  # [H, 1] or a number
    if isinstance(distribution, TransformedDistribution):  # guide where the policy is Gaussian: before it squashes
        inner = guide_actions(
            _unsquash(actions, distribution), distribution.base_dist, guidance, noise, step_stds, action_unit
        )
        return _squash(inner, distribution)
    if guidance.rule in ("sample", "fixed-noise"):
        # a = \mu(s) + \sigma \epsilon, with a new epsilon each time or one for the whole chain
        wanted = actions_from_noise(distribution, noise)
        if guidance.rule == "sample" or not guidance.inertia:
            return wanted
        # a <- a^* + \rho^k (a - a^*): k steps, each of which keeps \rho of the distance
        return torch.lerp(wanted, actions, guidance.inertia**n_steps)
    mean, std = distribution.mean, distribution.stddev
    if guidance.rule == "ornstein-uhlenbeck":
        # a <- \mu + \rho (a - \mu) + \sqrt{1 - \rho^2} \sigma \epsilon leaves N(\mu, \sigma^2) as it is
        rho = guidance.persistence**n_steps
        actions = clip_to_policy(actions, distribution, guidance.clip_std)
        return mean + rho * (actions - mean) + (1 - rho**2) ** 0.5 * std * noise
    actions = clip_to_policy(actions, distribution, guidance.clip_std)
    noise_unit = guidance.action_noise_scale * (std if guidance.precondition else action_unit)
    if guidance.score == "autograd":
        return _gradient_steps(actions, distribution, guidance, noise, step_stds, noise_unit)
    # Each step contracts a Gaussian's a - mu by r = 1 - \lambda / \sigma^2 and adds its noise, so k of them are
    # a <- \mu + r^k (a - \mu) + \sqrt{\sum_j v_j r^{2(k-1-j)}} \epsilon
    contraction = 1 - guidance.scale / (1.0 if guidance.precondition else distribution.variance)
    noise_variance = 0.0
    for step_std in step_stds:
        noise_variance = contraction**2 * noise_variance + step_std**2
    if isinstance(noise_variance, Tensor):  # where an action makes no step it is 0, and there a root has no slope
        noise_variance = noise_variance.clamp(min=1e-30)
    shift = contraction**n_steps * (actions - mean)
    return mean + shift + noise_unit * noise_variance**0.5 * noise


def _gradient_steps(
    actions: Tensor,
    distribution: Distribution,
    guidance: GuidanceSettings,
    noise: Tensor,
    step_stds: Sequence[float] | Tensor,
    noise_unit: float | Tensor,
) -> Tensor:
    """The gradient rule for any distribution, one trained step at a time, which the closed form takes at once."""
    for step_noise, step_std in zip(noise, step_stds, strict=True):
        # a <- a + \lambda \nabla_a \log \pi(a | s) + \sigma_t \epsilon
        pull = guidance.scale * policy_score(distribution, actions, "autograd")
        if guidance.precondition:
            pull = pull * distribution.variance
        if isinstance(step_std, Tensor):
            pull = pull * (step_std > 0)  # a time point that makes fewer steps waits for the others
        actions = actions + pull + noise_unit * step_std * step_noise  # [B, H, A]
    return actions


def actions_from_noise(distribution: Distribution, noise: Tensor) -> Tensor:
    r"""The action that standard normal ``noise`` stands for: $\mu + \sigma \epsilon$, squashed if the policy is."""
    if isinstance(distribution, TransformedDistribution):
        return _squash(actions_from_noise(distribution.base_dist, noise), distribution)
    return distribution.mean + distribution.stddev * noise


def standardise_actions(actions: Tensor, distribution: Distribution) -> Tensor:
    r"""$(a - \mu(s)) / \sigma$, its squashing undone: standard normal if the actions are the policy's own."""
    if isinstance(distribution, TransformedDistribution):
        return standardise_actions(_unsquash(actions, distribution), distribution.base_dist)
    return (actions - distribution.mean) / distribution.stddev


def _squash(actions: Tensor, distribution: TransformedDistribution) -> Tensor:
    return cast(Tensor, ComposeTransform(distribution.transforms)(actions))


def _unsquash(actions: Tensor, distribution: TransformedDistribution) -> Tensor:
    return cast(Tensor, ComposeTransform(distribution.transforms).inv(actions))


class GuidanceScaleTuner:
    r"""Tunes the gradient rule's scale until the standardised actions have a standard deviation of 1.

    Too weak a pull leaves the actions wider than the policy, too strong a pull narrower. Descent on
    $\log \lambda$ with the error as gradient: $\log\lambda \leftarrow \log\lambda + \eta (\mathrm{std} - 1)$.

    Attributes:
        scale: () lambda now; hand it to a sampler as ``GuidanceSettings(scale=tuner.scale)``, and it follows.
    """

    def __init__(self, scale: float | Tensor, learning_rate: float, device: torch.device | str = "cpu"):
        self.log_scale = torch.tensor(float(scale), device=device).log()
        self.scale = self.log_scale.exp()
        self.learning_rate = learning_rate

    def update(self, action_std: Tensor) -> None:
        """Take one step, given the standardised actions' standard deviation."""
        # A batch gone astray moves the scale by no more than one that is off by 1.
        self.set(self.log_scale + self.learning_rate * (action_std - 1).clamp(-1, 1))

    def set(self, log_scale: Tensor) -> None:
        """Go on from ``log_scale``; in place, because a sampler keeps reading :attr:`scale` where it stands."""
        self.log_scale.copy_(log_scale)
        self.scale.copy_(self.log_scale.exp())
