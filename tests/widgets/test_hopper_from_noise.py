"""The hopper out of the noise: the package's sampler and the simulator's poses, in Python and in the page."""

import re

import numpy as np
import pytest

from polygrad_edu.widgets import HopperFromNoise
from polygrad_edu.widgets.hopper_from_noise import VISITS, hopper_frame, page_settings
from tests.support.browser import needs_chromium, offline_page, page_with


def test_the_first_pose_is_real_and_the_others_come_out_of_noise():
    settings = page_settings()
    assert [link["radius"] for link in settings["links"]] == [0.05, 0.05, 0.04, 0.06]
    begin, end = (np.array(hopper_frame(0.002, visit, 0)["robots"]) for visit in (0, VISITS))
    assert begin.shape == (10, 4, 2, 2)
    np.testing.assert_allclose(begin[0], end[0], atol=1e-5)
    lowest = end[:, 3, :, 1].min(axis=1) - 0.06  # of the foot, whose capsule has this radius
    assert np.abs(lowest).max() < 0.05  # it stands on the ground, or hardly leaves it
    jumps = [np.abs(np.diff(poses, axis=0)).max() for poses in (begin, end)]
    assert jumps[0] > 5 * jumps[1]


@pytest.mark.parametrize(("strength", "verdict"), [(2e-4, "too weak"), (0.002, "about right"), (0.1, "too strong")])
def test_the_sentence_tells_whether_the_pull_is_right(strength, verdict):
    assert f"pull is {verdict}" in hopper_frame(strength, 5, 0)["text"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strength": -1.0}, "the guidance strength must be a number from 0 to 100, not -1.0"),
        ({"visit": 33}, "the visit must be a whole number from 0 to 32, not 33"),
        ({"seed": 0.5}, "the seed must be a whole number"),
    ],
)
def test_what_is_no_setting_is_refused(change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        hopper_frame(**({"strength": 0.01, "visit": 0, "seed": 0} | change))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return page_with(tmp_path_factory.mktemp("page"), HopperFromNoise())


@needs_chromium
def test_the_page_plays_to_the_end_by_itself(browser, address):
    page, outside, errors = offline_page(browser)
    page.goto(address)
    page.wait_for_function(f"document.querySelector('.pg').frame.state.visit === {VISITS}", timeout=60_000)
    assert page.locator(".pg").get_attribute("data-by") == "page"
    assert page.locator(".pg .pg-text").first.inner_text().startswith("Imagined: nine steps ahead")
    assert (outside, errors) == ([], [])
    page.context.close()


@needs_chromium
def test_nothing_moves_by_itself_for_a_reader_who_asks_for_less_motion(browser, address):
    page, _, errors = offline_page(browser, reduced_motion="reduce")
    page.goto(address)
    page.locator(".pg").wait_for()
    page.wait_for_timeout(1000)  # more than five steps of a chain that plays
    assert page.evaluate("document.querySelector('.pg').frame.state.visit") == 0
    page.get_by_role("button", name="Play").click()  # asked for, it plays
    page.wait_for_function("document.querySelector('.pg').frame.state.visit > 0")
    assert errors == []
    page.context.close()
