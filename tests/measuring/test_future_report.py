"""The table and the figure of a comparison of futures, from errors that were written here."""

import json

import pytest

from polygrad_edu.measuring.distribution_error import Branches
from polygrad_edu.measuring.future_report import FutureErrors, FutureReport, Measured
from tests.support.tiny_runs import tiny


def report_of(branches):
    errors = FutureErrors([2, 10], [float("nan"), 0.954], [0.1, 0.5], [0.02, 0.03], 0.04, 0.0461, branches)
    return FutureReport(
        "fork", 3, 20, 100, [Measured("truth", None, 0, 0, errors), Measured("polygrad", tiny(), 1500, 90, errors)]
    )


@pytest.fixture
def report():
    return report_of(Branches(0.99, 0.5, 0.52, 1.0))


def test_the_table_has_a_line_for_each_model(report):
    assert report.header() == [
        *("", "spread 2", "spread 10", "within", "CRPS", "energy", "path"),
        *("one side", "up", "bang", "bang fits", "updates", "minutes"),
    ]
    truth, model = report.rows()
    assert truth == ["truth", "–", "0.95", "4.6%", "0.500", "0.030", "0.040", "99%", "50%", "52%", "100%", "–", "–"]
    assert model[-2:] == ["1,500", "1.5"]
    assert "one side" in report.legend()
    assert report.markdown().splitlines()[3].startswith("| polygrad | – | 0.95 | 4.6% |")
    assert [column.header for column in report.table().columns] == ["", "truth", "polygrad"]


def test_worlds_without_a_fork_have_no_sides():
    plain = report_of(None)
    assert "bang" not in plain.header()
    assert len(plain.header()) == len(plain.rows()[0])
    assert "one side" not in plain.legend()


def test_its_json_holds_settings_and_no_nan(report):
    written = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert written["models"]["polygrad"]["spread"] == [None, 0.954]
    assert written["models"]["polygrad"]["branches"]["bang"] == 0.52
    assert written["models"]["polygrad"]["settings"]["env_id"] == tiny().task.env_id
    assert written["models"]["truth"]["settings"] is None


def test_it_is_drawn(report, tmp_path):
    report.draw(tmp_path / "futures.png")
    assert (tmp_path / "futures.png").read_bytes().startswith(b"\x89PNG")
