import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polygrad_edu.actor_critic import ActorCritic, GaussianPolicy, lambda_returns
from polygrad_edu.settings import ActorCriticSettings


def small(observation_size, action_size, width, **settings):
    """An actor-critic with networks of that width and, but for the settings named, the paper's settings."""
    return ActorCritic(observation_size, action_size, ActorCriticSettings(policy_width=width, **settings))


@pytest.fixture
def recorded(golden):
    return golden("actor_critic")


@pytest.fixture
def official(recorded):
    """Our actor-critic with the official weights and settings."""
    model = small(
        recorded["observations"].shape[-1],
        recorded["actions"].shape[-1],
        width=16,
        minimum_std=recorded["min_std"],
        gamma=recorded["gamma"],
        gae_lambda=recorded["lambda_gae"],
        entropy_weight=recorded["entropy_weight"],
    )
    renamed = {"value_mean": torch.zeros(()), "value_scale": torch.ones(())}
    for name, value in recorded.items():
        if name.startswith("weight/"):
            new = name[len("weight/") :].replace("actor.model", "policy.network").replace("critic.model", "critic")
            new = new.replace("critic_target.model", "target_critic").replace("logstd._bias", "policy.log_std")
            renamed[new] = value
    model.load_state_dict(renamed)
    return model


def test_value_and_advantages_are_the_official_ones(official, recorded, close):
    values = official.value(recorded["observations"], official.target_critic).detach()
    close(values, recorded["target_values"])
    ours = lambda_returns(recorded["rewards"], recorded["terminals"], values, recorded["gamma"], recorded["lambda_gae"])
    close(ours.advantages, recorded["advantages"])
    close(ours.value_targets, recorded["value_targets"])
    close(ours.reality_weight, recorded["reality_weight"])


def test_losses_are_the_official_ones(official, recorded, close):
    losses = official.losses(*(recorded[name] for name in ("observations", "actions", "rewards", "terminals")))
    close(losses.actor.detach(), recorded["actor_loss"])
    close(losses.critic.detach(), recorded["critic_loss"])
    close(losses.entropy.detach(), recorded["policy_entropy"])
    close(losses.action_std, recorded["action_std"])
    close(losses.action_mean, recorded["action_mean"])


def explicit_lambda_return(rewards, terminals, values, gamma, lambda_, t):
    """The lambda-return of step t as the weighted sum of its n-step returns, in plain Python."""
    last = len(rewards) - 1
    n_step, discount, total = 0.0, 1.0, 0.0
    for n, k in enumerate(range(t, last), start=1):
        n_step += discount * rewards[k]
        discount *= gamma * (1 - terminals[k])
        with_value = n_step + discount * values[k + 1]
        ended = terminals[k] == 1 or k == last - 1
        total += lambda_ ** (n - 1) * (1 if ended else 1 - lambda_) * with_value
        if ended:
            break
    return total


@given(st.integers(2, 8), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**31))
def test_lambda_returns_are_weighted_n_step_returns(horizon, gamma, lambda_, seed):
    torch.manual_seed(seed)
    rewards, values = torch.randn(1, horizon).double(), torch.randn(1, horizon).double()
    terminals = (torch.rand(1, horizon) < 0.2).double()
    ours = lambda_returns(rewards, terminals, values, gamma, lambda_)
    lists = [tensor[0].tolist() for tensor in (rewards, terminals, values)]
    expected = [explicit_lambda_return(*lists, gamma, lambda_, t) for t in range(horizon - 1)]
    torch.testing.assert_close(ours.value_targets[0], torch.tensor(expected).double())
    torch.testing.assert_close(ours.advantages, ours.value_targets - values[:, :-1])


def test_steps_after_a_terminal_have_no_weight():
    terminals = torch.tensor([[0.0, 0, 1, 0, 0, 0]])
    arguments = (torch.zeros(1, 6), terminals, torch.zeros(1, 6), 0.9, 0.9)
    assert lambda_returns(*arguments).reality_weight.tolist() == [[1, 1, 0, 0, 0]]
    assert lambda_returns(*arguments, last_step_counts=True).reality_weight.tolist() == [[1, 1, 1, 0, 0]]


def test_with_real_steps_only_nothing_imagined_after_the_end_matters():
    torch.manual_seed(3)
    observations, actions, rewards = torch.randn(16, 6, 3), torch.randn(16, 6, 2), torch.randn(16, 6)
    terminals = torch.zeros(16, 6)
    terminals[:8, 2:] = 1

    def gradients(real_steps_only, disturb):
        torch.manual_seed(0)
        model = small(3, 2, 16, real_steps_only=real_steps_only)
        after = rewards.clone()
        after[:8, 3:] += disturb
        losses = model.losses(observations, actions, after, terminals)
        return torch.cat([g.flatten() for g in torch.autograd.grad(losses.actor, list(model.policy.parameters()))])

    torch.testing.assert_close(gradients(True, 5.0), gradients(True, 0.0))
    assert not torch.allclose(gradients(False, 5.0), gradients(False, 0.0))


@given(st.floats(-1e4, 1e4), st.floats(0.01, 1e4), st.floats(0.01, 1.0))
def test_values_stay_the_same_while_their_statistics_are_followed(centre, spread, rate):
    torch.manual_seed(0)
    model = small(3, 1, 8, value_statistics_rate=rate)
    observations = torch.randn(20, 3)
    before = model.value(observations), model.value(observations, model.target_critic)
    model.follow_value_statistics(centre + spread * torch.randn(50))
    after = model.value(observations), model.value(observations, model.target_critic)
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-3 * max(1.0, abs(centre) / 100))


def test_value_statistics_arrive_at_the_targets():
    model = small(3, 1, 8, value_statistics_rate=0.1)
    torch.manual_seed(1)
    for _ in range(200):
        model.follow_value_statistics(-300 + 40 * torch.randn(1000))
    assert model.value_mean.item() == pytest.approx(-300, abs=2)
    assert model.value_scale.item() == pytest.approx(40, rel=0.1)


@pytest.mark.parametrize(("initial", "minimum"), [(0.1, 0.1), (0.5, 0.0), (0.05, 0.1)])
def test_impossible_spreads_are_refused(initial, minimum):
    with pytest.raises(ValueError, match="initial_std"):
        GaussianPolicy(3, 1, 8, initial, minimum)


def test_the_advantage_for_guidance_is_the_one_step_advantage_in_units_of_the_value_scale():
    model = small(3, 2, 8, gamma=0.9)
    model.value_scale.fill_(4.0)
    observations, rewards, terminals = torch.randn(5, 4, 3), torch.randn(5, 4), torch.zeros(5, 4)
    terminals[:, 1] = 1.3  # while it is being denoised a terminal may leave [0, 1]
    values = model.value(observations, model.target_critic)
    ours = model.advantage(observations, rewards, terminals)
    expected = (rewards[:, 0] + 0.9 * values[:, 1] - values[:, 0]) / 4
    torch.testing.assert_close(ours[:, 0], expected)
    torch.testing.assert_close(ours[:, 1], (rewards[:, 1] - values[:, 1]) / 4)
    assert ours.shape == (5, 3)
