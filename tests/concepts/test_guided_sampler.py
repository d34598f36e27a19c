import math
from typing import NamedTuple

import pytest
import torch
from torch.distributions import Independent, Normal

from polygrad_edu.guided_sampler import CHANGE_LIMIT_STEPS, GuidedSampler, SamplerNoise, SamplerState
from polygrad_edu.noise_schedule import NoiseSchedule
from polygrad_edu.replay import Normaliser
from polygrad_edu.score_guidance import GuidanceScaleTuner, Policy, standardise_actions
from polygrad_edu.settings import RULES, GuidanceSettings
from polygrad_edu.trajectory_diffusion import TrajectoryDiffusion
from tests.concepts.test_denoiser import load_official
from tests.concepts.test_trajectory_diffusion import ReturnsItsInput

NO_CHANGE_LIMIT = 1e6


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def linear_policy(weight, bias, std, squash=torch.tanh):
    def policy(observations):
        mean = squash(observations @ weight + bias)
        return Independent(Normal(mean, std.expand_as(mean)), 1)

    return policy


class World(NamedTuple):
    """A recorded chain of the official code, and our model, policy, normaliser and guidance set up to repeat it."""

    model: TrajectoryDiffusion
    policy: Policy
    normaliser: Normaliser
    guidance: dict
    chain: dict

    def sampler(self, n_visits=None, eta=1.0, **guidance):
        walk = self.model.schedule.walk(n_visits, eta)
        return GuidedSampler(self.model, walk, GuidanceSettings(**(self.guidance | guidance)), self.normaliser)

    @property
    def first(self):
        """[B, O] in the environment's units; recorded are normalised ones."""
        return self.normaliser.observations.denormalise(self.chain["first_obs"])

    @property
    def horizon(self):
        return self.chain["action_chain"].shape[2]

    def state(self, k):
        """The recorded state after k steps."""
        return SamplerState(self.chain["trajectory_chain"][k], self.chain["action_chain"][k])

    def noise(self, k, score="closed-form"):
        """The recorded draws of step k; the autograd score wants a row of them for each trained step, here one."""
        action_noise = self.chain["action_noise"][k]
        return SamplerNoise(
            self.chain["trajectory_noise"][k], action_noise[None] if score == "autograd" else action_noise
        )


@pytest.fixture
def world(golden):
    schedule, denoiser, chain = golden("schedule"), golden("denoiser"), golden("guided_sampling")
    size = chain["obs_mean"].numel()
    noise_schedule = NoiseSchedule.cosine(schedule["n_steps"], schedule["tau"])
    model = TrajectoryDiffusion(load_official(denoiser), noise_schedule, size).requires_grad_(False)
    normaliser = Normaliser(size, chain["act_mean"].numel())
    normaliser.observations.set(chain["obs_mean"], chain["obs_std"])
    normaliser.actions.set(chain["act_mean"], chain["act_std"])
    guidance = dict(
        scale=chain["guidance_scale"],
        action_noise_scale=chain["action_noise_scale"],
        clip_std=0.0 if math.isnan(chain["clip_std"]) else chain["clip_std"],
        change_limit=chain["clip_state_change"],
        guide_at={"recon": "reconstruction"}.get(chain["states_for_guidance"], chain["states_for_guidance"]),
    )
    policy = linear_policy(chain["policy_weight"], chain["policy_bias"], chain["policy_std"])
    return World(model, policy, normaliser, guidance, chain)


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# ---- one step ----


@pytest.mark.parametrize("score", ["closed-form", "autograd"])
@pytest.mark.parametrize("restart", [True, False], ids=["each step by itself", "the whole chain"])
def test_every_step_of_the_guided_chain_is_the_official_one(world, close, score, restart):
    sampler = world.sampler(score=score)
    state = world.state(0)
    for k, visit in enumerate(sampler.walk):
        if restart:
            state = world.state(k)
        state = sampler.step(visit, state, world.chain["first_obs"], world.policy, world.noise(k, score))
        close(state.trajectory, world.chain["trajectory_chain"][k + 1])
        close(state.actions, world.chain["action_chain"][k + 1])


def assert_pure(sampler, visit, state, normed_first, policy, noise):
    """Check that a step gives the same again and changes none of its arguments; returns what it gave."""
    arguments = (*state, normed_first, *noise)
    before = [argument.clone() for argument in arguments]
    once, again = (sampler.step(visit, state, normed_first, policy, noise) for _ in range(2))
    assert equal(once, again)
    assert equal(arguments, before)
    return once


def test_a_guided_step_is_pure(world):
    assert_pure(
        world.sampler(),
        world.model.schedule.walk().visit(5),
        world.state(3),
        world.chain["first_obs"],
        world.policy,
        world.noise(3),
    )


@pytest.mark.parametrize("prediction", ["x0", "velocity"])
@pytest.mark.parametrize("settings", [*({"rule": rule} for rule in RULES), {"update_states": True}, {"clip_std": 0.0}])
def test_a_step_is_pure_even_if_the_denoiser_returns_its_input(prediction, settings):
    schedule = NoiseSchedule.cosine(32)
    model = TrajectoryDiffusion(ReturnsItsInput(), schedule, 3, prediction)
    sampler = GuidedSampler(model, schedule.walk(8), GuidanceSettings(**settings, advantage_scale=1), Normaliser(3, 1))
    policy = linear_policy(torch.ones(3, 1), torch.zeros(1), torch.ones(1))
    state = SamplerState(torch.randn(2, 4, 5), torch.randn(2, 4, 1))
    noise = SamplerNoise(torch.randn(2, 4, 5), torch.randn(2, 4, 1))
    normed_first = torch.randn(2, 3)

    def advantage(observations, rewards, terminals):
        return observations[:, 1:, 0] + rewards[:, 1:]

    for visit in sampler.walk:
        after = assert_pure(sampler.with_advantage(advantage), visit, state, normed_first, policy, noise)
        assert torch.equal(after.trajectory[:, 0, :3], normed_first)
        assert not after.trajectory.requires_grad


@pytest.mark.parametrize("n_visits", [None, 5])
@pytest.mark.parametrize("eta", [1.0, 0.3])
def test_without_guidance_a_step_is_the_plain_reverse_step(world, n_visits, eta, monkeypatch):
    """Equal to the last bit with the change limit off; one so wide that it never acts may round differently."""
    sampler = world.sampler(n_visits, eta, rule="none", clip_std=0.0, change_limit=NO_CHANGE_LIMIT)
    first = world.chain["first_obs"]
    for k, visit in enumerate(sampler.walk):
        state, noise = world.state(k), world.noise(k)
        plain = world.model.reverse_step(visit, *state, first, noise.trajectory)
        limited = sampler.step(visit, state, first, world.policy, noise)
        with monkeypatch.context() as patch:
            patch.setattr("polygrad_edu.guided_sampler.CHANGE_LIMIT_STEPS", -1)
            unlimited = sampler.step(visit, state, first, world.policy, noise)
        assert torch.equal(unlimited.trajectory, plain)
        if visit.trained_step > CHANGE_LIMIT_STEPS:
            assert torch.equal(limited.trajectory, plain)
        torch.testing.assert_close(limited.trajectory, plain, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(limited.actions, state.actions, atol=1e-6, rtol=1e-6)  # there and back in units


class FarAway(torch.nn.Module):
    """A denoiser that always wants to be elsewhere."""

    def forward(self, trajectory, actions, step):
        return torch.full_like(trajectory, 1e6)


@pytest.mark.parametrize("n_visits", [64, 16])
def test_the_change_limit_is_per_trained_step(n_visits):
    schedule = NoiseSchedule.cosine(64)
    walk = schedule.walk(n_visits)
    guidance = GuidanceSettings(change_limit=0.25)
    sampler = GuidedSampler(TrajectoryDiffusion(FarAway(), schedule, 1), walk, guidance, Normaliser(1, 1))
    policy = linear_policy(torch.zeros(1, 1), torch.zeros(1), torch.ones(1))
    state = SamplerState(torch.zeros(2, 3, 3), torch.zeros(2, 3, 1))
    silence = SamplerNoise(*state)
    for visit in walk:
        moved, _ = sampler.step(visit, state, torch.zeros(2, 1), policy, silence)
        limited = visit.trained_step <= 10
        expected = 0.25 * visit.jump if limited else 1e6 * visit.coef_x_0.item()
        assert moved[:, 1:].max().item() == pytest.approx(expected, rel=1e-5)


# ---- moving the states, too ----


def test_guiding_the_states_too_follows_the_papers_ablation(world):
    """One step by the official recipe, written out: move the actions, then the states, then draw."""
    guidance = world.guidance | {"guide_at": "reconstruction"}
    model, policy, normaliser = world.model, world.policy, world.normaliser
    index, scale = 7, guidance["scale"]
    first = world.chain["first_obs"]
    trajectory, actions = world.state(2)
    noise, action_noise = world.noise(2)
    sampler = world.sampler(guide_at="reconstruction", update_states=True)
    ours = sampler.step(sampler.walk.visit(index), world.state(2), first, policy, world.noise(2))

    schedule, size = model.schedule, model.observation_size
    step = torch.full((len(trajectory),), index)
    scaled_actions = schedule.add_noise(actions, step, torch.zeros_like(actions))
    reconstruction = model.denoiser(trajectory, scaled_actions, step)
    reconstruction[:, 0, :size] = first
    states = reconstruction[..., :size].clone().requires_grad_()
    raw = normaliser.actions.denormalise(actions)
    distribution = policy(normaliser.observations.denormalise(states.detach()))
    if guidance["clip_std"]:
        reach = guidance["clip_std"] * distribution.stddev
        raw = raw.clamp(distribution.mean - reach, distribution.mean + reach)
    raw = raw.clone().requires_grad_()
    (pull,) = torch.autograd.grad(distribution.log_prob(raw).sum(), raw)
    raw = (raw + scale * pull).detach()
    log_prob = policy(normaliser.observations.denormalise(states)).log_prob(raw).sum()
    (state_pull,) = torch.autograd.grad(log_prob, states)
    reconstruction[..., :size] += scale * state_pull
    reconstruction[:, 0, :size] = first
    std = schedule.posterior_variance[index].sqrt()
    expected = schedule.posterior_mean(reconstruction, trajectory, index) + std * noise
    expected[:, 0, :size] = first
    torch.testing.assert_close(ours.trajectory, expected, atol=1e-5, rtol=1e-5)
    expected_actions = normaliser.actions.normalise(raw) + guidance["action_noise_scale"] * std * action_noise
    torch.testing.assert_close(ours.actions, expected_actions, atol=1e-5, rtol=1e-5)
    assert not ours.trajectory.requires_grad


def test_advantage_guidance_moves_the_mean_by_its_variance_times_the_gradient(world):
    model, normaliser = world.model, world.normaliser
    visit = model.schedule.walk().visit(5)
    weight = torch.linspace(-1, 1, model.observation_size)
    scale = 0.7

    def advantage(observations, rewards, terminals):
        return (observations @ weight)[:, 1:] + 2 * rewards[:, 1:] - terminals[:, 1:]

    def step(**settings):
        sampler = world.sampler(**settings).with_advantage(advantage)
        return sampler.step(visit, world.state(4), world.chain["first_obs"], world.policy, world.noise(4))

    plain = step()  # its scale of 0 switches the advantage off
    guided = step(advantage_scale=scale)
    assert torch.equal(plain.actions, guided.actions)  # the actions stay the policy's

    trajectory, actions = world.state(4)
    signal = model.schedule.alphas_cumprod[5].sqrt()
    x = model.reconstruct(trajectory, signal * actions, torch.tensor([5]), world.chain["first_obs"])
    a = advantage(*normaliser.denormalise_trajectory(x))
    # \nabla \log sigm(\eta A) = \eta (1 - sigm(\eta A)) \nabla A
    slope = (scale * (1 - torch.sigmoid(scale * a)))[..., None]  # [B, H-1, 1]
    units = (normaliser.observations.scale, normaliser.rewards.scale, normaliser.terminals.scale)
    gradient = torch.cat([units[0] * weight, 2 * units[1], -units[2]])
    expected = plain.trajectory.clone()
    expected[:, 1:] += model.schedule.posterior_variance[5] * slope * gradient
    torch.testing.assert_close(guided.trajectory, expected, atol=1e-5, rtol=1e-5)


def test_an_advantage_without_a_scale_is_not_asked(world):
    def advantage(observations, rewards, terminals):
        raise AssertionError("it was asked")

    world.sampler(5).with_advantage(advantage).sample(world.first, world.policy, world.horizon, seeded(1))


def test_without_an_advantage_its_scale_does_nothing(world):
    ours, plain = (
        sampler.sample(world.first, world.policy, world.horizon, seeded(1))
        for sampler in (world.sampler(5, advantage_scale=2.0), world.sampler(5))
    )
    assert equal(ours, plain)


# ---- the whole way back ----


@pytest.mark.parametrize("rule", RULES)
def test_sampling_is_reproducible_and_starts_where_it_should(world, rule):
    sampler = world.sampler(5, rule=rule)
    once, again, other = (sampler.sample(world.first, world.policy, world.horizon, seeded(s)) for s in (1, 1, 2))
    assert equal(once, again)
    assert not torch.equal(once.actions, other.actions)
    torch.testing.assert_close(once.observations[:, 0], world.first, atol=1e-5, rtol=1e-5)
    assert set(once.terminals.unique().tolist()) <= {0.0, 1.0}
    assert not once.actions.requires_grad


@pytest.mark.parametrize("rule", RULES)
def test_the_chain_holds_the_states_that_sampling_goes_through(world, rule):
    """S + 1 states, pure noise first, each followed by one step; the last is what sampling returns, bit for bit."""
    sampler = world.sampler(5, rule=rule)
    states = list(sampler.chain(world.first, world.policy, world.horizon, seeded(1)))
    imagined = sampler.sample(world.first, world.policy, world.horizon, seeded(1))
    assert len(states) == 6
    assert equal(sampler.imagined(states[-1], seeded(2)), imagined)
    torch.testing.assert_close(world.normaliser.actions.denormalise(states[-1].actions), imagined.actions)
    observations = world.normaliser.denormalise_trajectory(states[-1].trajectory)[0]
    torch.testing.assert_close(observations, imagined.observations)
    normed_first = world.normaliser.observations.normalise(world.first)
    generator = seeded(1)
    state = sampler.start(normed_first, world.horizon, generator)
    kept_noise = state.actions
    assert equal(state, states[0])
    for visit, expected in zip(sampler.walk, states[1:], strict=True):
        noise = sampler.draw_noise(visit, state, kept_noise, generator)
        state = sampler.step(visit, state, normed_first, world.policy, noise)
        assert equal(state, expected)
        assert torch.equal(state.trajectory[:, 0, : world.model.observation_size], normed_first)


def test_each_rule_draws_the_noise_that_it_uses(world):
    state, kept_noise = world.state(0), world.state(1).actions

    def draw(index, eta=1.0, **settings):
        sampler = world.sampler(4, eta, **settings)
        return sampler.draw_noise(sampler.walk.visit(index), state, kept_noise, seeded(0))

    assert draw(2, rule="fixed-noise").actions is kept_noise
    assert not torch.equal(draw(2, rule="sample").actions, kept_noise)
    visit = world.model.schedule.walk(4).visit(2)
    assert draw(2, score="autograd").actions.shape == (visit.jump, *state.actions.shape)
    assert draw(0, score="autograd").actions.shape == (0, *state.actions.shape)  # the last visit is not guided
    assert draw(2).trajectory.std().item() == pytest.approx(1, abs=0.2)
    assert not draw(2, eta=0.0).trajectory.any()


@pytest.mark.parametrize("n_visits", [1, 5, 12])
def test_autograd_guidance_samples_with_any_number_of_visits(world, n_visits):
    sampler = world.sampler(n_visits, score="autograd")
    imagined = sampler.sample(world.first, world.policy, world.horizon, seeded(0))
    assert torch.isfinite(imagined.actions).all()
    assert not imagined.actions.requires_grad


def test_without_noise_the_start_decides_the_whole_way_back(world):
    settings = dict(rule="fixed-noise", change_limit=NO_CHANGE_LIMIT)
    sampler = GuidedSampler(
        world.model, world.model.schedule.walk(4, eta=0.0), GuidanceSettings(**settings), world.normaliser
    )
    ends = []
    for seed in (0, 1):
        generator = seeded(seed)
        state = world.state(0)
        for visit in sampler.walk:
            noise = SamplerNoise(torch.randn(state.trajectory.shape, generator=generator), world.state(0).actions)
            state = sampler.step(visit, state, world.chain["first_obs"], world.policy, noise)
        ends.append(state.trajectory)
    assert torch.equal(*ends)
    once, again, noisy = (
        GuidedSampler(world.model, world.model.schedule.walk(4, eta), GuidanceSettings(**settings), world.normaliser)
        .sample(world.chain["first_obs"], world.policy, world.horizon, seeded(5))
        .observations
        for eta in (0.0, 0.0, 1.0)
    )
    assert torch.equal(once, again)
    assert not torch.allclose(once, noisy)


class LinearWorld(torch.nn.Module):
    """The exact denoiser of s' = 0.9 s + 0.5 a, reward 0, no end: given actions, the trajectory is known.

    The sampler hands actions over scaled by the step's signal level, which this network divides out again.
    """

    def __init__(self, schedule):
        super().__init__()
        self.schedule = schedule

    def forward(self, trajectory, actions, step):
        actions = actions / self.schedule.alphas_cumprod[step].sqrt()[:, None, None]
        states = [trajectory[:, 0, :1]]
        for t in range(trajectory.shape[1] - 1):
            states.append(0.9 * states[-1] + 0.5 * actions[:, t])
        return torch.cat([torch.stack(states, dim=1), torch.zeros_like(trajectory[..., :2])], dim=-1)


@pytest.mark.parametrize("n_visits", [128, 16])
@pytest.mark.parametrize("rule", ["fixed-noise", "ornstein-uhlenbeck", "sample", "gradient"])
def test_guided_samples_approach_the_policy_in_a_world_solved_exactly(rule, n_visits):
    """Closed loop, s' = (0.9 + 0.5 k) s + 0.5 sigma e: the last state's variance is known."""
    batch, horizon, gain, sigma = 20_000, 4, -0.4, 0.3
    schedule = NoiseSchedule.cosine(128)
    model = TrajectoryDiffusion(LinearWorld(schedule), schedule, 1)
    policy = linear_policy(torch.tensor([[gain]]), torch.zeros(1), torch.tensor([sigma]), squash=lambda x: x)
    normaliser = Normaliser(1, 1)
    tuner = GuidanceScaleTuner(0.002, 0.1)
    first = torch.full((batch, 1), 0.8)
    # the gradient rule's scale is tuned on small batches first, as in training
    guidance = GuidanceSettings("gradient", tuner.scale, clip_std=0.0, change_limit=100)
    sampler = GuidedSampler(model, schedule.walk(16), guidance, normaliser)
    for _ in range(150 if rule == "gradient" else 0):
        imagined = sampler.sample(first[:200], policy, horizon, seeded(1))
        tuner.update(standardise_actions(imagined.actions, policy(imagined.observations)).std())
    guidance = GuidanceSettings(rule, tuner.scale, clip_std=0.0, change_limit=100, persistence=0.9)
    sampler = GuidedSampler(model, schedule.walk(n_visits), guidance, normaliser)
    imagined = sampler.sample(first, policy, horizon, seeded(2))
    standardised = standardise_actions(imagined.actions, policy(imagined.observations))
    # Sampling errors are below 0.01. A rule that redraws leaves the actions one redraw behind the states they
    # lead to, so their spread about the policy exceeds 1 by the states' own last move.
    lag = {"fixed-noise": 0.02, "ornstein-uhlenbeck": 0.05, "gradient": 0.05, "sample": 0.25}[rule]
    assert standardised.mean().abs() < 0.03
    assert abs(standardised.std() - 1) < lag
    if rule == "fixed-noise":
        mean, variance = 0.8, 0.0
        for _ in range(horizon - 1):
            mean, variance = (0.9 + 0.5 * gain) * mean, (0.9 + 0.5 * gain) ** 2 * variance + (0.5 * sigma) ** 2
        last = imagined.observations[:, -1, 0]
        assert last.mean() == pytest.approx(mean, abs=0.01)
        assert last.var() == pytest.approx(variance, rel=0.05)


# ---- what a sampler reads while it works, and what it can be told ----


def test_a_sampler_follows_its_tuner(world):
    """The scale is the tuner's own tensor: what is tuned later counts, and how it came there does not matter."""
    tuner = GuidanceScaleTuner(world.guidance["scale"], 0.5)
    sampler = world.sampler(5, rule="gradient", scale=tuner.scale)
    assert sampler.guidance.scale is tuner.scale

    def sample(scale):
        return world.sampler(5, rule="gradient", scale=scale).sample(*arguments, seeded(1))

    arguments = (world.first, world.policy, world.horizon)
    for change in (lambda: tuner.update(torch.tensor(1.8)), lambda: tuner.set(torch.tensor(-6.0))):
        before = sampler.sample(*arguments, seeded(1))
        change()
        after = sampler.sample(*arguments, seeded(1))
        assert not torch.equal(before.actions, after.actions)
        assert equal(after, sample(tuner.scale.clone()))


def test_a_subclass_may_guide_each_visit_in_its_own_way_and_ask_the_policy_elsewhere(world):
    asked, visited = [], []

    class Elsewhere(GuidedSampler):
        def guidance_at(self, visit):
            visited.append(visit.index)
            return GuidanceSettings(rule="none", clip_std=0.0)

        def states_to_ask_at(self, predicted):
            return predicted.noisy

    def policy(observations):
        asked.append(observations)
        return world.policy(observations)

    sampler = Elsewhere(world.model, world.model.schedule.walk(3), GuidanceSettings(), world.normaliser)
    states = list(sampler.chain(world.first, policy, world.horizon, seeded(0)))
    assert visited == [2, 1, 0]
    for state, observations in zip(states[:-1], asked, strict=True):
        assert torch.equal(world.normaliser.denormalise_trajectory(state.trajectory)[0], observations)
    torch.testing.assert_close(states[-1].actions, states[0].actions, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rule", ["gradient", "ornstein-uhlenbeck", "fixed-noise", "sample"])
def test_imagined_actions_are_cut_where_the_task_cuts_them(world, rule):
    free, cut = (
        world.sampler(5, rule=rule, action_limit=limit).sample(world.first, world.policy, world.horizon, seeded(1))
        for limit in (0.0, 0.5)
    )
    assert free.actions.abs().max() > 0.6
    assert cut.actions.abs().max() <= 0.5 + 1e-6
