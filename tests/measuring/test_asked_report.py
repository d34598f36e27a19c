"""The table and the figure of asked futures, from answers that were written here."""

import json

import numpy as np
import pytest

from polygrad_edu.measuring.asked_report import AnswerErrors, Asked, AskedReport
from polygrad_edu.measuring.distribution_error import Branches
from tests.support.tiny_runs import tiny


def report_of(sides):
    paths = np.random.default_rng(0).normal(size=(2, 10, 6, 2))
    about = (1.25, tiny(), 1500, 90.0, AnswerErrors(0.1234, 0.045, sides), paths)
    results = [Asked("polygrad", "return", "conditioned", 1, *about), Asked("polygrad", "end", "shooting", 30, *about)]
    return AskedReport("fork", 3, paths, results)


@pytest.fixture
def report():
    return report_of(Branches(0.99, 0.5, 0.52, 1.0))


def test_the_table_has_a_line_for_each_answer(report):
    assert report.header() == [*("asked", "model", "way", "tries", "miss", "within", "one side", "bang fits", "ms")]
    first, _ = report.rows()
    assert first == ["end", "polygrad", "shooting", "30", "0.123", "4.5%", "99%", "100%", "1.25"]
    assert report.markdown().splitlines()[3].startswith("| return | polygrad | conditioned | 1 |")
    assert len(report.table().columns) == 9
    assert "10 real futures from each of 2" in report.legend()


def test_worlds_without_a_fork_have_no_sides():
    plain = report_of(None)
    assert "bang fits" not in plain.header()
    assert len(plain.header()) == len(plain.rows()[0])
    assert "one side" not in plain.legend()


def test_its_json_holds_the_settings(report):
    written = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert written["answers"][0]["settings"]["env_id"] == tiny().task.env_id
    assert written["answers"][0]["sides"]["bang_fits"] == 1.0
    assert (written["starts"], written["each"]) == (2, 10)


def test_it_is_drawn(report, tmp_path):
    report.draw(tmp_path / "asked.png")
    assert (tmp_path / "asked.png").read_bytes().startswith(b"\x89PNG")
