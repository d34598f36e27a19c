"""The staggered sampler in JavaScript, in a real browser's engine, against the package with the same noise."""

import base64

import numpy as np
import pytest
import torch

from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.presets import PRESETS
from polygrad_edu.runs.browser_export import pack
from polygrad_edu.settings import RULES, GuidanceSettings
from polygrad_edu.variants.staggered_sampler import StaggeredSampler
from polygrad_edu.widgets.base import HERE
from polygrad_edu.widgets.page_noise import chain_with_page_noise
from tests.support.browser import needs_chromium, offline_page

pytestmark = needs_chromium
ROWS, POINTS, SEED = 3, 7, 5
IMAGINE = """
globalThis.imagine = (text, settings) => {
  const model = readModel(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const policy = { mean: (observations) => policyMean(model, observations), std: model.policy.std };
  const { first, seed, ...others } = settings, states = [];
  const asked = { ...others, first: Float64Array.from(first.flat()), policy, noise: seededNoise(seed) };
  for (const { trajectory, actions } of staggeredChain(model, asked)) states.push([[...trajectory], [...actions]]);
  return states;
};
"""


@pytest.fixture(scope="module")
def page(browser):
    """A page that holds the scripts."""
    page, outside, errors = offline_page(browser)
    scripts = [(HERE / name).read_text(encoding="utf-8") for name in ("imagination.js", "staggered_imagination.js")]
    page.add_script_tag(type="module", content="\n".join([*scripts, IMAGINE]))
    yield page
    assert (outside, errors) == ([], [])
    page.context.close()


def loop_with(prediction):
    """An untrained world model whose answers depend on all that it is given, and whose units are no ones."""
    preset = PRESETS["hopper-cpu"].with_overrides(
        denoiser="step-mlp", prediction=prediction, width=24, depth=2, policy_width=16
    )
    loop = ImaginationLoop(preset, 0)
    generator = torch.Generator().manual_seed(1)
    diffusion = loop.world_model.averaged_network
    with torch.no_grad():
        for weights in [*diffusion.denoiser.parameters(), *loop.best_policy.parameters()]:
            weights += 0.1 * torch.randn(weights.shape, generator=generator)
        diffusion.change_variance.copy_(torch.rand(diffusion.change_variance.shape, generator=generator))
    for field in loop.world_model.normaliser.fields:
        standardiser = getattr(loop.world_model.normaliser, field)
        standardiser.mean.copy_(torch.randn(standardiser.mean.shape, generator=generator))
        standardiser.scale.copy_(0.5 + torch.rand(standardiser.scale.shape, generator=generator))
        standardiser.imagined_scale.copy_(standardiser.scale)
    return loop


@pytest.fixture(scope="module")
def loops():
    """The loop of each prediction, and what is exported of it."""
    made = {prediction: loop_with(prediction) for prediction in ("change", "velocity", "x0")}
    first = torch.randn(ROWS, 11, generator=torch.Generator().manual_seed(2))
    packed = {name: base64.b64encode(pack(loop, first, torch.float32)).decode() for name, loop in made.items()}
    return made, packed, first


def check_same(page, loops, visits, delay, prediction="change", eta=1.0, **guidance):
    """Fail if page and package differ in any state of the chain."""
    made, packed, first = loops
    loop = made[prediction]
    diffusion, normaliser = loop.world_model.averaged_network, loop.world_model.normaliser
    walk = diffusion.schedule.walk(visits, eta)
    sampler = StaggeredSampler(diffusion, walk, GuidanceSettings(**guidance), normaliser, POINTS, delay)
    ours = list(chain_with_page_noise(sampler, first, loop.best_policy, POINTS, SEED))
    settings = {"first": first.tolist(), "guidance": guidance, "visits": visits, "delay": delay, "eta": eta}
    theirs = page.evaluate(
        "([text, settings]) => imagine(text, settings)",
        [packed[prediction], settings | {"points": POINTS, "seed": SEED}],
    )
    assert len(theirs) == len(ours)
    for in_page, in_package in zip(theirs, ours, strict=True):
        for numbers, tensor in zip(in_page, in_package, strict=True):
            found, wanted = np.reshape(numbers, tensor.shape), tensor.numpy()
            if wanted.shape[-1] == 13:  # no step follows the last point, so nobody asks for its reward and ending
                found[:, -1, 11:] = wanted[:, -1, 11:]
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("visits", "delay"), [(1, 0), (1, 1), (4, 0), (4, 1), (4, 3), (8, 2), (4, 4), (4, 9)])
def test_each_delay_gives_the_packages_trajectories_after_every_call(page, loops, visits, delay):
    check_same(page, loops, visits, delay)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_guides_as_in_the_package(page, loops, rule):
    check_same(page, loops, 4, 2, rule=rule, scale=0.01)


@pytest.mark.parametrize("prediction", ["velocity", "x0"])
def test_each_prediction_means_what_it_means_in_the_package(page, loops, prediction):
    check_same(page, loops, 4, 2, prediction)


@pytest.mark.parametrize(
    "guidance",
    [
        {"guide_at": "posterior_mean"},
        {"rule": "fixed-noise", "inertia": 0.9},
        {"clip_std": 0.5, "action_limit": 0.5, "rule": "fixed-noise"},
        {"change_limit": 0.001},
        {"rule": "ornstein-uhlenbeck", "persistence": 0.8, "clip_std": 1.0},
    ],
)
def test_each_setting_of_the_guidance_means_what_it_means_in_the_package(page, loops, guidance):
    check_same(page, loops, 16, 3, **guidance)


@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_less_noise_in_each_step_is_the_packages_walk(page, loops, eta):
    check_same(page, loops, 4, 2, eta=eta, rule="fixed-noise")
