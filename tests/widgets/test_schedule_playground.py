"""The schedule playground draws the package's own schedule and refuses what is none."""

import math
import re

import pytest

from polygrad_edu.noise_schedule import NoiseSchedule
from polygrad_edu.widgets import SchedulePlayground
from polygrad_edu.widgets.schedule_playground import schedule_frame
from tests.support.browser import needs_chromium, offline_page, page_with

SCHEDULE = {"tau": 1.0, "n_steps": 128, "sampling_steps": 16, "progress": 0.5}


def test_the_playground_draws_the_schedule_of_the_package():
    frame = schedule_frame(**SCHEDULE)
    schedule = NoiseSchedule.cosine(128)
    assert frame["at"]["step"] == 64
    assert frame["at"]["signal"] ** 2 == pytest.approx(schedule.alphas_cumprod[64].item())
    assert frame["at"]["signal"] ** 2 + frame["at"]["noise"] ** 2 == pytest.approx(1)
    assert frame["visits"]["step"].tolist() == schedule.walk(16).trained_steps.tolist()
    off = (frame["noised"] - frame["at"]["signal"] * frame["clean"]) / frame["at"]["noise"]
    assert off.std().item() == pytest.approx(1, abs=0.15)  # what was added is standard normal


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sampling_steps": 129}, "can visit 1 to 128 of 128 steps, not 129"),
        ({"sampling_steps": 0}, "whole number of at least 1, not 0"),
        ({"n_steps": 12.5}, "whole number from 1 to 1000, not 12.5"),
        ({"tau": -1.0}, "temperature must be a number from 0.001 to 10, not -1.0"),
        ({"tau": math.nan}, "not nan"),
        ({"progress": 1.01}, "place in the chain must be a number from 0 to 1"),
    ],
)
def test_the_playground_refuses_what_is_no_schedule(change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        schedule_frame(**(SCHEDULE | change))
    widget = SchedulePlayground(**(SCHEDULE | change))
    assert words in widget.frame["error"]
    assert widget.frame["data"] is None


@needs_chromium
def test_a_page_refuses_the_same(browser, tmp_path):
    page, outside, errors = offline_page(browser)
    page.goto(page_with(tmp_path, SchedulePlayground(sampling_steps=128)))
    page.locator("[data-control=n_steps] input").focus()
    page.keyboard.press("Home")
    page.get_by_text("can visit 1 to 4 of 4 steps, not 128").wait_for()
    assert (outside, errors) == ([], [])
    page.context.close()
