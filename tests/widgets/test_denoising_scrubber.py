"""The denoising scrubber shows the package's own chain, from noise to motion."""

import re

import numpy as np
import pytest
import torch

from polygrad_edu.guided_sampler import GuidedSampler
from polygrad_edu.settings import GuidanceSettings
from polygrad_edu.widgets import DenoisingScrubber
from polygrad_edu.widgets.denoising_scrubber import POLICY_STD, VISITS, first_row, scrubber_frame
from polygrad_edu.widgets.guided_imagination import load_playground
from polygrad_edu.widgets.page_noise import chain_with_page_noise
from tests.support.browser import needs_chromium, offline_page, page_with
from tests.support.frozen_widgets import check_frozen


@pytest.mark.parametrize("task", ["point-mass", "hopper"])
def test_the_scrubber_shows_the_packages_own_chain(task):
    playground = load_playground(task)
    first = playground.observations[first_row(task, 2)][None]
    walk = playground.diffusion.schedule.walk(VISITS)
    sampler = GuidedSampler(playground.diffusion, walk, GuidanceSettings(rule="fixed-noise"), playground.normaliser)
    policy = playground.policy_with(POLICY_STD[task])
    *_, end = chain_with_page_noise(sampler, first, policy, playground.horizon, 2)
    imagined = sampler.expected(end)
    last = scrubber_frame(task, VISITS, 2)
    assert torch.equal(last["channel"]["now"], imagined.observations[0, :, 0])
    assert torch.equal(last["rewards"]["now"], imagined.rewards[0])
    assert torch.equal(last["actions"]["now"], imagined.actions[0, :, 0])
    assert torch.equal(last["channel"]["now"], last["channel"]["final"])


def test_noise_turns_into_motion_and_the_denoiser_is_ahead_of_it():
    texts = [scrubber_frame("hopper", k, 2)["text"] for k in range(VISITS)]
    away = [re.findall(r"([\d.]+) of the data's std|is ([\d.]+) away", text) for text in texts]
    now, seen = (np.array([float(found[i][i]) for found in away]) for i in (0, 1))
    assert now[0] > 1
    assert now[-1] < 0.2 * now[0]
    assert (seen[:8] < now[:8]).all()
    spread = [np.abs(np.diff(scrubber_frame("hopper", k, 2)["channel"]["now"])).mean() for k in (0, VISITS)]
    assert spread[0] > 5 * spread[1]


@pytest.mark.parametrize("visit", [-1, VISITS + 1, 1.5, float("nan")])
def test_the_scrubber_refuses_a_visit_outside_the_chain(visit):
    with pytest.raises(ValueError, match="the visit must be a whole number from 0 to 16"):
        scrubber_frame("point-mass", visit, 0)
    assert "the visit must be" in DenoisingScrubber(visit=visit).frame["error"]
    with pytest.raises(ValueError, match="there is no playground 'moon'"):
        DenoisingScrubber("moon")


def test_at_every_grid_point_the_frozen_robot_is_the_live_one():
    check_frozen(lambda: DenoisingScrubber("hopper"), {"visit": [0, 5, 16], "seed": [2, 3]})


def numbers(data):
    """All numbers of a frame's data in one list."""
    if isinstance(data, dict):
        return [number for key in sorted(data) for number in numbers(data[key])]
    if isinstance(data, list):
        return [number for part in data for number in numbers(part)]
    return [data] if isinstance(data, float | int) else []


@needs_chromium
def test_a_page_denoises_by_itself_what_the_package_does(browser, tmp_path):
    widget = DenoisingScrubber(seed=8).freeze({"visit": range(17), "seed": [0, 8]})
    page, outside, errors = offline_page(browser)
    page.goto(page_with(tmp_path, widget))
    page.get_by_role("button", name="New noise").click()
    page.get_by_role("button", name="Play").click()
    seen = """({ visit, seed }) => {
      const { state } = document.querySelector(".pg").frame;
      return state.visit === visit && state.seed === seed;
    }"""
    for visit in (5, VISITS):
        if visit == 5:
            page.wait_for_function("document.querySelector('[data-control=visit] input').value >= 5")
            page.get_by_role("button", name="Pause").click()
            visit = int(page.locator("[data-control=visit] input").input_value())
        page.wait_for_function(seen, arg={"visit": visit, "seed": 9})
        theirs = page.evaluate("document.querySelector('.pg').frame.data")
        ours = DenoisingScrubber(visit=visit, seed=9).frame["data"]
        np.testing.assert_allclose(numbers(theirs), numbers(ours), atol=2e-3)
        assert theirs["text"] == ours["text"]
        page.get_by_role("button", name="Play").click()
    assert outside == []
    assert errors == []
    page.context.close()
