import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal

from polygrad_edu.variants.state_guidance import advantage_score, states_shift

seeds = st.integers(0, 2**31)


@given(seeds, st.floats(0.0, 2.0))
def test_states_move_along_the_gradient_of_the_actions_log_probability(seed, scale):
    """For a = K s + sigma z it is known: d/ds log pi(a | s) = K^T (a - K s) / sigma^2."""
    torch.manual_seed(seed)
    gain, std = torch.randn(2, 3), 0.5
    states, actions = torch.randn(4, 5, 3), torch.randn(4, 5, 2)

    def policy(observations):
        mean = observations @ gain.T
        return Independent(Normal(mean, torch.full_like(mean, std)), 1)

    before = states.clone()
    shift = states_shift(states, actions, policy, scale)
    expected = scale * ((actions - states @ gain.T) / std**2) @ gain
    torch.testing.assert_close(shift, expected, rtol=1e-4, atol=1e-4)
    assert not shift.requires_grad
    assert torch.equal(states, before)


def test_states_where_the_actions_are_the_policys_mean_stay():
    states = torch.randn(4, 5, 3)

    def policy(observations):
        mean = observations[..., :2].tanh()
        return Independent(Normal(mean, torch.ones_like(mean)), 1)

    assert not states_shift(states, policy(states).mean, policy, 1.0).any()


@given(seeds, st.floats(0.0, 3.0))
def test_trajectories_are_drawn_to_more_advantage(seed, scale):
    """The gradient of sum log sigm(eta A): eta (1 - sigm(eta A)) times that of A."""
    torch.manual_seed(seed)
    trajectory, weight = torch.randn(4, 5, 6), torch.randn(6)
    before = trajectory.clone()

    def advantage_of(x):
        return (x @ weight)[:, 1:]  # [B, H-1]

    score = advantage_score(trajectory, advantage_of, scale)
    slope = scale * (1 - torch.sigmoid(scale * advantage_of(trajectory)))
    torch.testing.assert_close(score[:, 1:], slope[..., None] * weight, rtol=1e-4, atol=1e-5)
    assert not score[:, 0].any()  # no advantage depends on it here
    assert not score.requires_grad
    assert torch.equal(trajectory, before)


def test_gradients_are_taken_even_where_none_are_kept():
    trajectory = torch.randn(2, 3, 4)
    with torch.no_grad():
        drawn = advantage_score(trajectory, lambda x: x[:, 1:, 0], 1.0)
    assert (drawn[:, 1:, 0] > 0).all()
