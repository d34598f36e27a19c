"""The GPU check's page: whole, partly measured, or with nothing measured."""

import pytest

from polygrad_edu.measuring.gpu_check import PARTS
from polygrad_edu.measuring.gpu_report import SECTIONS, markdown, table


def report(**results):
    parts = [
        {
            "name": name,
            "about": "it",
            "status": "ran",
            "seconds": 1.0,
            "limit_seconds": 2.0,
            "said": "",
            "result": result,
        }
        for name, result in results.items()
    ]
    return {"started": "now", "minutes": 9.0, "dry_run": False, "finished": True, "parts": parts}


def test_every_part_has_a_section():
    assert set(SECTIONS) == {part.name for part in PARTS}


@pytest.mark.parametrize("name", SECTIONS)
def test_a_part_that_measured_nothing_or_little_still_has_its_place(name):
    assert f"Nothing was measured; see {name}.log." in markdown(report(**{name: {}}))
    assert f"see {name}.log" in markdown(report(**{name: {"begun": 1}}))


def test_a_table_keeps_its_columns_whatever_is_said():
    assert table(["a"], [["x | y"]])[-1] == "| x / y |"


def test_failed_tests_are_named():
    page = markdown(report(tests={"passed": 3, "skipped": 0, "failed": ["test_x"], "slowest": {"test_y": 2.0}}))
    assert "3 passed, 0 skipped, 1 failed." in page
    assert "- failed: test_x" in page
    assert "test_y 2.0 s" in page


def test_graphs_that_could_not_be_recorded_are_told():
    assert "No graph could be recorded" in markdown(report(graphs={"rows": []}))


def test_a_slice_that_was_not_resumed_shows_what_there_is():
    state = {"env_step": 5000, "seconds": 50.0, "steps_per_second": 100.0, "losses": {"value": 1.0}}
    page = markdown(report(slice={"settings": {"compile": "graph"}, "first": state, "go_on": "go"}))
    assert "First slice: step 5,000 after 50 s of training, 100.0 steps a second; value 1." in page
    assert "Resumed" not in page
    assert "To go on, in this folder: `go`." in page


def test_a_report_that_is_not_finished_says_so():
    unfinished = report(machine={}) | {"finished": False, "dry_run": True}
    page = markdown(unfinished)
    assert "Not finished" in page
    assert "a dry run on a CPU" in page
