"""The guidance explorer in a page without kernel or network, and in JupyterLab with the kernel stopped."""

import json

import numpy as np
import pytest

from polygrad_edu.widgets import GuidanceExplorer
from tests.support.browser import jupyterlab, needs_chromium, offline_page, page_with

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    widget = GuidanceExplorer().freeze({"strength": [0.001, 0.01, 1.0], "rule": ["gradient", "sample"]})
    return page_with(tmp_path_factory.mktemp("page"), widget)


@pytest.fixture
def shown(browser, address):
    """A page of 900 pixels, and its explorer."""
    page, outside, errors = offline_page(browser, viewport={"width": 900, "height": 900})
    page.goto(address)
    yield page, page.locator(".pg")
    assert outside == []
    assert errors == []
    page.context.close()


def frame(widget):
    """The numbers that are drawn."""
    return widget.evaluate("root => root.frame")


def wait_for(page, **state):
    """Wait until the page has computed the frame of this state."""
    script = """(wanted) => {
      const { by, shown } = document.querySelector(".pg").dataset, state = JSON.parse(shown);
      return by === "page" && Object.entries(wanted).every(([name, value]) => `${state[name]}` === `${value}`);
    }"""
    page.wait_for_function(script, arg=state)


def press(page, widget, control, key, times=1):
    """Press a key on a slider and wait for the last frame; returns its state."""
    slider = widget.locator(f"[data-control={control}] input")
    slider.focus()
    for _ in range(times):
        page.keyboard.press(key)
    number = float(widget.locator(f"[data-control={control}] output").inner_text().split()[0])
    wait_for(page, **{control: f"{number:g}"})
    return frame(widget)["state"]


def test_arrows_move_a_start_and_the_goal_and_the_focus_stays(shown):
    page, widget = shown
    before = frame(widget)["data"]["paths"]
    start = widget.locator("[data-handle='starts 2']")
    x, y = (float(line[0]) for line in before["imagined"][2])
    start.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    there = """([x, y]) => {
      const { starts } = document.querySelector(".pg").frame.state;
      return starts.length && Math.hypot(starts[2][0] - x, starts[2][1] - y) < 0.01;
    }"""
    page.wait_for_function(there, arg=[x - 0.05, y + 0.05])
    after = frame(widget)["data"]["paths"]
    for path in (after["imagined"][2], after["real"][2]):  # the physics begins there as well
        np.testing.assert_allclose([path[0][0], path[1][0]], [x - 0.05, y + 0.05], atol=2e-3)
    np.testing.assert_allclose(after["imagined"][5], before["imagined"][5], atol=2e-3)  # the others stay
    assert page.evaluate("document.activeElement.dataset.handle") == "starts 2"
    assert "x " in start.get_attribute("aria-valuetext")
    widget.locator("[data-handle='goal 0']").focus()
    page.keyboard.press("ArrowRight")
    wait_for(page, goal="0.05,0")
    widget.get_by_role("button", name="Put back").click()
    wait_for(page, goal="0,0", starts="")
    np.testing.assert_allclose(frame(widget)["data"]["paths"]["imagined"], before["imagined"], atol=2e-3)


def test_a_goal_is_dragged_and_the_trajectories_follow_it(shown):
    page, widget = shown
    press(page, widget, "strength", "ArrowRight")
    ends = np.array(frame(widget)["data"]["paths"]["imagined"], dtype=float)[:, 0, -1]
    box = widget.locator("[data-handle='goal 0']").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(x + 10 * step, y)
    page.mouse.up()
    page.wait_for_function("document.querySelector('.pg').frame.state.goal[0] > 0.5")
    moved = np.array(frame(widget)["data"]["paths"]["imagined"], dtype=float)[:, 0, -1]
    assert (moved - ends).mean() > 0.05
    page.mouse.move(x, y)  # let go, it stays
    assert frame(widget)["state"]["goal"][0] > 0.5


def test_new_noise_and_a_turned_policy_change_the_picture(shown):
    page, widget = shown
    press(page, widget, "strength", "ArrowRight")
    pictures = [frame(widget)["data"]["paths"]["imagined"]]
    widget.get_by_role("button", name="New noise").click()
    wait_for(page, seed=1)
    pictures.append(frame(widget)["data"]["paths"]["imagined"])
    assert press(page, widget, "turn", "End")["turn"] == 180
    pictures.append(frame(widget)["data"]["paths"]["imagined"])
    outward = np.array(pictures[2], dtype=float)
    assert (np.linalg.norm(outward[..., -1], axis=1) > np.linalg.norm(outward[..., 0], axis=1)).sum() >= 6
    assert pictures[0] != pictures[1] != pictures[2]


def test_the_answer_is_hidden_until_it_is_asked_for(shown):
    page, widget = shown
    assert "right strength" not in widget.inner_text()
    assert widget.get_by_role("img", name="Where the right strength lies").count() == 0
    button = widget.get_by_role("button", name="Show the answer")
    assert button.get_attribute("aria-expanded") == "false"
    button.focus()
    page.keyboard.press("Enter")
    assert "the right strength would be about 0.00" in widget.inner_text()
    assert widget.get_by_role("img", name="Where the right strength lies").count() == 1
    widget.get_by_role("button", name="Hide the answer").click()
    assert "right strength" not in widget.inner_text()


def test_where_actions_run_away_the_page_says_what_the_package_says(shown):
    page, widget = shown
    press(page, widget, "sampling_steps", "Home")  # one visit: a rounding grows through all trained steps at once
    sentence = widget.locator(".pg-text").first
    assert "stale" not in sentence.get_attribute("class")
    widget.locator("[data-control=strength] input").focus()
    page.keyboard.press("End")
    refused = GuidanceExplorer(sampling_steps=1, strength=3.0).frame["error"]
    assert "the actions run away" in refused
    widget.get_by_text(refused).wait_for()
    assert "stale" in sentence.get_attribute("class")  # the old picture's words are pale as the picture is


def test_the_page_can_be_torn_away_between_questions_and_the_last_one_wins(shown):
    page, widget = shown
    press(page, widget, "strength", "Home")
    assert press(page, widget, "strength", "ArrowRight", times=40)["strength"] == pytest.approx(
        1e-4 * 3e4**0.2, rel=0.01
    )


@pytest.mark.parametrize(("width", "height", "scheme"), [(850, 760, "light"), (390, 844, "dark")])
def test_control_picture_and_sentence_are_seen_together(browser, address, width, height, scheme):
    page, _, _ = offline_page(browser, viewport={"width": width, "height": height}, color_scheme=scheme)
    page.goto(address)
    widget = page.locator(".pg")
    first = widget.locator("[data-control=strength] input").bounding_box()
    seen = [widget.locator(".pg-text").first.bounding_box()]
    for name in ("Trajectories in the arena", "Standardised"):
        seen.append(widget.locator(f"svg[aria-label^='{name}']").bounding_box())
    assert min(box["y"] for box in seen) > first["y"]
    assert max(box["y"] + box["height"] for box in seen) - first["y"] < height
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with jupyterlab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def test_in_jupyterlab_it_answers_with_the_kernel_stopped(browser, lab):
    name = lab.write("explorer.ipynb", "from polygrad_edu.widgets import GuidanceExplorer\nGuidanceExplorer()")
    page = lab.open(browser, name, viewport={"width": 1280, "height": 900})
    lab.run_all(page)
    widget = page.locator(".pg").first
    widget.wait_for(timeout=180_000)
    lab.wait_until_idle(page)
    press(page, widget, "strength", "ArrowRight")
    lab.wait_until_idle(page)
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name="Shut Down Kernel", exact=True).click()
    page.get_by_text("No Kernel").first.wait_for()
    before = frame(widget)
    press(page, widget, "strength", "ArrowRight", times=30)
    after = frame(widget)
    assert after["data"]["strength"]["std"] < before["data"]["strength"]["std"]
    page.wait_for_timeout(1000)  # longer than it waits before it tells the kernel
    assert json.loads(widget.get_attribute("data-shown")) == after["state"]
    assert not widget.locator(".pg-busy").is_visible()
    top = widget.locator("[data-control=strength] input").bounding_box()["y"]
    picture = widget.get_by_role("img", name="Standardised").bounding_box()
    assert picture["y"] + picture["height"] - top < 650  # what JupyterLab leaves of 900 pixels
    page.context.close()


def test_freezing_computes_nothing_in_a_students_kernel():
    widget = GuidanceExplorer()
    widget.compute = None
    assert widget.freeze({"strength": [0.001, 0.01], "rule": ["gradient", "none"]}) is widget
    with pytest.raises(ValueError, match="stores no frames: the page computes them"):
        widget.frozen_frame(strength=0.001, rule="none")
    with pytest.raises(ValueError, match="has no control 'speed'"):
        widget.freeze({"speed": [1]})
