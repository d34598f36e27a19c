import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from polygrad_edu.guided_sampler import GuidedSampler
from polygrad_edu.noise_schedule import CLEAN, NoiseSchedule
from polygrad_edu.replay import Normaliser
from polygrad_edu.settings import RULES, GuidanceSettings
from polygrad_edu.trajectory_diffusion import TrajectoryDiffusion
from polygrad_edu.variants.diffusion_forcing import ForcedDiffusion
from polygrad_edu.variants.staggered_sampler import StaggeredSampler

O, A, P, S = 3, 2, 6, 8  # noqa: E741 - the field's letters


def seeded(seed):
    return torch.Generator().manual_seed(seed)


class Bend(nn.Module):
    """A denoiser that any arrangement can use: each number of a row from that row, its neighbours and its action."""

    lookback = None

    def forward(self, trajectory, actions, step, surprise=None):
        mixed = torch.tanh(trajectory + 0.3 * trajectory.roll(1, dims=1) + actions.mean(dim=-1, keepdim=True))
        return mixed * (1 + step.float().reshape(len(step), -1, 1) / 100)


class ToldTheWholeLevel(nn.Module):
    """The same as a denoiser of the paper: it is told one step, and actions scaled to it."""

    def __init__(self, schedule):
        super().__init__()
        self.schedule = schedule

    def forward(self, trajectory, actions, step):
        signal = self.schedule.alphas_cumprod[step].sqrt()[:, None, None]
        points = torch.cat([torch.full((1, 1), CLEAN), step.expand(1, trajectory.shape[1] - 1)], dim=1)
        return Bend()(trajectory, actions / signal, points)


def policy(observations):
    mean = torch.tanh(observations[..., :A] * 0.7)
    return Independent(Normal(mean, 0.3 + 0 * mean), 1)


@pytest.fixture
def normaliser():
    made = Normaliser(O, A)
    made.observations.set(torch.tensor([0.1, -0.2, 0.3]), torch.tensor([1.0, 2.0, 0.5]))
    made.actions.set(torch.tensor([0.1, 0.0]), torch.tensor([0.5, 0.6]))
    return made


def staggered(normaliser, delay, n_points=P, eta=1.0, prediction="velocity", denoiser=None, **guidance):
    schedule = NoiseSchedule.cosine(32, 0.5)
    diffusion = ForcedDiffusion(denoiser or Bend(), schedule, O, prediction)
    settings = GuidanceSettings(**({"rule": "fixed-noise"} | guidance))
    return StaggeredSampler(diffusion, schedule.walk(S, eta), settings, normaliser, n_points, delay)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("prediction", ["x0", "velocity"])
def test_without_a_delay_it_is_the_guided_sampler(normaliser, rule, prediction):
    sampler = staggered(normaliser, 0, prediction=prediction, rule=rule, scale=0.002)
    schedule = sampler.diffusion.schedule
    whole = TrajectoryDiffusion(ToldTheWholeLevel(schedule), schedule, O, prediction)
    plain = GuidedSampler(whole, schedule.walk(S), sampler.guidance, normaliser)
    first = torch.randn(5, O, generator=seeded(0))
    ours, theirs = (s.sample(first, policy, P, seeded(1)) for s in (sampler, plain))
    for name, mine, other in zip(ours._fields, ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("delay", [1, 3, S, 2 * S])
def test_each_step_makes_every_visit_and_in_order(normaliser, delay):
    walk = staggered(normaliser, delay).walk
    opening, *calls = walk
    assert not opening.asks_denoiser
    assert opening.guided.sum() == 1
    waits = min(delay, S)
    assert len(walk) == S + waits * (P - 2)
    steps = torch.cat([visit.step for visit in calls])  # [calls, P]
    assert (steps[:, 0] == CLEAN).all()
    for point in range(1, P):
        begins = waits * (point - 1)
        own = steps[begins : begins + S, point]
        assert (own.diff() < 0).all()
        assert own[-1] == 0
        assert (steps[:begins, point] == own[0]).all()
        assert (steps[begins + S :, point] == CLEAN).all()
        for call, visit in enumerate(calls):
            moves = begins <= call < begins + S
            # the reward and the ending of a step move with the state that it leads to
            assert ((visit.coef_x_0[point - 1, O:] > 0) == moves).all()
            assert ((visit.coef_x_0[point, :O] > 0) == moves).all()
            assert visit.guided[point - 1].item() == (begins - 1 <= call < begins + S - 1)


@pytest.mark.parametrize("delay", [1, 2, S])
def test_with_a_delay_actions_are_the_policys_own_at_the_states_that_came_out(normaliser, delay):
    sampler = staggered(normaliser, delay, clip_std=0.0, change_limit=100.0)
    first = torch.randn(50, O, generator=seeded(0))
    imagined = sampler.sample(first, policy, P, seeded(1))
    drawn = sampler.start(normaliser.observations.normalise(first), P, seeded(1)).actions
    distribution = policy(imagined.observations[:, :-1])
    standard = (imagined.actions[:, :-1] - distribution.mean) / distribution.stddev
    torch.testing.assert_close(standard, drawn[:, :-1], rtol=1e-4, atol=1e-4)


def test_a_denoiser_that_looks_back_is_asked_about_the_moving_steps_alone(normaliser):
    class LooksBack(Bend):
        lookback = 2  # a reward stands a row before its step's state, and here depends on the row before that
        rows = 0

        def forward(self, trajectory, actions, step, surprise):
            self.rows += trajectory.shape[1]
            before = nn.functional.pad(trajectory[:, :-1], (0, 0, 1, 0))
            return torch.tanh(trajectory + 0.3 * before) * (1 + step.float()[..., None] / 100)

    first = torch.randn(4, O, generator=seeded(0))
    short, whole = LooksBack(), LooksBack()
    whole.lookback = None
    found = []
    for denoiser in (short, whole):
        sampler = staggered(normaliser, 2, denoiser=denoiser, eta=0.0)
        found.append(sampler.sample(first, policy, P, seeded(1)))
    assert short.rows < 0.9 * whole.rows
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine[:, :-1], other[:, :-1], rtol=1e-5, atol=1e-5)


def test_it_goes_on_from_what_was_imagined(normaliser):
    sampler = staggered(normaliser, 2)
    first = torch.randn(4, O, generator=seeded(0))
    block = sampler.sample(first, policy, P, seeded(1))
    seen = []
    sampler.diffusion.denoiser.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    onwards = sampler.go_on(block, policy, seeded(2))
    known = sampler.n_known
    assert onwards.observations.shape[1] == P - known + 1
    torch.testing.assert_close(onwards.observations[:, 0], block.observations[:, -1], rtol=1e-5, atol=1e-5)
    for trajectory, actions, step, _ in seen:
        assert (step[:, :known] == CLEAN).all()
        normed = normaliser.normalise_trajectory(block.observations, block.rewards, block.terminals)[:, -known:]
        torch.testing.assert_close(trajectory[:, :known, :O], normed[..., :O], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(trajectory[:, : known - 1, O:], normed[:, :-1, O:], rtol=1e-4, atol=1e-4)
        expected = normaliser.actions.normalise(block.actions)[:, -known:-1]
        torch.testing.assert_close(actions[:, : known - 1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_keeps_its_settings_meaning_with_a_delay(normaliser, rule):
    imagined = staggered(normaliser, 3, rule=rule, scale=0.002).sample(torch.zeros(6, O), policy, P, seeded(1))
    assert all(torch.isfinite(part).all() for part in imagined)
