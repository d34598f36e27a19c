import pytest
import torch

from polygrad_edu.actor_critic import ActorCritic
from polygrad_edu.policy_update import ActorCriticOptimiser
from polygrad_edu.settings import ActorCriticSettings, PolicyUpdateSettings


def batch(n=256, horizon=5):
    torch.manual_seed(5)
    model = ActorCritic(3, 2, ActorCriticSettings(policy_width=32, real_steps_only=True))
    observations = torch.randn(n, horizon, 3)
    with torch.no_grad():
        actions = model.policy(observations).sample()
    return model, observations, actions


def optimiser_of(model, actor_learning_rate, target_change):
    return ActorCriticOptimiser(model, PolicyUpdateSettings(actor_learning_rate, 1e-3, target_change))


def test_line_search_meets_the_target_change():
    model, observations, actions = batch()
    optimiser = optimiser_of(model, 0.1, target_change=0.02)
    before = model.policy(observations[:, :-1]).log_prob(actions[:, :-1]).detach()
    metrics = optimiser.update(observations, actions, torch.randn(256, 5), torch.zeros(256, 5))
    change = (model.policy(observations[:, :-1]).log_prob(actions[:, :-1]) - before).abs().mean().item()
    assert change == pytest.approx(0.02, rel=0.2)
    assert 0 < metrics["step_fraction"] < 1


def test_line_search_never_exceeds_the_optimisers_own_step():
    model, observations, actions = batch()
    optimiser = optimiser_of(model, 1e-5, target_change=0.5)
    before = [parameter.clone() for parameter in model.policy.parameters()]
    metrics = optimiser.update(observations, actions, torch.randn(256, 5), torch.zeros(256, 5))
    assert metrics["step_fraction"] == 1
    moved = max((new - old).abs().max() for new, old in zip(model.policy.parameters(), before, strict=True))
    assert moved <= 1.05e-5


def test_policy_moves_towards_rewarded_actions():
    model, observations, _ = batch()
    optimiser = optimiser_of(model, 3e-3, target_change=0.1)
    wanted = torch.tensor([0.5, -0.5])
    start = (model.policy.mean(observations) - wanted).square().mean().item()
    for _ in range(150):
        with torch.no_grad():
            actions = model.policy(observations).sample()
        rewards = -(actions - wanted).square().sum(-1)
        optimiser.update(observations, actions, rewards, torch.ones(256, 5))
    assert (model.policy.mean(observations) - wanted).square().mean().item() < 0.1 * start
