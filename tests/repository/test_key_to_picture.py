"""The script that times widgets: what it counts as a picture, and what it refuses."""

import re

import pytest

from tests.support.book_scripts import load_book_script
from tests.support.browser import needs_chromium, offline_page

key_to_picture = load_book_script("key_to_picture")
TIMES = r"\d+ \(\d+\), \d+"
# Something like a widget, whose picture comes after the milliseconds that are put in for WAIT.
SLOW = """<div class="pg"><span data-control="strength"><input type="range" min="1" max="5" value="1"></span></div>
<script>
const root = document.querySelector(".pg"), show = (strength) => {
  root.frame = { state: { strength } };
  root.dataset.by = "page";
  root.dataset.shown = strength;
};
show(1);
root.addEventListener("input", ({ target }) => setTimeout(() => show(Number(target.value)), WAIT));
</script>"""


@needs_chromium
def test_a_move_lasts_until_its_picture_is_there(browser):
    page, _, errors = offline_page(browser)
    page.set_content(SLOW.replace("WAIT", "250"))
    times = key_to_picture.times_of(page.query_selector(".pg"), "page", 3)
    assert len(times) == 3
    assert min(times) >= 250  # a timer is never early
    assert errors == []
    page.context.close()


@needs_chromium
@pytest.mark.parametrize(("way", "shown"), [("kernel", "Number(target.value)"), ("page", "1")])
def test_a_picture_by_somebody_else_or_of_the_same_strength_is_no_time(browser, way, shown):
    page, _, _ = offline_page(browser)
    page.set_content(SLOW.replace("WAIT", "0").replace("show(Number(target.value))", f"show({shown})"))
    with pytest.raises(RuntimeError, match="a key led from strength 1 to"):
        key_to_picture.times_of(page.query_selector(".pg"), way, 1)
    page.context.close()


@needs_chromium
def test_the_table_has_a_row_for_each_widget_and_says_how_busy_the_machine_was(browser, capsys):
    key_to_picture.print_table(browser, ["point-mass", "pendulum"], ["stored", "page"], moves=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| ms: median of 2 moves (slowest), processor | stored | page | target |"
    assert re.fullmatch(rf"\| point-mass \| {TIMES} \| {TIMES} \| 100 \|", lines[2])
    assert re.fullmatch(rf"\| pendulum \| {TIMES} \| {TIMES} \| 150 \|", lines[3])
    assert re.search(r"Chromium [\d.]+, cores: \d+, load averages .*: [\d., ]+\.", lines[-1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["moon"], "there is no widget 'moon' to time; choose point-mass, pendulum, hopper"),
        (["--moves", "28"], "--moves must be from 1 to 27, not 28"),
        (["--way", "guess"], "invalid choice: 'guess'"),
    ],
)
def test_what_cannot_be_timed_is_refused_in_one_line(arguments, words, capsys):
    with pytest.raises(SystemExit) as refused:
        key_to_picture.main(arguments)
    assert refused.value.code == 2
    assert words in capsys.readouterr().err
