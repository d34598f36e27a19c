"""The base of all widgets: controls, frames, frozen frames that equal the live ones, and pages without a kernel."""

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from polygrad_edu import widgets
from polygrad_edu.widgets import Control, GuidanceExplorer, ReturnExplorer, SchedulePlayground, base
from polygrad_edu.widgets.base import HERE, LessonWidget, check_number, compact
from tests.support.frozen_widgets import StoredPlayground, StoredReturns

LESSONS = sorted((Path(__file__).parents[2] / "notebooks").rglob("*.ipynb"))


def same(one, other):
    """Equal as the page sees them."""
    return json.dumps(one) == json.dumps(other)


GRIDS = [
    (StoredPlayground, {"tau": [0.1, 1.0], "n_steps": [8, 64], "sampling_steps": [4, 16], "progress": [0.0, 0.5]}),
    (StoredReturns, {"lambda_": [0.0, 0.5, 1.0], "gamma": [0.5, 0.9], "terminal": [1, "none"]}),
]


@pytest.mark.parametrize(("kind", "grid"), GRIDS)
def test_at_every_grid_point_the_frozen_frame_is_the_live_one(kind, grid):
    frozen, live = kind().freeze(grid), kind()
    refused = 0
    for values in itertools.product(*grid.values()):
        state = dict(zip(grid, values, strict=True))
        live.move(**state)
        assert same(frozen.frozen_frame(**state), live.frame["error"] or live.frame["data"]), state
        refused += live.frame["error"] is not None
    assert refused == (4 if kind is StoredPlayground else 0)  # 16 of 8 steps


def test_common_parts_are_stored_once_and_a_grid_too_large_is_refused(monkeypatch):
    grid = {"tau": [0.1, 1.0], "progress": [0.0, 0.25, 0.5, 0.75, 1.0]}
    widget = StoredPlayground().freeze(grid)
    curves = widget._frozen["keys"].index("curves")
    assert len({frame[curves] for frame in widget._frozen["frames"]}) == 2
    monkeypatch.setattr(base, "MAX_FROZEN_BYTES", 5_000)
    with pytest.raises(ValueError, match=r"of 10 frames fill 5,000 bytes: name fewer values in the grid"):
        StoredPlayground().freeze(grid)


def test_the_limit_counts_what_the_page_holds():
    widget = StoredReturns().freeze({"lambda_": [0.0, 0.1, 0.2, 0.3], "gamma": [0.5, 0.9, 1.0]})
    bare = StoredReturns()
    held = len(widget.to_html()) - len(bare.to_html())
    counted = sum(len(base._json(part)) + 1 for part in widget._frozen["pool"])
    assert counted < held < counted + 2_000


def test_a_grid_names_controls_and_values():
    with pytest.raises(ValueError, match="has no control 'speed'; it has tau, n_steps, sampling_steps, progress"):
        StoredPlayground().freeze({"speed": [1]})
    with pytest.raises(ValueError, match="names no values for tau"):
        StoredPlayground().freeze({"tau": []})
    with pytest.raises(ValueError, match="no control 'speed'"):
        StoredPlayground(speed=1)
    with pytest.raises(ValueError, match="no control 'speed'"):
        StoredPlayground().move(speed=1)
    with pytest.raises(ValueError, match="nothing is frozen yet"):
        StoredPlayground().frozen_frame(tau=1.0)


def test_the_same_widget_makes_the_same_page():
    for make in (ReturnExplorer, GuidanceExplorer):
        pages = [make()._repr_mimebundle_()[0] for _ in range(2)]
        assert pages[0]["text/html"] == pages[1]["text/html"]
        assert pages[0]["text/plain"] == f"<{make.__name__}>"
        assert "application/vnd.jupyter.widget-view+json" in pages[0]
    assert StoredReturns().freeze({"gamma": [0.5, 1.0]}).to_html() != StoredReturns().to_html()


class Echo(LessonWidget):
    """Says what it was told, or fails in a way nobody foresaw."""

    title = "Echo"
    script = "schedule_playground.js"

    def __init__(self, words):
        self.compute = lambda words: {"text": words} if words else {}["missing"]
        super().__init__([Control("words", "Words", (words, ""), words)])


def test_no_text_can_end_the_script_early():
    page = Echo("</script><script>alert(1)</script><!--").to_html()
    assert page.count("</script>") == 1
    assert page.count("<script") == 1
    assert "<!--" not in page


def test_an_error_nobody_foresaw_is_shown_as_well():
    widget = Echo("hello")
    widget.move(words="")
    assert widget.frame["error"] == "KeyError: 'missing'"
    assert widget.state == {"words": ""}


def test_a_view_is_answered_with_its_own_number():
    widget = SchedulePlayground()
    widget._asked(widget, {"number": 7, "view": "abc", "state": {"tau": 0.1}}, [])
    assert (widget.frame["number"], widget.frame["view"]) == (7, "abc")
    assert widget.state == {"tau": 0.1, "n_steps": 128, "sampling_steps": 16, "progress": 0.5}


def test_numbers_are_rounded_to_what_is_seen():
    assert compact(np.array([0.123456, 100.0])) == [0.1, 100.0]
    assert compact([0.000123456, 100.0]) == [0.0001235, 100.0]
    assert compact(torch.tensor([[1.0, math.nan], [-1e-9, 2.0]])) == [[1.0, None], [0.0, 2.0]]
    assert compact({"a": np.float32(1 / 3), "b": np.int64(3), "c": math.inf}) == {"a": 0.3333, "b": 3, "c": None}
    with pytest.raises(ValueError, match="speed must be a whole number of at least 0, not True"):
        check_number("speed", True, 0, whole=True)


def test_controls_start_at_one_of_their_values():
    with pytest.raises(ValueError, match="speed cannot start at 3"):
        Control("speed", "Speed", (1, 2), 3)
    control = Control.log("speed", "Speed", 0.01, 1.0, 5, 0.09)
    assert control.values == (0.01, 0.032, 0.1, 0.32, 1.0)
    assert control.default == 0.1


@pytest.mark.parametrize("path", sorted(HERE.glob("*.js")), ids=lambda path: path.name)
def test_scripts_can_stand_inside_a_page_and_load_nothing(path):
    source = path.read_text(encoding="utf-8")
    assert "</" not in source
    assert "<!--" not in source
    assert not re.search(r"\bimport\b|\bfetch\(|https?://(?!www\.w3\.org/2000/svg)", source)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_stored_lessons_hold_the_widgets_of_today(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    assert not [data for data in outputs if "application/vnd.jupyter.widget-view+json" in data]
    for data in outputs:
        page = "".join(data.get("text/html", ""))
        if "standIn" in page:
            (kind,) = (kind for kind in widgets.__all__ if f"<{kind}>" in "".join(data["text/plain"]))
            made = getattr(widgets, kind)
            assert made.renewed(page) == page, f"stale: python -m polygrad_edu.widgets.stored notebooks/{path.name}"
