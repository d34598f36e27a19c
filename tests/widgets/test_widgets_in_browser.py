"""Widgets under a real keyboard: live in JupyterLab, and frozen in a page from disk with no network."""

import json
import re
import shutil
import statistics
import time
from pathlib import Path

import pytest

from polygrad_edu.widgets import DenoisingScrubber, ImaginedOrReal
from tests.support.browser import jupyterlab, needs_chromium, offline_page, page_with
from tests.support.frozen_widgets import StoredPlayground, StoredReturns

pytestmark = needs_chromium
LESSONS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with jupyterlab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def run(browser, lab, name):
    """Open a notebook and run it: its page and its first widget."""
    page = lab.open(browser, name)
    lab.run_all(page)
    widget = page.locator(".pg").first
    widget.wait_for(timeout=180_000)
    lab.wait_until_idle(page)
    return page, widget


@pytest.fixture(scope="module")
def lesson(browser, lab):
    """The lesson on guidance, as its reader has it: (page, guidance explorer)."""
    shutil.copy(LESSONS / "05_score_guidance.ipynb", lab.folder)
    cells = json.loads((lab.folder / "05_score_guidance.ipynb").read_text(encoding="utf-8"))["cells"]
    asked = [name for cell in cells for name in re.findall(r'predict\(\s*"([^"]+)"', "".join(cell["source"]))]
    given_up = {question: {"seen": True} for question in asked}  # an open question hides what comes after it
    (lab.folder / "my_guesses.json").write_text(json.dumps(given_up), encoding="utf-8")
    return run(browser, lab, "05_score_guidance.ipynb")


@pytest.fixture(scope="module")
def notebook(browser, lab):
    """A small notebook: (page, schedule playground)."""
    made = "from polygrad_edu.widgets import SchedulePlayground\nplayground = SchedulePlayground()\nplayground"
    moved = "playground.move(tau=0.6)  # between two stops of the slider"
    page, widget = run(browser, lab, lab.write("widgets.ipynb", made, moved))
    widget.locator("[data-control=tau] output").get_by_text("0.6").wait_for()
    return page, widget


def slider(widget, control):
    return widget.locator(f"[data-control={control}] input")


def look(widget):
    """What is shown: the state, the sentence, the picture."""
    return (
        json.loads(widget.get_attribute("data-shown")),
        widget.locator(".pg-text").first.inner_text(),
        widget.locator(".pg-panels").inner_html(),
    )


def settle(widget):
    """Wait until the page, or the kernel, has answered the last move."""
    widget.locator(".pg-busy:not(.on)").wait_for(state="attached")


def test_in_jupyterlab_a_key_moves_number_and_picture_within_a_second(lesson):
    page, guidance = lesson
    slider(guidance, "strength").focus()
    seconds, before = [], look(guidance)
    for _ in range(10):
        shown = [guidance.element_handle(), guidance.get_attribute("data-shown")]
        begin = time.monotonic()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("([element, shown]) => element.dataset.shown !== shown", arg=shown)
        seconds.append(time.monotonic() - begin)
        after = look(guidance)
        assert after[0]["strength"] > before[0]["strength"]
        assert all(old != new for old, new in zip(before, after, strict=True))
        before = after
    assert statistics.median(seconds) < 1


def test_twenty_fast_moves_leave_the_last_value_and_an_idle_kernel(lab, lesson):
    page, guidance = lesson
    strength = slider(guidance, "strength")
    strength.focus()
    page.keyboard.press("Home")
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    last = float(f"{1e-4 * 3e4 ** (20 / 200):.3g}")  # the slider is smooth: 200 stops from 1e-4 to 3
    page.wait_for_function("(last) => document.querySelector('.pg').frame.state.strength === last", arg=last)
    page.wait_for_timeout(1000)  # then the kernel hears of it
    lab.wait_until_idle(page)
    assert int(strength.input_value()) == 20
    assert look(guidance)[0]["strength"] == last
    assert guidance.locator("[data-control=strength] output").inner_text() == f"{last:g}"


def test_what_the_function_refuses_is_said_and_the_old_picture_stays(notebook):
    page, schedule = notebook
    before = look(schedule)
    slider(schedule, "n_steps").focus()
    page.keyboard.press("Home")  # 4 steps, of which 16 cannot be visited
    schedule.get_by_text("can visit 1 to 4 of 4 steps, not 16").wait_for()
    assert look(schedule) == before
    page.keyboard.press("End")
    settle(schedule)
    assert schedule.locator(".pg-error").inner_text() == ""
    assert look(schedule)[0]["n_steps"] == 256


def test_a_move_from_python_puts_the_slider_where_it_belongs(notebook):
    page, schedule = notebook
    tau = slider(schedule, "tau")
    assert schedule.locator("[data-control=tau] output").inner_text() == "0.6"
    tau.focus()
    for key, value in (("ArrowLeft", 0.5), ("ArrowRight", 0.6), ("ArrowRight", 0.7)):
        page.keyboard.press(key)
        settle(schedule)
        assert look(schedule)[0]["tau"] == value


def test_in_jupyterlab_a_widget_that_needs_no_model_is_answered_by_the_page(notebook):
    page, schedule = notebook
    root = schedule.element_handle()
    listen = """(root) => {
      root.answers = [];
      const options = { attributes: true, attributeFilter: ["data-by"] };
      new MutationObserver(() => root.answers.push(root.dataset.by)).observe(root, options);
    }"""
    page.evaluate(listen, root)
    slider(schedule, "progress").focus()
    page.keyboard.press("ArrowRight")  # half a second later the kernel hears of it, and answers as well
    page.wait_for_function("(root) => root.answers.includes('page')", arg=root)


def test_a_menu_obeys_the_keyboard_too(lesson):
    page, guidance = lesson
    guidance.locator("[data-control=rule] select").focus()
    page.keyboard.type("sample")
    page.wait_for_function("document.querySelector('.pg').frame.state.rule === 'sample'")
    state, text, _ = look(guidance)
    assert state["rule"] == "sample"
    assert "sample has no strength" in text


@pytest.fixture
def frozen_page(tmp_path):
    returns = StoredReturns(gamma=0.5).freeze({"gamma": [0.0, 0.5, 1.0], "terminal": [2, "none"]})
    schedule = StoredPlayground().freeze({"n_steps": [8, 128], "progress": [0.24, 0.5]})
    alone = StoredPlayground(tau=0.1)
    return page_with(tmp_path, returns, schedule, alone), returns


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (400, "dark")])
def test_without_kernel_or_network_the_same_slider_moves_the_same_picture(browser, frozen_page, width, scheme):
    address, frozen = frozen_page
    page, outside, errors = offline_page(browser, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(address)
    returns, schedule, alone = (page.locator(".pg").nth(i) for i in range(3))
    before = look(returns)
    slider(returns, "gamma").focus()
    page.keyboard.press("ArrowRight")
    after = look(returns)
    assert after[0]["gamma"] == 1.0
    assert after[1] == frozen.frozen_frame(gamma=1.0, terminal=after[0]["terminal"])["text"]
    assert all(old != new for old, new in zip(before, after, strict=True))
    slider(schedule, "n_steps").focus()
    page.keyboard.press("ArrowLeft")
    assert "can visit 1 to 8 of 8 steps" in schedule.locator(".pg-error").inner_text()
    assert slider(schedule, "sampling_steps").is_disabled()
    assert "the notebook brings it to life" in alone.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width  # nothing sticks out
    dark = page.evaluate("getComputedStyle(document.querySelector('.pg')).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert outside == []
    assert errors == []
    page.context.close()


def test_a_robot_is_drawn_from_noise_to_motion_without_a_kernel(browser, tmp_path):
    scrubber = DenoisingScrubber("hopper", seed=2).freeze({"visit": [0, 8, 16]})
    comparison = ImaginedOrReal(seed=3).freeze({"ahead": [0, 9]})
    page, outside, errors = offline_page(browser, viewport={"width": 400, "height": 900})
    page.goto(page_with(tmp_path, scrubber, comparison))
    for place, control, robots in ((0, "visit", 8), (1, "ahead", 2)):
        widget = page.locator(".pg").nth(place)
        slider(widget, control).focus()
        page.keyboard.press("Home")
        before = look(widget)
        page.keyboard.press("ArrowRight")
        assert all(old != new for old, new in zip(before, look(widget), strict=True))
        assert widget.locator("figure svg[aria-label] rect[fill='#eef3f8']").count() == robots
        for figure in widget.locator("figure:has(svg rect[fill='#eef3f8'])").all():
            tops = figure.locator("svg").evaluate_all("all => all.map((one) => one.getBoundingClientRect().top)")
            assert len({*tops}) == 1  # side by side on a narrow page
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert outside == []
    assert errors == []
    page.context.close()
