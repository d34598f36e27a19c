import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Independent, Normal

from polygrad_edu import environments
from polygrad_edu.imagined_trajectories import ImaginedTrajectories
from polygrad_edu.replay import Normaliser
from polygrad_edu.world_model_error import Starts, interval, measure_errors, on_policy, on_policyness


def policy(observations):
    mean = torch.zeros(*observations.shape[:-1], 3) + 0.1
    return Independent(Normal(mean, torch.full_like(mean, 0.4)), 1)


class Oracle:
    """Imagines with the simulator itself, plus an error that is known."""

    def __init__(self, env, states, offset=0.0, reward_offset=0.0, never_ends=False, breaks_at=None):
        self.env, self.states, self.generator = env, list(states), torch.Generator()
        self.offset, self.reward_offset, self.never_ends, self.breaks_at = offset, reward_offset, never_ends, breaks_at
        self.normaliser = Normaliser(11, 3)
        self.normaliser.observations.set(np.zeros(11), np.full(11, 2.0))
        self.normaliser.rewards.set(np.zeros(1), np.full(1, 4.0))

    def imagine(self, first_observations, policy, horizon, generator):
        rows = []
        for _ in first_observations:
            actions = policy(torch.zeros(horizon, 11)).mean
            actions = actions + 0.4 * torch.randn(actions.shape, generator=generator)
            real = environments.replay_actions(self.env, self.states.pop(0), actions.numpy())
            rows.append((real["observations"], actions, real["rewards"], real["terminals"]))
        observations, actions, rewards, terminals = (
            torch.stack([torch.as_tensor(np.asarray(row[i]), dtype=torch.float32) for row in rows]) for i in range(4)
        )
        ahead = torch.arange(horizon)[:, None]
        observations = observations + self.offset * ahead
        if self.breaks_at is not None:
            observations[:, self.breaks_at :] = float("nan")
            actions[:, self.breaks_at :] = float("nan")
        terminals = 0 * terminals if self.never_ends else terminals
        return ImaginedTrajectories(observations, actions, rewards + self.reward_offset, terminals)


@pytest.fixture(scope="module")
def hopper():
    """Hopper and 12 of its states along a random episode, from which it soon falls."""
    env = environments.make("Hopper-v5")
    observation, _ = env.reset(seed=0)
    observations, states = [], []
    for _ in range(12):
        observations.append(observation)
        states.append(environments.get_simulator_state(env))
        observation, _, terminal, _, _ = env.step(np.array([0.3, -0.2, 0.1]))
        assert not terminal
    return env, np.array(observations), np.array(states)


def measure(hopper, ahead=5, **wrong):
    env, observations, states = hopper
    starts = [Starts(policy, observations[:6], states[:6]), Starts(policy, observations[6:], states[6:])]
    return measure_errors(Oracle(env, states, **wrong), env, starts, ahead)


def test_the_simulator_itself_makes_no_error(hopper):
    errors = measure(hopper)
    assert errors.steps_ahead == [1, 2, 3, 5]
    assert errors.trajectories == [12, 12, 12, 12]
    for interval_ in (*errors.observation, *errors.reward, *errors.termination):
        assert interval_.value == pytest.approx(0, abs=1e-9)
    assert errors.seconds_per_1000 > 0


def test_a_known_error_is_measured_in_units_of_the_datas_variance(hopper):
    errors = measure(hopper, offset=0.5, reward_offset=1.0)
    # (0.5 h)^2 / 2^2, and 1^2 / 4^2
    assert [e.value for e in errors.observation] == pytest.approx([(0.25 * h) ** 2 for h in (1, 2, 3, 5)], rel=1e-4)
    assert [e.value for e in errors.reward] == pytest.approx([1 / 16] * 4, rel=1e-4)
    assert errors.at(3) == errors.observation[2]


def test_endings_are_compared_and_what_comes_after_them_is_not(hopper):
    right, wrong = measure(hopper, ahead=100), measure(hopper, ahead=100, never_ends=True, offset=1e3)
    assert right.trajectories[-1] < 12  # some have fallen by then
    assert [e.value for e in right.termination] == [0] * len(right.steps_ahead)
    for fallen, standing in zip(wrong.termination, wrong.trajectories, strict=True):
        assert fallen.value == pytest.approx((12 - standing) / 12)
    assert right.observation[-1].value == pytest.approx(0, abs=1e-9) or right.trajectories[-1] == 0


def test_an_imagination_that_explodes_is_infinitely_wrong_and_breaks_nothing(hopper):
    errors = measure(hopper, ahead=3, breaks_at=2)
    assert errors.observation[0].value == pytest.approx(0, abs=1e-9)
    assert errors.observation[2].value == np.inf
    assert np.isfinite(errors.on_policyness.ks_distance)


def test_the_interval_covers_the_median_as_often_as_it_says():
    drawn = np.random.default_rng(0)
    covered = [
        low <= np.log(2) <= high
        for _, low, high in (interval(drawn.exponential(size=60), np.median, seed, 300) for seed in range(300))
    ]
    assert 0.90 < np.mean(covered) < 0.985
    assert np.isnan(interval(np.array([]), np.median).value)


def test_on_policyness_tells_apart_right_wide_and_shifted_actions():
    noise = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    right, wide, shifted = (on_policyness(values) for values in (noise, 2 * noise, noise + 1))
    assert abs(right.mean) < 0.05
    assert right.std == pytest.approx(1, abs=0.03)
    assert right.ks_distance < 0.02
    assert wide.std == pytest.approx(2, abs=0.06)
    # sup |Phi(x) - Phi(x / 2)| and sup |Phi(x) - Phi(x - 1)|
    x = np.linspace(-6, 6, 2001)
    for found, cdf in ((wide, stats.norm.cdf(x / 2)), (shifted, stats.norm.cdf(x - 1))):
        assert found.ks_distance == pytest.approx(np.abs(stats.norm.cdf(x) - cdf).max(), abs=0.02)


def test_only_steps_before_the_imagined_end_count_as_actions():
    observations, actions = torch.zeros(2, 4, 11), torch.ones(2, 4, 3)
    terminals = torch.tensor([[0.0, 1, 0, 1], [0, 0, 0, 0]])
    standardised = on_policy(policy, ImaginedTrajectories(observations, actions, terminals, terminals))
    assert standardised.shape == (2 + 4, 3)
    torch.testing.assert_close(standardised, torch.full((6, 3), (1 - 0.1) / 0.4))
