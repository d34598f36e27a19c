"""A reader of the book: moves widgets by pointer to settings drawn at random, and reads plots as their axes say.

The settings are new each day. ``POLYGRAD_TEST_SEED=N pytest ...`` draws those of a day that failed again.
"""

import datetime
import os
import random
import re

import numpy as np

SEED = int(os.environ.get("POLYGRAD_TEST_SEED", datetime.date.today().toordinal()))
NUMBER = r"\d+(?:\.\d+)?(?:e-?\d+)?"
COLOURS = {"#0072b2": "blue", "#d55e00": "orange", "#009e73": "green", "#999999": "grey"}
READ = """(picture) => {
  const inside = picture.querySelector(":scope > svg"), is = (part, name) => Number(part.getAttribute(name));
  const axis = (anchor, place) => { // its ticks say which value lies where, evenly or by powers of ten
    const texts = picture.querySelectorAll(`:scope > text[text-anchor=${anchor}]:not([transform])`);
    const lines = [...inside.querySelectorAll("line[stroke='var(--faint)']")];
    const ends = lines.map((line) => [is(line, `${place}1`), is(line, `${place}2`)]);
    const at = ends.filter(([from, to]) => from === to).map(([from]) => from);
    const values = at.map((_, i) => Number(texts[i].textContent)), last = at.length - 1;
    const powers = last > 1 && Math.abs(values[1] / values[0] - values[2] / values[1]) < 1e-9;
    const [from, to] = [values[0], values[last]].map((value) => (powers ? Math.log(value) : value));
    const linear = (pixel) => from + ((pixel - at[0]) / (at[last] - at[0])) * (to - from);
    return (pixel) => (powers ? Math.exp(linear(pixel)) : linear(pixel));
  };
  const x = axis("middle", "x"), y = axis("end", "y"), found = { lines: {}, dots: {}, bars: {} };
  const keep = (kind, colour, numbers) => (found[kind][colour] ||= []).push(numbers);
  for (const path of inside.querySelectorAll("path")) {
    const points = path.getAttribute("d").split(/[ML]/).slice(1).map((point) => point.split(" ").map(Number));
    const [xs, ys] = [points.map((point) => x(point[0])), points.map((point) => y(point[1]))];
    keep("lines", path.getAttribute("stroke"), [xs, ys]);
  }
  for (const dot of inside.querySelectorAll("circle")) {
    keep("dots", dot.getAttribute("fill"), [x(is(dot, "cx")), y(is(dot, "cy"))]);
  }
  for (const bar of inside.querySelectorAll("rect")) keep("bars", bar.getAttribute("fill"), y(is(bar, "y")));
  return found;
}"""


def read_plot(widget, title):
    """What the plot whose title begins with ``title`` shows, in the units of its axes.

    Returns:
        ``lines``, each [x, y] of points, ``dots``, each [x, y], and heights of ``bars``, by colour.
    """
    found = widget.locator(f"svg[aria-label^='{title}']").evaluate(READ)
    return {kind: {COLOURS.get(colour): marks for colour, marks in by.items()} for kind, by in found.items()}


class Reader:
    """Moves the widget named ``title`` on an open page; what is drawn at random depends on the day and ``part``."""

    def __init__(self, page, title, part=""):
        self.page, self.part = page, part or title
        self.widget = page.locator(f".pg[aria-label='{title}']")
        self.random = random.Random(f"{SEED} {self.part}")
        page.evaluate("window.MathJax?.startup?.promise")  # formulas move what stands below them
        while (question := page.get_by_role("button", name="Show without a guess")).count():
            question.first.click()  # an open question hides what comes after it
        if self.widget.locator(".pg-more:not([open]) > summary").is_visible():
            self.widget.locator(".pg-more > summary").click()

    def control(self, name):
        """The slider, menu or button of a control."""
        return self.widget.locator(f"[data-control={name}] :is(input, select), button[data-control={name}]").first

    def drag(self, name, *places):
        """Drag a slider to places between 0 and 1, one after the other; yields at each when the picture has come."""
        slider = self.control(name)
        slider.scroll_into_view_if_needed()
        box, thumb = slider.bounding_box(), 16
        across = [box["x"] + thumb / 2 + place * (box["width"] - thumb) for place in places]
        now = int(slider.input_value()) / int(slider.get_attribute("max"))
        y = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + thumb / 2 + now * (box["width"] - thumb), y)
        self.page.mouse.down()
        for x in across:
            self.page.mouse.move(x, y)
            yield self.settled()
        self.page.mouse.up()

    def drag_handle(self, name, number, across, down):
        """Drag a handle in a picture by so many pixels."""
        handle = self.widget.locator(f"[data-handle='{name} {number}']")
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + across, y + down, steps=3)
        self.page.mouse.up()
        self.settled()

    def move(self, name):
        """Move a control to a place drawn at random, as its kind allows."""
        control = self.control(name)
        kind = control.evaluate("control => control.localName")
        if kind == "select":
            control.select_option(str(self.random.randrange(control.locator("option").count())))
        elif kind == "button":
            for _ in range(self.random.randint(1, 3)):
                control.click()
        else:
            for _ in self.drag(name, self.random.random()):
                pass
        self.settled()

    def choose(self, name, *options):
        """Choose one of some words from a menu."""
        self.control(name).select_option(self.random.choice(options))
        self.settled()

    def settled(self):
        """The frame that is shown when the page has answered the last move."""
        self.widget.locator(".pg-busy:not(.on)").wait_for(state="attached")
        return self.widget.evaluate("root => root.frame")

    def told(self, state):
        """Words for a failure: which day it was, and what was set."""
        return f"POLYGRAD_TEST_SEED={SEED}, {self.part}, at {state}"


def check_same(theirs, ours, told):
    """Fail if two frames differ by more than rounding; both are nested as JSON is.

    Numbers agree to two thousandths of the largest in their array, and sentences word by word, numbers in them to what
    rounding can do to their last digit.
    """
    if isinstance(ours, dict):
        assert set(theirs) == set(ours), told
        for name, part in ours.items():
            check_same(theirs[name], part, f"{name}: {told}")
    elif isinstance(ours, str):
        check_same_words(theirs, ours, told)
    elif isinstance(ours, list) and any(isinstance(part, dict) for part in ours):
        for one, other in zip(theirs, ours, strict=True):
            check_same(one, other, told)
    elif ours is None:
        assert theirs is None, told
    else:
        wanted = np.array(ours, dtype=float)
        largest = np.nanmax(np.abs(wanted), initial=0)
        np.testing.assert_allclose(np.array(theirs, dtype=float), wanted, rtol=2e-3, atol=2e-3 * largest, err_msg=told)


def check_same_words(theirs, ours, told):
    """Fail if two sentences differ by more than the last digit of a number; seconds are each machine's own."""
    words, numbers = zip(*(_taken_apart(text) for text in (theirs, ours)), strict=True)
    assert words[0] == words[1], told
    np.testing.assert_allclose(numbers[0], numbers[1], rtol=0.02, atol=0.011, err_msg=f"{theirs}\n{ours}\n{told}")


def _taken_apart(text):
    """Words of a text without its numbers, and its numbers without times."""
    text = re.sub(r"[\d.]*\d s here", "now", text)
    return re.sub(NUMBER, "#", text), [float(number) for number in re.findall(NUMBER, text)]
