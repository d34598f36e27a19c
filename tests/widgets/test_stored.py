"""Stored widgets: today's scripts are put into a lesson without running it, and nothing else in it is touched."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from polygrad_edu.widgets import GuidanceExplorer, SchedulePlayground
from polygrad_edu.widgets.stored import renew
from tests.support.frozen_widgets import StoredReturns


def shown(widget):
    """Output of a cell that ends in ``widget``."""
    data = {"text/plain": f"<{type(widget).__name__}>", "text/html": widget.to_html()}
    return new_output("execute_result", data, execution_count=1)


def stored(path, *outputs):
    cells = [
        new_code_cell("# a lesson", outputs=[output], execution_count=number, id=f"cell-{number}")
        for number, output in enumerate(outputs, start=1)
    ]
    path.write_text(nbformat.writes(new_notebook(cells=cells)) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "make",
    [
        SchedulePlayground,
        lambda: GuidanceExplorer("point-mass", strength=0.1),
        lambda: StoredReturns().freeze({"gamma": [0.5, 1.0]}),
    ],
)
def test_a_page_of_today_stays_as_it_is(make):
    widget = make()
    assert type(widget).renewed(widget.to_html()) == widget.to_html()


def test_scripts_of_yesterday_become_those_of_today_and_numbers_stay(tmp_path):
    widget = GuidanceExplorer("point-mass", strength=0.1)
    today = shown(widget)
    yesterday = shown(widget)
    page = widget.to_html().replace("const SVG", "const OLD").replace("function* frameOf", "function* frameOnce")
    assert page.count("const OLD") == page.count("frameOnce") == 1
    yesterday.data["text/html"] = page
    printed = new_output("stream", name="stdout", text="0.1\n")
    path = stored(tmp_path / "lesson.ipynb", printed, yesterday, today)
    assert renew(path) == 1
    assert path.read_bytes() == stored(tmp_path / "expected.ipynb", printed, today, today).read_bytes()


def test_a_lesson_that_is_up_to_date_is_not_written(tmp_path):
    path = stored(tmp_path / "lesson.ipynb", shown(SchedulePlayground()))
    before = path.stat().st_mtime_ns
    assert renew(path) == 0
    assert path.stat().st_mtime_ns == before
