"""Take the widgets' pictures for the book: ``python book/widget_pictures.py HTML [NAME ...]``; needs Chromium.

``HTML`` is the built book's folder ``html``. Each widget is taken in its page there, in a window of 1280 x 900 pixels,
light and dark, and in windows of 700 and 390 pixels. Widgets that no page of the book holds make a page of themselves.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from polygrad_edu import widgets

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from tests.support.browser import chromium  # noqa: E402

LOOKS = {
    "light": ((1280, 900), "light"),
    "dark": ((1280, 900), "dark"),
    "700": ((700, 900), "light"),
    "390": ((390, 844), "light"),
}
FLOATING = "#pst-skip-link, #pst-back-to-top, .bd-header-article"  # what lies above the page
COLUMN = "<style>body { margin: 16px auto; width: min(688px, 100% - 32px); }</style>"  # as wide as the book's text


class InBook(NamedTuple):
    """A widget on a page of the book.

    Attributes:
        page: the page's file.
        title: the widget's.
        places: where its sliders are put first, by control; 0 is the left end.
    """

    page: str
    title: str
    places: dict[str, int]


def training_under_way() -> widgets.TrainingWatcher:
    """A real run, some minutes on a laptop, paused as soon as its policy keeps the pole up."""
    watcher = widgets.TrainingWatcher(directory=Path(tempfile.mkdtemp()) / "runs" / "inverted-pendulum-watched")
    watcher.start()
    while watcher.status == "training" and watcher.frame["data"]["progress"]["step"] < 3_500:
        time.sleep(0.2)
    watcher.pause()
    while watcher.status == "saving":
        time.sleep(0.2)
    watcher.refresh()
    return watcher


def page_of(widget: widgets.LessonWidget) -> str:
    """The page that the widget makes of itself; the watcher's has the buttons and the film of its live view."""
    html = widget.to_html()
    if film := getattr(widget, "film", ""):
        live = f'\nrenderWatcher({{ model: standIn({{"live":true,"film":"{film}",'
        html = html.replace("\nrender({ model: standIn({", live)
        html = html.replace(str(widget.run), "runs/inverted-pendulum-watched")
    return f"<!doctype html><meta charset=utf-8>{COLUMN}{html}"


WIDGETS: dict[str, InBook | Callable[[], widgets.LessonWidget]] = {
    "hopper_from_noise": InBook("book/index.html", "A hopper out of the noise", {"visit": 12}),
    "score_field": InBook("notebooks/01b_why_diffusion.html", "Score field", {"progress": 10}),
    "schedule_playground": InBook("notebooks/02_the_noise_schedule.html", "Schedule playground", {"progress": 15}),
    "denoising_scrubber": InBook("notebooks/04_trajectory_diffusion.html", "Denoising scrubber", {"visit": 10}),
    "guidance_explorer": InBook("notebooks/05_score_guidance.html", "Guidance explorer", {"strength": 66}),
    "denoising_scrubber_hopper": InBook(
        "notebooks/06_policy_guided_trajectory_diffusion.html", "Denoising scrubber", {"visit": 11}
    ),
    "return_explorer": InBook("notebooks/07_the_actor_critic.html", "Return explorer", {"terminal": 2}),
    "training_watcher": InBook("notebooks/08_the_imagination_loop.html", "Training watcher", {}),
    "imagined_or_real": InBook("notebooks/09_how_good_is_the_world_model.html", "Imagined or real", {"ahead": 7}),
    "delay_explorer": InBook("book/measured/delay.html", "Delay explorer", {"delay": 2, "place": 25}),
    "guided_pendulum": InBook("book/measured/delay.html", "Guided pendulum", {"strength": 87, "delay": 4}),
    "guidance_explorer_hopper": lambda: widgets.GuidanceExplorer("hopper", strength=0.003),
    "return_explorer_hopper": lambda: widgets.ReturnExplorer("hopper"),
    "training_watcher_live": training_under_way,
}


def prepared(page: Any, place: InBook) -> Any:
    """The widget on an open page of the book, its sliders where they are wanted and the questions before it settled."""
    while (question := page.get_by_role("button", name="Show without a guess")).count():
        question.first.click()
    widget = page.locator(f".pg[aria-label='{place.title}']")
    for name, value in place.places.items():
        widget.locator(f"[data-control={name}] input").fill(str(value))
    widget.locator(".pg-busy:not(.on)").wait_for(state="attached")
    return widget


def take(browser: Any, name: str, html: Path, folder: Path) -> None:
    """Take all pictures of one widget."""
    place = WIDGETS[name]
    path = html / place.page if isinstance(place, InBook) else folder / f"{name}.html"
    if not isinstance(place, InBook):
        path.write_text(page_of(place()), encoding="utf-8")
    page = browser.new_page(reduced_motion="reduce")  # a chain that plays would be anywhere
    page.set_default_timeout(120_000)
    page.goto(path.as_uri())
    widget = prepared(page, place) if isinstance(place, InBook) else page.locator(".pg")
    page.add_style_tag(content=f"{FLOATING} {{ display: none !important; }}")
    for look, ((width, height), scheme) in LOOKS.items():
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        widget.evaluate("widget => { document.activeElement.blur(); scrollBy(0, widget.getBoundingClientRect().top); }")
        taken = Image.open(io.BytesIO(widget.screenshot())).convert("RGB")
        small = taken.quantize(200, dither=Image.Dither.NONE)
        small.save(ROOT / "book" / "images" / f"widget_{name}_{look}.png", optimize=True)
    page.close()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("html", type=Path, metavar="HTML", help="folder of the built book's pages")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(WIDGETS)}; all of them without a name")
    asked = parser.parse_args(arguments)
    if not (asked.html / "book" / "index.html").exists():
        parser.error(f"{asked.html} holds no built book; python book/build.py makes book/_build/html")
    if unknown := [name for name in asked.names if name not in WIDGETS]:
        parser.error(f"there is no widget {unknown[0]!r}; choose {', '.join(WIDGETS)}")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for name in asked.names or WIDGETS:
            take(browser, name, asked.html.resolve(), Path(folder))


if __name__ == "__main__":
    main()
