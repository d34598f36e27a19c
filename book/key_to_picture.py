"""Time widgets from a key press to the picture: ``python book/key_to_picture.py [NAME ...]``; needs Chromium.

A real browser opens a page with the widget, as the book holds it, and the right arrow moves the guidance strength to
one value after the other. Each move is timed from the key's own time stamp until the picture of the new strength is on
the screen. Three ways to come by that picture are timed: ``page`` computes it, as the widgets do now; ``kernel`` is a
kernel in JupyterLab that is asked for it; ``stored`` is a grid of frames, computed when the page was made. The table
holds, in milliseconds, the median of the moves, the slowest one, and the processor time that a move took of the page's
process, which other programs hardly lengthen; the line below it says how busy the machine was.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from polygrad_edu import widgets

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from tests.support.browser import chromium, jupyterlab, page_with  # noqa: E402

WAYS = {"stored": "store", "kernel": "kernel", "page": "page"}  # and how the widget names who drew the picture
MAX_MOVES = 27  # a slider of 28 stored values has no more

# Keep a promise at the widget's element: the milliseconds from the next key to the first picture after it.
AWAIT_PICTURE = """(root) => {
  root.picture = new Promise((done, failed) => {
    let pressed = null;
    root.addEventListener("keydown", (event) => (pressed = event.timeStamp), { capture: true, once: true });
    const drawn = new MutationObserver(() => {
      drawn.disconnect();
      requestAnimationFrame(() => { // it is called before the picture is painted, and the message comes after
        const painted = new MessageChannel();
        painted.port1.onmessage = () => done(performance.now() - pressed);
        painted.port2.postMessage(null);
      });
    });
    drawn.observe(root, { attributes: true, attributeFilter: ["data-shown"] });
    setTimeout(() => failed(new Error("no picture came in a minute")), 60_000);
  });
}"""


class Timed(NamedTuple):
    """A widget to time: its class, the task if it has several, and the median in the page that it should not pass."""

    kind: str
    task: tuple[str, ...]
    target: int  # milliseconds

    def made(self, **options: Any) -> widgets.LessonWidget:
        """The widget, its slider at the left end, so that there is room for all moves."""
        widget = getattr(widgets, self.kind)(*self.task, **options)
        widget.move(strength=strengths(widget)[0])
        return widget


TIMED = {
    "point-mass": Timed("GuidanceExplorer", ("point-mass",), 100),
    "pendulum": Timed("GuidedPendulum", (), 150),
    "hopper": Timed("GuidanceExplorer", ("hopper",), 700),
}


def strengths(widget: widgets.LessonWidget) -> list[float]:
    """Values that the slider of the guidance strength goes through where it does not move freely."""
    return [*next(control["values"] for control in widget.controls if control["name"] == "strength")]


def times_of(element: Any, way: str, moves: int) -> list[float]:
    """Milliseconds of each move.

    Args:
        element: Playwright's handle of the widget in its page.

    Raises:
        RuntimeError: a key did not bring a larger strength, or another way than ``way`` drew it.
    """
    slider = element.query_selector("[data-control=strength] input")
    times: list[float] = []
    before = shown_by(element)[0]
    for _ in range(moves):
        element.evaluate(AWAIT_PICTURE)
        slider.press("ArrowRight")
        times.append(element.evaluate("root => root.picture"))
        strength, by = shown_by(element)
        if strength <= before or by != WAYS[way]:
            raise RuntimeError(f"a key led from strength {before} to {strength}, drawn by {by}: nothing to time")
        before = strength
    return times


def processor_ms(element: Any) -> float:
    """Processor time in milliseconds that the page's process has taken so far: scripts, Worker, layout and painting."""
    page = element.owner_frame().page
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    session.detach()
    return 1000 * next(metric["value"] for metric in metrics if metric["name"] == "ProcessTime")


def shown_by(element: Any) -> tuple[float, str]:
    """Strength of the picture that is shown, and who drew it."""
    strength, by = element.evaluate("root => [root.frame.state.strength, root.dataset.by]")
    return strength, by


@contextlib.contextmanager
def opened(timed: Timed, way: str, moves: int, browser: Any, folder: Path) -> Iterator[Any]:
    """Playwright's handle of the widget in a page where its frames come in this ``way``."""
    if way == "kernel":
        with jupyterlab(folder) as lab:
            asked = ", ".join([*map(repr, timed.task), "in_page=False"])
            source = f"from polygrad_edu.widgets import {timed.kind}\n{timed.kind}({asked})"
            page = lab.open(browser, lab.write("widget.ipynb", source), viewport={"width": 1280, "height": 900})
            lab.run_all(page)
            page.wait_for_selector(".pg", timeout=180_000)
            lab.wait_until_idle(page)
            yield page.query_selector(".pg")
            page.context.close()
        return
    widget = timed.made(in_page=way == "page")
    widget.freeze({"strength": strengths(widget)[: moves + 1]})  # nothing happens where the page computes
    page = browser.new_context(viewport={"width": 900, "height": 900}).new_page()
    page.goto(page_with(folder, widget))
    yield page.wait_for_selector(".pg")
    page.context.close()


def measure(timed: Timed, way: str, moves: int, browser: Any) -> str:
    """Median move of one widget, the slowest one, and the processor time of a move, in words."""
    with tempfile.TemporaryDirectory() as folder, opened(timed, way, moves, browser, Path(folder)) as element:
        before = processor_ms(element)
        times = times_of(element, way, moves)
        processor = (processor_ms(element) - before) / moves
    return f"{statistics.median(times):.0f} ({max(times):.0f}), {processor:.0f}"


def machine(browser: Any) -> str:
    """Sentence on where this was measured, and how busy it was there."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"Chromium {browser.version}, cores: {cores}, load averages over 1, 5 and 15 minutes: {load}."


def print_table(browser: Any, names: Sequence[str], ways: Sequence[str], moves: int) -> None:
    """Print a row for each widget as soon as it is measured, then the machine."""
    print(f"| ms: median of {moves} moves (slowest), processor | {' | '.join(ways)} | target |")
    print("|---" * (len(ways) + 2) + "|", flush=True)
    for name in names:
        cells = [measure(TIMED[name], way, moves, browser) for way in ways]
        print(f"| {name} | {' | '.join(cells)} | {TIMED[name].target} |", flush=True)
    print(f"\n{machine(browser)}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(TIMED)}; all of them without a name")
    parser.add_argument("--way", action="append", choices=WAYS, help="may be given several times; default all")
    parser.add_argument("--moves", type=int, default=20, help=f"of each widget, 1 to {MAX_MOVES} (default 20)")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in TIMED]:
        parser.error(f"there is no widget {unknown[0]!r} to time; choose {', '.join(TIMED)}")
    if not 1 <= asked.moves <= MAX_MOVES:
        parser.error(f"--moves must be from 1 to {MAX_MOVES}, not {asked.moves}")
    with chromium() as browser:
        print_table(browser, asked.names or [*TIMED], asked.way or [*WAYS], asked.moves)


if __name__ == "__main__":
    main()
