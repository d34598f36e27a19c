import copy

import pytest
import torch
from torch import nn

from polygrad_edu.actor_critic import lambda_returns
from polygrad_edu.files.input_error import InputError
from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.presets import get_preset
from polygrad_edu.replay import Normaliser
from polygrad_edu.settings import RULES, ActorCriticSettings, PolicyUpdateSettings
from polygrad_edu.variants.pathwise_gradient import N_CRITICS, PathwiseActorCritic, PathwiseOptimiser

O, A, B, H = 2, 1, 256, 6  # noqa: E741 - the field's letters
GAMMA = 0.9
TINY = {
    "env_steps": 60,
    "prefill_steps": 40,
    "pretrain_updates": 2,
    "width": 16,
    "depth": 1,
    "policy_width": 8,
    "horizon": 4,
    "sampling_steps": 2,
    "delay": 2,
    "batch_size": 8,
    "imagined_trajectories": 6,
    "policy_update_every": 5,
    "eval_every": 60,
    "eval_episodes": 1,
    "denoiser": "step-mlp",
    "prediction": "change",
    "endings": "read",
    "policy_gradient": "pathwise",
    "critic_updates": 2,
    "action_limit": 1.0,
}


def tiny(**changes):
    return get_preset("inverted-pendulum").with_overrides(TINY | changes)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def normaliser():
    made = Normaliser(O, A)
    made.observations.set(torch.tensor([0.5, -1.0]), torch.tensor([2.0, 3.0]))
    return made


def make(normaliser, seed=0, **settings):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        asked = {"policy_width": 32, "initial_std": 0.4, "minimum_std": 0.05, "gamma": GAMMA} | settings
        return PathwiseActorCritic(normaliser, ActorCriticSettings(**asked))


def play(policy, first, noise):
    """A world known by heart: the first number moves by the action, and the reward is how near it is to 0."""
    states, actions, rewards = [first], [], []
    for t in range(H):
        distribution = policy(states[-1])
        actions.append(distribution.mean + distribution.stddev * noise[:, t])
        moved = states[-1] + torch.cat([actions[-1], torch.zeros(len(first), O - A)], dim=-1)
        rewards.append(-moved[:, 0].square())
        states.append(moved)
    stacked = [torch.stack(part, dim=1) for part in (states[:-1], actions, rewards)]
    return *stacked, torch.zeros(len(first), H)


def test_the_policy_starts_with_the_sigma_that_was_asked_for(normaliser):
    distribution = make(normaliser).policy(torch.randn(500, O, generator=seeded()))
    assert distribution.stddev.mean().item() == pytest.approx(0.4, abs=0.02)
    assert distribution.mean.abs().mean() < 0.1


def test_sigma_stays_between_its_bounds(normaliser):
    policy = make(normaliser).policy
    with torch.no_grad():
        for parameter in policy.network.parameters():
            parameter.mul_(50)
    std = policy(100 * torch.randn(500, O, generator=seeded())).stddev
    assert std.min() >= 0.05
    assert std.max() <= 1


def test_the_lesser_of_the_critics_counts(normaliser):
    model = make(normaliser)
    observations = torch.randn(4, 7, O, generator=seeded())
    values = model.values(observations)
    assert values.shape == (N_CRITICS, 4, 7)
    assert not torch.allclose(values[0], values[1])
    assert torch.equal(model.value(observations), torch.minimum(values[0], values[1]))


def test_values_do_not_jump_when_their_scale_moves(normaliser):
    model = make(normaliser, value_statistics_rate=0.5)
    observations = torch.randn(50, O, generator=seeded())
    before = model.values(observations)
    model.follow_value_statistics(30 + 20 * torch.randn(100, generator=seeded()))
    assert model.value_scale > 5
    torch.testing.assert_close(model.values(observations), before, rtol=1e-4, atol=1e-4)


def test_what_follows_the_replay_is_the_policy_and_not_its_copy(normaliser):
    model = make(normaliser)
    model.follow_observations()
    kept = copy.deepcopy(model.policy)
    normaliser.observations.set(torch.tensor([5.0, 5.0]), torch.tensor([1.0, 1.0]))
    assert model.policy.mean_seen.tolist() == [0.5, -1.0]
    model.follow_observations()
    assert model.policy.mean_seen.tolist() == [5.0, 5.0]
    assert kept.mean_seen.tolist() == [0.5, -1.0]


def test_the_gradient_is_that_of_the_return(normaliser):
    """Against central differences of the return itself, the noise held, in a world known by heart."""
    model = make(normaliser).double()
    first = torch.randn(B, O, generator=seeded(1), dtype=torch.float64)
    noise = torch.randn(B, H, A, generator=seeded(2), dtype=torch.float64)

    def mean_return():
        observations, _, rewards, terminals = play(model.policy, first, noise)
        values = model.value(observations, model.target_critic)
        return lambda_returns(rewards, terminals, values, GAMMA, 0.9, last_step_counts=True).value_targets.mean()

    last = model.policy.network[-1]
    assert isinstance(last, nn.Linear)
    (gradient,) = torch.autograd.grad(mean_return(), [last.bias])
    with torch.no_grad():
        for i in range(2 * A):
            ends = []
            for sign in (1, -1):
                last.bias[i] += sign * 1e-4
                ends.append(mean_return())
                last.bias[i] -= sign * 1e-4
            assert gradient[i].item() == pytest.approx((ends[0] - ends[1]).item() / 2e-4, rel=1e-3, abs=1e-6)


def test_it_learns_a_world_known_by_heart(normaliser):
    model = make(normaliser, value_statistics_rate=0.05, entropy_weight=0.0)
    optimiser = PathwiseOptimiser(model, PolicyUpdateSettings(actor_learning_rate=3e-3, critic_updates=4))
    generator = seeded(3)
    returns = []
    for _ in range(150):
        first = torch.randn(64, O, generator=generator)
        batch = play(model.policy, first, torch.randn(64, H, A, generator=generator))
        returns.append(batch[2].mean().item())
        optimiser.update(*batch)
    assert returns[-1] > 0.2 * returns[0]  # what it loses is less than a fifth of what it lost
    # it stands where it should from there on, so a start costs little more than its own distance
    values = model.value(torch.tensor([[0.0, 0.0], [3.0, 0.0]]))
    assert values[0] > values[1]


def test_neither_world_nor_target_gets_a_gradient(normaliser):
    model = make(normaliser)
    optimiser = PathwiseOptimiser(model, PolicyUpdateSettings())
    world = torch.zeros(O, requires_grad=True)
    observations, actions, rewards, terminals = play(
        model.policy, torch.randn(8, O, generator=seeded()), torch.randn(8, H, A, generator=seeded())
    )
    optimiser.update(observations + world, actions, rewards + world.sum(), terminals)
    assert world.grad is None
    assert all(parameter.grad is None for parameter in model.target_critic.parameters())


def test_what_is_imagined_after_an_ending_does_not_count(normaliser):
    """An ending for sure at the first step: whatever the rest promises, the policy is not told."""
    updated = []
    for promise in (0.0, 1e3):
        model = make(normaliser)
        optimiser = PathwiseOptimiser(model, PolicyUpdateSettings())
        observations, actions, rewards, terminals = play(
            model.policy, torch.randn(8, O, generator=seeded()), torch.randn(8, H, A, generator=seeded())
        )
        late = torch.arange(H) > 0
        terminals[:, 0] = 1.0
        optimiser.update(observations, actions, rewards + promise * late * actions.sum(dim=-1), terminals)
        updated.append(torch.cat([parameter.flatten() for parameter in model.policy.parameters()]))
    torch.testing.assert_close(*updated)


def test_a_loop_learns_and_reports(tmp_path):
    loop = ImaginationLoop(tiny(), seed=0)
    before = copy.deepcopy(loop.actor_critic.policy.network.state_dict())
    *_, last = loop.steps()
    assert {"actor_loss", "critic_loss", "policy_std", "action_std", "exploded_share"} <= last.keys()
    moved = loop.actor_critic.policy.network.state_dict()
    assert any(not torch.equal(before[name], moved[name]) for name in before)
    assert loop.replay.actions[: loop.replay.size].abs().max() <= 1


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "none"])  # which is not the policy's
@pytest.mark.parametrize(
    "denoiser", [{}, {"denoiser": "mlp", "prediction": "velocity", "delay": 0, "endings": "diffused"}]
)
def test_gradients_flow_through_every_denoiser_and_rule(denoiser, rule):
    loop = ImaginationLoop(tiny(**denoiser, guidance=rule, env_steps=40), seed=0)
    for _ in loop.steps():
        pass
    policy = loop.actor_critic.policy
    imagined = loop.world_model.imagine_differentiably(loop.draw_states(5), policy, 4)
    assert imagined.observations.shape == (5, 4, 4)
    (into_mean,) = torch.autograd.grad(imagined.observations[:, -1].sum(), [policy.network[-1].weight])
    assert into_mean.isfinite().all()
    assert into_mean.abs().sum() > 0
    assert 0 <= imagined.terminals.min() <= imagined.terminals.max() <= 1


def test_imagined_with_and_without_gradients_is_the_same():
    loop = ImaginationLoop(tiny(env_steps=40), seed=0)
    for _ in loop.steps():
        pass
    first, policy = loop.draw_states(5), loop.actor_critic.policy
    plain = loop.world_model.imagine(first, policy, 4, seeded(1))
    through = loop.world_model.imagine_differentiably(first, policy, 4, seeded(1))
    for name in ("observations", "actions", "rewards"):
        assert torch.equal(getattr(plain, name), getattr(through, name).detach()), name


def test_a_horizon_beyond_what_is_imagined_at_once_is_refused():
    loop = ImaginationLoop(tiny(env_steps=40), seed=0)
    for _ in loop.steps():
        pass
    with pytest.raises(ValueError, match="4 time points are imagined at once, not 5"):
        loop.world_model.imagine_differentiably(loop.draw_states(2), loop.actor_critic.policy, 5)


def test_what_has_no_such_gradient_is_refused():
    with pytest.raises(InputError, match="flows through polygrad's trajectories, not through transformer's"):
        get_preset("inverted-pendulum").with_overrides(world_model="transformer", policy_gradient="pathwise")
    with pytest.raises(InputError, match="nothing guides"):
        get_preset("inverted-pendulum").with_overrides(guidance="none", policy_gradient="pathwise")
    with pytest.raises(InputError, match="endings are read by the denoiser step-mlp; with mlp"):
        get_preset("inverted-pendulum").with_overrides(endings="read")


@pytest.mark.parametrize(("target", "updates"), [(0.0, 300), (0.2, 1500)])
def test_sigma_is_held_where_it_should_be(normaliser, target, updates):
    """In a world where noise only costs: sigma sinks towards its minimum, and only a target lifts it again."""
    model = make(normaliser, value_statistics_rate=0.05, entropy_weight=1e-3, target_std=target)
    optimiser = PathwiseOptimiser(model, PolicyUpdateSettings(actor_learning_rate=3e-3, critic_updates=2))
    generator = seeded(3)
    for _ in range(updates):
        first = torch.randn(32, O, generator=generator)
        optimiser.update(*play(model.policy, first, torch.randn(32, H, A, generator=generator)))
    std = model.policy(torch.randn(500, O, generator=generator)).stddev.log().mean().exp()
    if target:
        assert std.item() == pytest.approx(target, rel=0.4)
    else:
        assert std < 0.1
