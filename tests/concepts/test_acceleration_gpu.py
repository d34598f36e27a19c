"""A GPU's recorded graphs and narrow numbers: the same as the eager computation, whatever the settings."""

import pytest
import torch

from polygrad_edu.acceleration import Captured, captured
from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.settings import RULES
from tests.support.tiny_runs import imagine, loop_of, tiny

pytestmark = pytest.mark.gpu

# A step after the other, endings read, and a gradient through it all: what the pathwise presets change.
PATHWISE = {
    "policy_gradient": "pathwise",
    "denoiser": "step-mlp",
    "prediction": "change",
    "endings": "read",
    "sampling_steps": 1,
    "delay": 1,
    "action_limit": 1.0,
    "target_std": 0.2,
    "policy_average": 0.99,
}
# Every way to guide, to denoise and to walk that changes which operations a recording holds.
SETTINGS = [
    *({"guidance": rule} for rule in RULES),
    {"guidance": "gradient", "score": "autograd"},
    {"guidance": "gradient", "precondition": True},
    {"guidance": "gradient", "guide_at": "posterior_mean"},
    {"guidance": "gradient", "update_states": True},
    {"guidance": "gradient", "clip_std": 0},
    {"inertia": 0.9, "eta": 0},
    {"advantage_scale": 1},
    {"denoiser": "transformer"},
    {"denoiser": "causal-mlp"},
    {"denoiser": "step-mlp"},
    {"denoiser": "step-mlp", "delay": 2},
    PATHWISE,
    {"prediction": "x0", "schedule": "linear"},
    {"sampling_steps": 1},
    {"sampling_steps": 128},
    {"precision": "bfloat16"},
    {"precision": "float16"},
]


def name_of(settings):
    return "-".join(str(value) for value in settings.values())


def pair_of_loops(**settings):
    """An eager and a recorded loop in the same state, ready to learn."""
    loops = []
    for compile in ("none", "graph"):
        loop = ImaginationLoop(tiny(width=64, env_steps=200, **settings, compile=compile), 0, "cuda")
        while loop.env_step < 60:
            loop.act()
        loop.replay.refresh_normaliser()
        loops.append(loop)
    return loops


def close_within(settings):
    return {"bfloat16": 5e-2, "float16": 1e-2}.get(settings.get("precision"), 2e-3)


@pytest.mark.parametrize("settings", SETTINGS, ids=name_of)
def test_a_recorded_imagination_is_the_eager_one(settings):
    """From the third call on the recording is replayed, each time with the noise that the eager call draws."""
    loop, _ = pair_of_loops(**settings)
    first = loop.replay.observations[:16]
    generators = [torch.Generator("cuda").manual_seed(1) for _ in range(2)]
    recorded = captured(lambda states: loop.imagine_from(states, generators[1]), "graph", generators[1])
    tolerance = close_within(settings)
    before = None
    for _ in range(Captured.warm_up_calls + 3):
        eager, replayed = loop.imagine_from(first, generators[0]), recorded(first)
        for name in ("observations", "actions", "rewards"):
            ours, theirs = getattr(replayed, name), getattr(eager, name)
            assert ours.isfinite().all()
            torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)
        assert before is None or not torch.equal(before, eager.actions)  # new noise each time
        before = eager.actions
    assert recorded.graph is not None


@pytest.mark.parametrize("settings", SETTINGS, ids=name_of)
def test_recorded_updates_are_the_eager_ones(settings):
    eager, recorded = pair_of_loops(**settings)
    tolerance = 10 * close_within(settings)  # a rounding of one update moves the next
    for _ in range(Captured.warm_up_calls + 3):
        torch.testing.assert_close(recorded.fit_world_model(), eager.fit_world_model(), atol=tolerance, rtol=tolerance)
        ours, theirs = recorded.improve_policy(), eager.improve_policy()
        for name in ("action_std", "policy_std", "critic_loss", "value"):
            torch.testing.assert_close(ours[name], theirs[name], atol=tolerance, rtol=tolerance, msg=name)
    assert recorded._improve_from.graph is not None
    assert recorded.world_model._update.graph is not None


@pytest.mark.parametrize(("precision", "digits"), [("bfloat16", 2**-8), ("float16", 2**-11)])
def test_narrow_numbers_imagine_the_same_within_their_precision(precision, digits):
    loop = loop_of("cuda", guidance="gradient")
    plain, narrow = imagine(loop, "float32"), imagine(loop, precision)
    scale = loop.world_model.normaliser.observations.scale
    off = ((narrow.observations - plain.observations) / scale).abs()
    assert 0 < off.mean() < 10 * digits
    assert (narrow.actions - plain.actions).abs().mean() < 10 * digits
    torch.testing.assert_close(narrow.observations[:, 0], plain.observations[:, 0])


def test_a_recorded_loop_learns_what_an_eager_one_learns():
    """Same draws in the same order: the graph advances the generator as the calls it recorded did."""
    eager, recorded = (loop_of("cuda", compile=compile, guidance="gradient") for compile in ("none", "graph"))
    assert isinstance(recorded._improve_from, Captured)
    assert recorded._improve_from.graph is not None
    assert recorded.world_model._update.graph is not None

    def networks(loop):
        return loop.world_model.network, loop.world_model.averaged_network, loop.actor_critic

    for ours, theirs in zip(networks(recorded), networks(eager), strict=True):
        weights = ours.state_dict()
        for name, value in theirs.state_dict().items():
            torch.testing.assert_close(weights[name], value, atol=1e-3, rtol=1e-3)
    assert recorded.world_model.guidance_tuner.scale.item() == pytest.approx(
        eager.world_model.guidance_tuner.scale.item(), rel=1e-3
    )
