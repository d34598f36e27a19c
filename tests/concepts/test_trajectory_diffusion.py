import math

import pytest
import torch
from torch.distributions import Independent, Normal

from polygrad_edu.noise_schedule import NoiseSchedule
from polygrad_edu.replay import Normaliser
from polygrad_edu.score_guidance import Guidance, GuidanceScaleTuner, standardise_actions
from polygrad_edu.trajectory_diffusion import TrajectoryDiffusion
from tests.concepts.test_denoiser import load_official


def linear_policy(weight, bias, std, squash=torch.tanh):
    def policy(observations):
        mean = squash(observations @ weight + bias)
        return Independent(Normal(mean, std.expand_as(mean)), 1)

    return policy


@pytest.fixture
def world(golden):
    """The recorded chain, and our model, policy, normaliser and guidance set up to repeat it."""
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
        clip_std=None if math.isnan(chain["clip_std"]) else chain["clip_std"],
        change_limit=chain["clip_state_change"],
        guide_at={"recon": "reconstruction"}.get(chain["states_for_guidance"], chain["states_for_guidance"]),
    )
    policy = linear_policy(chain["policy_weight"], chain["policy_bias"], chain["policy_std"])
    return model, policy, normaliser, guidance, chain


def test_loss_is_the_official_one(golden, close):
    schedule, recorded = golden("schedule"), golden("training_loss")
    noise_schedule = NoiseSchedule.cosine(schedule["n_steps"], schedule["tau"])
    size = recorded["trajectory"].shape[-1] - 2
    model = TrajectoryDiffusion(load_official(golden("denoiser")), noise_schedule, size)
    loss = model.loss(recorded["trajectory"], recorded["actions"], recorded["step"], recorded["trajectory_noise"])
    close(loss.detach(), recorded["loss"])


@pytest.mark.parametrize("score", ["closed-form", "autograd"])
@pytest.mark.parametrize("restart", [True, False], ids=["each step by itself", "the whole chain"])
def test_every_step_of_the_guided_chain_is_the_official_one(world, close, score, restart):
    model, policy, normaliser, guidance, chain = world
    first = chain["first_obs"]  # recorded in normalised units
    trajectory, actions = chain["trajectory_chain"][0], chain["action_chain"][0]
    n_steps = model.schedule.n_steps
    for k in range(n_steps):
        if restart:
            trajectory, actions = chain["trajectory_chain"][k], chain["action_chain"][k]
        action_noise = chain["action_noise"][k]
        trajectory, actions = model.reverse_step(
            model.schedule, n_steps - 1 - k, trajectory, actions, first, policy, normaliser,
            Guidance(score=score, **guidance), chain["trajectory_noise"][k],
            action_noise[None] if score == "autograd" else action_noise,
        )  # fmt: skip
        close(trajectory, chain["trajectory_chain"][k + 1])
        close(actions, chain["action_chain"][k + 1])


def test_a_reverse_step_is_pure(world):
    model, policy, normaliser, guidance, chain = world
    arguments = [chain["trajectory_chain"][3].clone(), chain["action_chain"][3].clone(), chain["first_obs"].clone()]
    before = [argument.clone() for argument in arguments]
    noise = chain["trajectory_noise"][3], chain["action_noise"][3]

    def step():
        return model.reverse_step(model.schedule, 5, *arguments, policy, normaliser, Guidance(**guidance), *noise)

    once, again = step(), step()
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(arguments, before, strict=True))


@pytest.mark.parametrize("n_sampling_steps", [1, 5, 12])
def test_autograd_guidance_imagines_with_any_number_of_steps(world, n_sampling_steps):
    model, policy, normaliser, guidance, chain = world
    horizon = chain["action_chain"].shape[2]
    imagined = model.imagine(
        normaliser.observations.denormalise(chain["first_obs"]), policy, normaliser,
        Guidance(score="autograd", **guidance), horizon, n_sampling_steps, torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert torch.isfinite(imagined.actions).all()
    assert not imagined.actions.requires_grad


class FarAway(torch.nn.Module):
    """A denoiser that always wants to be elsewhere."""

    def forward(self, trajectory, actions, step):
        return torch.full_like(trajectory, 1e6)


@pytest.mark.parametrize("n_sampling_steps", [64, 16])
def test_the_change_limit_is_per_trained_step(n_sampling_steps):
    schedule = NoiseSchedule.cosine(64)
    model, walked = TrajectoryDiffusion(FarAway(), schedule, 1), schedule.respaced(n_sampling_steps)
    policy = linear_policy(torch.zeros(1, 1), torch.zeros(1), torch.ones(1))
    guidance = Guidance(change_limit=0.25, change_limit_steps=10)
    silence, actions = torch.zeros(2, 3, 3), torch.zeros(2, 3, 1)
    for index in range(n_sampling_steps):
        moved, _ = model.reverse_step(
            walked, index, silence, actions, silence[:, 0, :1], policy, Normaliser(1, 1), guidance, silence, actions
        )
        limited = walked.trained_step_numbers[index] <= 10
        expected = 0.25 * walked.jumps[index] if limited else 1e6 * walked.posterior_mean_coef1[index].item()
        assert moved[:, 1:].max().item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rule", ["gradient", "ornstein-uhlenbeck", "fixed-noise", "sample", "none"])
def test_imagining_is_reproducible_and_starts_where_it_should(world, rule):
    model, policy, normaliser, guidance, chain = world

    first = normaliser.observations.denormalise(chain["first_obs"])

    def imagine(seed):
        generator = torch.Generator().manual_seed(seed)
        rule_guidance = Guidance(rule=rule, **guidance)
        horizon = chain["action_chain"].shape[2]
        return model.imagine(first, policy, normaliser, rule_guidance, horizon, 5, generator, True)

    once, again, other = imagine(1), imagine(1), imagine(2)
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert not torch.equal(once.actions, other.actions)
    torch.testing.assert_close(once.observations[:, 0], first, atol=1e-5, rtol=1e-5)
    assert len(once.trajectory_chain) == len(once.action_chain) == 6
    torch.testing.assert_close(normaliser.actions.denormalise(once.action_chain[-1]), once.actions)
    torch.testing.assert_close(normaliser.denormalise_trajectory(once.trajectory_chain[-1])[0], once.observations)
    assert set(once.terminals.unique().tolist()) <= {0.0, 1.0}


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


@pytest.mark.parametrize("n_sampling_steps", [128, 16])
@pytest.mark.parametrize("rule", ["fixed-noise", "ornstein-uhlenbeck", "sample", "gradient"])
def test_guided_samples_approach_the_policy_in_a_world_solved_exactly(rule, n_sampling_steps):
    """Closed loop, s' = (0.9 + 0.5 k) s + 0.5 sigma e: the last state's variance is known."""
    batch, horizon, gain, sigma = 20_000, 4, -0.4, 0.3
    schedule = NoiseSchedule.cosine(128)
    model = TrajectoryDiffusion(LinearWorld(schedule), schedule, 1)
    policy = linear_policy(torch.tensor([[gain]]), torch.zeros(1), torch.tensor([sigma]), squash=lambda x: x)
    normaliser = Normaliser(1, 1)
    tuner = GuidanceScaleTuner(0.002, 0.1)
    first = torch.full((batch, 1), 0.8)
    # the gradient rule's scale is tuned on small batches first, as in training
    for _ in range(150 if rule == "gradient" else 0):
        guidance = Guidance("gradient", tuner.scale, clip_std=None, change_limit=100)
        imagined = model.imagine(
            first[:200], policy, normaliser, guidance, horizon, 16, torch.Generator().manual_seed(1)
        )
        tuner.update(standardise_actions(imagined.actions, policy(imagined.observations)).std())
    guidance = Guidance(rule, tuner.scale, clip_std=None, change_limit=100, persistence=0.9)
    generator = torch.Generator().manual_seed(2)
    imagined = model.imagine(first, policy, normaliser, guidance, horizon, n_sampling_steps, generator)
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


class PerfectVelocity(torch.nn.Module):
    """Knows the clean trajectory and answers with its velocity, sqrt(a) e - sqrt(1 - a) x_0."""

    def __init__(self, clean, schedule):
        super().__init__()
        self.clean, self.schedule = clean, schedule

    def forward(self, noisy, actions, step):
        alpha_bar = self.schedule.alphas_cumprod[step][:, None, None]
        noise = (noisy - alpha_bar.sqrt() * self.clean) / (1 - alpha_bar).sqrt()
        return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * self.clean


def test_velocity_prediction_recovers_the_clean_trajectory():
    schedule = NoiseSchedule.cosine(16)
    clean, actions, step = torch.randn(8, 5, 4), torch.randn(8, 5, 1), torch.randint(16, (8,))
    model = TrajectoryDiffusion(PerfectVelocity(clean, schedule), schedule, 2, prediction="velocity")
    noisy = schedule.add_noise(clean, step, torch.randn_like(clean))
    torch.testing.assert_close(model.reconstruct(noisy, actions, step, clean[:, 0, :2]), clean, atol=1e-5, rtol=1e-5)
    assert model.loss(clean, actions, step, torch.randn_like(clean)) < 1e-8
    wrong = TrajectoryDiffusion(PerfectVelocity(clean + 1, schedule), schedule, 2, prediction="velocity")
    assert wrong.loss(clean, actions, step, torch.randn_like(clean)) > 0.1


def test_unknown_prediction_is_refused():
    with pytest.raises(ValueError, match="x0, velocity"):
        TrajectoryDiffusion(torch.nn.Identity(), NoiseSchedule.cosine(4), 1, prediction="epsilon")


def test_guiding_the_states_too_follows_the_papers_ablation(world):
    """One step by the official recipe, written out: move the actions, then the states, then draw."""
    model, policy, normaliser, guidance, chain = world
    guidance = guidance | {"guide_at": "reconstruction"}
    index, scale = 7, guidance["scale"]
    trajectory, actions, first = chain["trajectory_chain"][2], chain["action_chain"][2], chain["first_obs"]
    noise, action_noise = chain["trajectory_noise"][2], chain["action_noise"][2]
    ours = model.reverse_step(
        model.schedule, index, trajectory, actions, first, policy, normaliser,
        Guidance(update_states=True, **guidance), noise, action_noise,
    )  # fmt: skip

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
    torch.testing.assert_close(ours[0], expected, atol=1e-5, rtol=1e-5)
    expected_actions = normaliser.actions.normalise(raw) + guidance["action_noise_scale"] * std * action_noise
    torch.testing.assert_close(ours[1], expected_actions, atol=1e-5, rtol=1e-5)
    assert not ours[0].requires_grad


def test_advantage_guidance_moves_the_mean_by_its_variance_times_the_gradient(world):
    model, policy, normaliser, guidance, chain = world
    state = chain["trajectory_chain"][4], chain["action_chain"][4], chain["first_obs"]
    arguments = (model.schedule, 5, *state, policy, normaliser)
    noise = chain["trajectory_noise"][4], chain["action_noise"][4]
    weight = torch.linspace(-1, 1, model.observation_size)

    def advantage(observations, rewards, terminals):
        return (observations @ weight)[:, 1:] + 2 * rewards[:, 1:] - terminals[:, 1:]

    scale = 0.7
    plain, plain_actions = model.reverse_step(*arguments, Guidance(**guidance), *noise)
    guided, guided_actions = model.reverse_step(
        *arguments, Guidance(advantage=advantage, advantage_scale=scale, **guidance), *noise
    )
    assert torch.equal(plain_actions, guided_actions)  # the actions stay the policy's

    trajectory, actions, first = arguments[2:5]
    step = torch.tensor([5])
    signal = model.schedule.alphas_cumprod[5].sqrt()
    x = model.reconstruct(trajectory, signal * actions, step, first)
    a = advantage(*normaliser.denormalise_trajectory(x))
    # \nabla \log sigm(\eta A) = \eta (1 - sigm(\eta A)) \nabla A
    slope = (scale * (1 - torch.sigmoid(scale * a)))[..., None]  # [B, H-1, 1]
    units = (normaliser.observations.scale, normaliser.rewards.scale, normaliser.terminals.scale)
    gradient = torch.cat([units[0] * weight, 2 * units[1], -units[2]])
    expected = plain.clone()
    expected[:, 1:] += model.schedule.posterior_variance[5] * slope * gradient
    torch.testing.assert_close(guided, expected, atol=1e-5, rtol=1e-5)


def test_guiding_states_goes_with_the_gradient_rule_only():
    with pytest.raises(ValueError, match="update_states goes with the gradient rule"):
        Guidance(rule="sample", update_states=True)


def test_without_noise_the_start_decides_the_whole_way_back(world):
    model, policy, normaliser, _, chain = world
    schedule, rule = model.schedule.respaced(4, eta=0.0), Guidance(rule="fixed-noise", change_limit=1e6)
    ends = []
    for seed in (0, 1):
        noise = torch.Generator().manual_seed(seed)
        trajectory, actions = chain["trajectory_chain"][0], chain["action_chain"][0]
        for index in reversed(range(4)):
            drawn = torch.randn(trajectory.shape, generator=noise)
            trajectory, actions = model.reverse_step(
                schedule, index, trajectory, actions, chain["first_obs"], policy, normaliser, rule, drawn,
                chain["action_chain"][0],
            )  # fmt: skip
        ends.append(trajectory)
    assert torch.equal(*ends)
    whole = [
        model.imagine(chain["first_obs"], policy, normaliser, rule, trajectory.shape[1], 4,
                      torch.Generator().manual_seed(5), eta=eta).observations
        for eta in (0.0, 0.0, 1.0)
    ]  # fmt: skip
    assert torch.equal(whole[0], whole[1])
    assert not torch.allclose(whole[0], whole[2])
