"""Take the widgets' pictures for the book: ``python book/widget_pictures.py [NAME ...]``; needs Chromium.

Each widget makes a page of itself, and its picture is taken on a light page, a dark page, and 400 pixels wide.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from polygrad_edu import widgets

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from tests.support.browser import chromium  # noqa: E402


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
    return html


WIDGETS = {
    "schedule_playground": lambda: widgets.SchedulePlayground(tau=0.5, progress=0.3).freeze({"tau": [0.1, 0.5, 2.0]}),
    "score_field": lambda: widgets.ScoreField(progress=0.5),
    "guidance_explorer": lambda: widgets.GuidanceExplorer(strength=0.003).freeze({"strength": [0.001, 0.003, 0.01]}),
    "hopper_from_noise": lambda: widgets.HopperFromNoise(visit=12),
    "delay_explorer": lambda: widgets.DelayExplorer(delay=2, place=0.5),
    "guided_pendulum": lambda: widgets.GuidedPendulum(strength=0.002, delay=8),
    "denoising_scrubber": lambda: widgets.DenoisingScrubber(visit=10, seed=8).freeze({"visit": [0, 10, 16]}),
    "denoising_scrubber_hopper": lambda: widgets.DenoisingScrubber("hopper", visit=11, seed=2),
    "imagined_or_real": lambda: widgets.ImaginedOrReal(ahead=7, seed=3).freeze({"ahead": [0, 3, 7]}),
    "guidance_explorer_hopper": lambda: widgets.GuidanceExplorer("hopper", strength=0.003),
    "return_explorer": lambda: widgets.ReturnExplorer(terminal=2).freeze(RETURNS),
    "return_explorer_hopper": lambda: widgets.ReturnExplorer("hopper"),
    "training_watcher": widgets.TrainingWatcher,
    "training_watcher_live": training_under_way,
}
RETURNS = {"lambda_": [0.0, 0.5, 1.0], "gamma": [0.0, 0.5, 1.0], "terminal": [0, 1, 2, 3, 4, "none"]}
LOOKS = {"light": (900, "light"), "dark": (900, "dark"), "narrow": (400, "light")}


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for name in names or WIDGETS:
            path = Path(folder) / f"{name}.html"
            path.write_text(f"<!doctype html><meta charset=utf-8>{page_of(WIDGETS[name]())}", encoding="utf-8")
            for look, (width, scheme) in LOOKS.items():
                look_at = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
                page = browser.new_page(**look_at, reduced_motion="reduce")  # a chain that plays would be anywhere
                page.goto(path.as_uri())
                taken = Image.open(io.BytesIO(page.locator(".pg").screenshot())).convert("RGB")
                small = taken.quantize(200, dither=Image.Dither.NONE)
                small.save(ROOT / "book" / "images" / f"widget_{name}_{look}.png", optimize=True)
                page.close()


if __name__ == "__main__":
    main(sys.argv[1:])
