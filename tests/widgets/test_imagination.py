"""The imagination in JavaScript, in a real browser's engine, against the package with the same noise."""

import base64
import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from polygrad_edu.course.paths import shipped
from polygrad_edu.noise_schedule import NoiseSchedule
from polygrad_edu.runs.browser_export import pack
from polygrad_edu.settings import RULES, GuidanceSettings
from polygrad_edu.widgets.base import HERE
from polygrad_edu.widgets.guided_imagination import CONVENTIONS, ConventionalSampler, load_playground
from polygrad_edu.widgets.page_noise import chain_with_page_noise, standard_normal
from tests.support.browser import needs_chromium, offline_page

pytestmark = needs_chromium
RUNS = {"point-mass": "point-mass", "hopper": "hopper-cpu"}
ROWS = 4
TOGETHER = """
globalThis.imagine = (model, { first, guidance, visits, eta, draws, shift }) => {
  const noise = {
    trajectory: (draw) => Float64Array.from(draws[draw].trajectory.flat(2)),
    actions: (draw) => Float64Array.from(draws[draw].actions.flat(2)),
  };
  const policy = { mean: (observations) => policyMean(model, observations), std: model.policy.std.map(() => shift) };
  const settings = { first: Float64Array.from(first.flat()), policy, guidance, visits, eta, noise };
  let state;
  for (state of chain(model, settings));
  const { observations, rewards, terminals, actions } = inRawUnits(model, state);
  return [observations, rewards, terminals, actions].map((values) => [...values]);
};
globalThis.models = {};
globalThis.keep = (name, text) => {
  models[name] = readModel(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const { betas, starts, policy, denoiser, units, ...manifest } = models[name];
  return manifest;
};
Object.assign(globalThis, { standardNormal, seededNoise, cosineBetas, walk, policyMean, chain, denoise, readModel,
  inRawUnits });
"""


@pytest.fixture(scope="module")
def page(browser):
    """A page that holds imagination.js and the exported models, with weights of 32 and of 16 bits."""
    page, outside, errors = offline_page(browser)
    page.add_script_tag(type="module", content=(HERE / "imagination.js").read_text(encoding="utf-8") + TOGETHER)
    for task, run in RUNS.items():
        result = shipped(run)
        for bits, dtype in ((32, torch.float32), (16, torch.float16)):
            keep(page, f"{task}-{bits}", pack(result.loop, result.observations, dtype))
    yield page
    assert outside == []
    assert errors == []
    page.context.close()


def keep(page, name, content):
    """Hand an exported file to the page."""
    page.evaluate("([name, text]) => keep(name, text)", [name, base64.b64encode(content).decode()])


class Recording(ConventionalSampler):
    """Keeps all noise that it draws, as lists for a page."""

    def start(self, normed_first, horizon, generator):
        state = super().start(normed_first, horizon, generator)
        self.draws = [{"trajectory": state.trajectory.tolist(), "actions": state.actions.tolist()}]
        return state

    def draw_noise(self, visit, state, kept_noise, generator):
        noise = super().draw_noise(visit, state, kept_noise, generator)
        self.draws.append({"trajectory": noise.trajectory.tolist(), "actions": noise.actions.tolist()})
        return noise


def imagine_in_both(page, task, bits, guidance, convention="polygrad", visits=16, eta=1.0, name=""):
    """What package and page imagine with the same noise: pairs of flat arrays."""
    playground, std = load_playground(task), 0.4
    sampler = Recording(playground, GuidanceSettings(**guidance), convention, visits)
    if eta != 1:
        sampler.walk = playground.diffusion.schedule.walk(visits, eta)
    first = playground.observations[:ROWS]
    ours = sampler.sample(first, playground.policy_with(std), playground.horizon, torch.Generator().manual_seed(5))
    settings = {"first": first.tolist(), "guidance": guidance | {"convention": convention}, "visits": visits}
    settings |= {"eta": eta, "draws": sampler.draws, "shift": std}
    theirs = page.evaluate(
        "([name, settings]) => imagine(models[name], settings)", [name or f"{task}-{bits}", settings]
    )
    package = (ours.observations, ours.rewards, ours.terminals, ours.actions)
    return [(np.array(page), numbers.numpy().ravel()) for page, numbers in zip(theirs, package, strict=True)]


def check_same(pairs, tolerance=1e-4):
    for in_page, in_package in pairs:
        np.testing.assert_allclose(in_page, in_package, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("task", RUNS)
@pytest.mark.parametrize("rule", RULES)
def test_each_rule_gives_the_packages_trajectories(page, task, rule):
    check_same(imagine_in_both(page, task, 32, {"rule": rule, "scale": 0.01}))


def test_the_books_example_imagines(page):
    words = (HERE.parents[1] / "book" / "widgets.md").read_text(encoding="utf-8")
    example = re.search(r"```javascript\n(.+?)```", words, re.DOTALL)[1]
    content = base64.b64encode(pack(shipped("point-mass").loop, load_playground("point-mass").observations)).decode()
    seen = page.evaluate(
        """([example, text]) => {
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer, said = [];
          const fetch = async () => ({ arrayBuffer: async () => bytes });
          const console = { log: (values) => said.push([...values]) };
          const AsyncFunction = (async () => {}).constructor;
          return AsyncFunction("fetch", "console", example)(fetch, console).then(() => said);
        }""",
        [example, content],
    )
    assert np.shape(seen) == (17, 8 * 10 * 4)
    assert np.abs(np.diff(seen[-1][:40:4])).max() < 0.2 < np.abs(np.diff(seen[0][:40:4])).max()  # out of noise, a path


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("visits", [1, 7, 128])
def test_each_convention_gives_the_packages_trajectories_at_any_number_of_visits(page, convention, visits):
    check_same(imagine_in_both(page, "point-mass", 32, {"scale": 0.02}, convention, visits))


@pytest.mark.parametrize(
    "settings",
    [
        {"guide_at": "posterior_mean"},
        {"precondition": True, "scale": 0.05, "action_noise_scale": 0.7},
        {"rule": "fixed-noise", "inertia": 0.9},
        {"clip_std": 0.0, "action_limit": 0.5},
        {"change_limit": 0.001},
        {"rule": "ornstein-uhlenbeck", "persistence": 0.8, "clip_std": 1.0},
    ],
)
def test_each_setting_of_the_guidance_means_what_it_means_in_the_package(page, settings):
    check_same(imagine_in_both(page, "point-mass", 32, settings))


@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_less_noise_in_each_step_is_the_packages_walk(page, eta):
    check_same(imagine_in_both(page, "point-mass", 32, {"rule": "fixed-noise"}, eta=eta))


@pytest.fixture
def in_half_precision():
    """Gives a playground weights that are no numbers of 16 bits, then rounds them; after the test, its own."""
    changed = []

    def narrow(playground):
        denoiser = playground.diffusion.denoiser
        changed.append((denoiser, {name: value.clone() for name, value in denoiser.state_dict().items()}))
        with torch.no_grad():
            for weights in denoiser.parameters():
                weights.copy_((weights * (1 + 0.01 * torch.rand_like(weights))).half())

    yield narrow
    for denoiser, weights in changed:
        denoiser.load_state_dict(weights)


@pytest.mark.parametrize("task", RUNS)
@pytest.mark.parametrize("rule", ["gradient", "fixed-noise"])
def test_the_exported_file_is_the_package_to_the_same_digits(page, task, rule):
    """The shipped weights have 16 bits already."""
    check_same(imagine_in_both(page, task, 16, {"rule": rule, "scale": 0.01}))


def test_weights_of_a_run_are_rounded_to_sixteen_bits_and_nothing_else(page, in_half_precision):
    result = shipped("point-mass")
    playground = load_playground("point-mass")
    in_half_precision(playground)
    denoiser = result.loop.world_model.averaged_network.denoiser
    denoiser.load_state_dict(playground.diffusion.denoiser.state_dict())
    with torch.no_grad():  # what rounding takes away again
        for weights in denoiser.parameters():
            weights.mul_(1 + 1e-4)
    keep(page, "rounded-16", pack(result.loop, result.observations))
    check_same(imagine_in_both(page, "point-mass", 16, {"rule": "sample"}, name="rounded-16"))


def test_the_schedule_and_its_walk_are_the_packages(page):
    for steps, tau, visits in itertools.product((8, 128), (0.1, 1.0, 2.0), (1, 3, 8)):
        schedule = NoiseSchedule.cosine(steps, tau)
        betas, walk = page.evaluate(
            "([T, tau, visits]) => { const betas = cosineBetas(T, tau); return [[...betas], walk(betas, visits)]; }",
            [steps, tau, visits],
        )
        np.testing.assert_allclose(betas, schedule.betas, rtol=1e-6)
        ours = list(schedule.walk(visits))
        assert [visit["step"] for visit in walk] == [visit.trained_step for visit in ours]
        assert [visit["jump"] for visit in walk] == [visit.jump for visit in ours]
        for name, key in (("onClean", "coef_x_0"), ("onNoisy", "coef_x_t"), ("variance", "variance")):
            numbers = [visit[name] for visit in walk]
            np.testing.assert_allclose(numbers, [getattr(v, key) for v in ours], rtol=1e-4, atol=1e-6)


def test_python_and_page_draw_the_same_noise(page):
    for seed, stream in ((0, 0), (3, 17), (2**31, 33)):
        drawn = page.evaluate("([seed, stream]) => [...standardNormal(seed, stream, 500)]", [seed, stream])
        np.testing.assert_allclose(drawn, standard_normal(seed, stream, 500), rtol=1e-6, atol=1e-7)


def test_a_seed_in_python_and_in_the_page_imagines_the_same(page):
    playground = load_playground("point-mass")
    first = playground.observations[:ROWS]
    sampler = ConventionalSampler(playground, GuidanceSettings(rule="gradient", scale=0.01), "polygrad", 16)
    *_, end = chain_with_page_noise(sampler, first, playground.policy_with(0.4), playground.horizon, 7)
    found = page.evaluate(
        """(first) => {
          const model = models["point-mass-32"], policy = { mean: (s) => policyMean(model, s), std: [0.4, 0.4] };
          const settings = { first: Float64Array.from(first.flat()), policy, guidance: { scale: 0.01 }, visits: 16 };
          let state;
          for (state of chain(model, { ...settings, noise: seededNoise(7) }));
          return [[...state.trajectory], [...state.actions]];
        }""",
        first.tolist(),
    )
    for in_page, ours in zip(found, end, strict=True):
        np.testing.assert_allclose(in_page, ours.numpy().ravel(), rtol=1e-4, atol=1e-4)


def test_a_network_told_the_step_itself_gives_the_packages_numbers(page):
    """Features of whole steps turn through thousands of radians, where rounding shows."""
    result = shipped("point-mass")
    loop, observations = result.loop, result.observations
    unsmoothed = replace(loop.preset, denoiser=replace(loop.preset.denoiser, smooth_steps=False))
    network = loop.world_model.averaged_network
    network.denoiser.embed_step[0].unit = 1.0
    loop.preset = unsmoothed
    keep(page, "unsmoothed", pack(loop, observations, torch.float32))
    noisy = standard_normal(0, 0, ROWS, 10, 6)
    actions = standard_normal(0, 1, ROWS, 10, 2)
    for index in (0, 64, 127):
        visit = network.schedule.walk().visit(index)
        with torch.no_grad():
            ours = network.denoiser(noisy, visit.signal * actions, visit.step)
        theirs = page.evaluate(
            """([trajectory, actions, step]) => {
              const model = models.unsmoothed, visit = walk(model.betas, 128).find((visit) => visit.step === step);
              const flat = (values) => Float64Array.from(values.flat(2));
              return [...denoise(model, flat(trajectory), flat(actions), visit, trajectory.length)];
            }""",
            [noisy.tolist(), actions.tolist(), index],
        )
        np.testing.assert_allclose(theirs, ours.numpy().ravel(), rtol=1e-4, atol=1e-4)
