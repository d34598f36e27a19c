"""The table and the figure of a comparison, from errors that were written here."""

import math

import numpy as np
import pytest

from polygrad_edu.measuring.error_report import Compared, Report, over_seeds, shown
from polygrad_edu.world_model_error import Errors, Interval, OnPolicyness
from tests.support.tiny_runs import tiny


def compared(name, error):
    intervals = [Interval(error * h, 0.5 * error * h, 2 * error * h) for h in (1, 2, 12)]
    ends = [Interval(0.25, 0.2, 0.3)] * 3
    errors = Errors([1, 2, 12], [90, 80, 70], intervals, intervals, ends, OnPolicyness(0.01, 0.98, 0.02), 1.234)
    return Compared(name, tiny(), 500, 90.0, errors)


@pytest.fixture
def report():
    return Report("Hopper-v5", "1,000 steps (abc)", 3, [compared("polygrad", 0.01), compared("recurrent", 0.5)])


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(0.01234, 0.00999, 0.0144), "0.012 (.01–.014)"),
        (Interval(2.4, 1.7, 4.5), "2.4 (1.7–4.5)"),
        (Interval(math.inf, 3.0, math.inf), "inf (3–inf)"),
    ],
)
def test_an_interval_is_shown_with_two_digits(interval, text):
    assert shown(interval) == text


def test_the_table_has_a_line_for_each_step_and_measure(report):
    rows = {name: cells for name, *cells in report.rows()}
    assert list(rows) == [
        "1 ahead",
        "2 ahead",
        "12 ahead",
        "reward",
        "end",
        "mean a",
        "std a",
        "KS a",
        "seconds",
        "minutes",
    ]
    assert rows["2 ahead"] == ["0.02 (.01–.04)", "1 (.5–2)"]
    assert rows["end"] == ["25%", "25%"]
    assert rows["KS a"] == ["0.020", "0.020"]
    assert rows["minutes"] == ["1.5", "1.5"]
    assert report.title().startswith("Hopper-v5: median squared error")
    assert "of its variance, 12 steps ahead" in report.legend()
    first, second, *lines = report.markdown().splitlines()
    assert (first, second) == ("|  | polygrad | recurrent |", "| --- | --- | --- |")
    assert lines[0] == "| 1 ahead | 0.01 (.005–.02) | 0.5 (.25–1) |"
    assert [column.header for column in report.tables()[0].columns] == ["", "polygrad", "recurrent"]


def test_a_step_that_hardly_any_trajectory_reaches_has_no_number(report, tmp_path):
    nowhere = Interval(*[math.nan] * 3)
    first, second = report.results
    errors = first.errors
    few = errors._replace(trajectories=[90, 4, 3])
    none = errors._replace(
        trajectories=[90, 80, 0], observation=[*errors.observation[:2], nowhere], reward=[*errors.reward[:2], nowhere]
    )
    report = report._replace(results=[first._replace(errors=few), second._replace(errors=none)])
    rows = {name: cells for name, *cells in report.rows()}
    assert rows["2 ahead"] == ["0.02 (.01–.04)", "0.02 (.01–.04)"]
    assert rows["12 ahead"] == ["–", "–"]
    assert rows["reward"] == rows["2 ahead"]
    assert "– where fewer than one trajectory in 25 still runs" in report.legend()
    assert "of its variance, 2 steps ahead; end" in report.legend()
    report.draw(tmp_path / "error.png")


def test_the_json_holds_each_model_with_its_settings(report):
    written = report.to_json()
    assert (written["env_id"], written["trained_on"], written["seed"]) == ("Hopper-v5", "1,000 steps (abc)", 3)
    model = written["models"]["recurrent"]
    assert (model["updates"], model["training_seconds"], model["steps_ahead"]) == (500, 90.0, [1, 2, 12])
    assert model["settings"] == tiny().to_json()
    assert model["observation"][0] == {"value": 0.5, "low": 0.25, "high": 1.0}


def test_several_seeds_are_one_column_with_the_lowest_and_the_highest():
    every = [compared("polygrad", error)._replace(updates=updates) for error, updates in [(0.01, 500), (0.03, 700)]]
    together = over_seeds(every)
    assert (together.name, together.updates, together.training_seconds) == ("polygrad", 600, 90.0)
    assert together.errors.steps_ahead == [1, 2, 12]
    assert together.errors.trajectories == [180, 160, 140]
    np.testing.assert_allclose(together.errors.observation[1], (0.04, 0.02, 0.06))
    np.testing.assert_allclose(together.errors.on_policyness, (0.01, 0.98, 0.02))
    report = Report("Hopper-v5", "", 3, [together])
    assert "the lowest and the highest of 2 training seeds" in report.legend()
    model = report.to_json()["models"]["polygrad"]
    assert [one["updates"] for one in model["by_seed"]] == [500, 700]
    assert [one["observation"][0]["value"] for one in model["by_seed"]] == [0.01, 0.03]
    assert over_seeds(every[:1]) == every[0]
    assert "95% bootstrap" in Report("Hopper-v5", "", 3, every[:1]).legend()


def test_the_figure_is_drawn_even_where_a_model_explodes(report, tmp_path):
    exploded = compared("mlp-ensemble", math.inf)
    Report("Hopper-v5", "", 3, [*report.results, exploded]).draw(tmp_path / "error.png")
    assert (tmp_path / "error.png").read_bytes().startswith(b"\x89PNG")
