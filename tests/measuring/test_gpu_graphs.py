"""Recorded graphs held against the eager computation, on a CPU, where both are eager."""

import json

import pytest
import torch

from polygrad_edu.measuring import gpu_graphs
from polygrad_edu.measuring.bench import ready_loop
from polygrad_edu.measuring.gpu_graphs import compare_graphs, compare_numbers, largest
from polygrad_edu.measuring.gpu_job import Job, PartFailedError
from tests.support.tiny_runs import tiny


def test_a_difference_is_found_and_the_unit_is_right():
    """The same seed gives the same numbers; a loop that draws others differs in all three pieces of work."""
    ways = {"eager": 0, "eager again": 0, "recorded": 0}
    same = compare_numbers({name: ready_loop(tiny(), "cpu") for name in ways}, 2)
    assert {value for row in same.values() for value in row.values()} == {0.0}
    loops = {name: ready_loop(tiny(), "cpu") for name in ways}
    for weights in loops["recorded"].world_model.averaged_network.parameters():
        weights.data.mul_(1.5)
    loops["recorded"].generator.manual_seed(7)
    other = compare_numbers(loops, 2)
    assert all(row["difference"] > 0.01 for row in other.values())
    assert all(row["difference_of_two_eager_runs"] == 0 for row in other.values())


def test_a_number_that_is_none_is_an_enormous_difference():
    assert largest(torch.tensor([0.5, -2.0])) == 2
    assert largest(torch.tensor([0.5, float("nan")])) == 1e9


def test_graphs_that_compute_something_else_fail_their_part(tmp_path, monkeypatch):
    honest = gpu_graphs.compare_numbers
    monkeypatch.setattr(gpu_graphs, "TOLERANCE", {"float32": 2e-3})

    def dishonest(loops, calls):
        found = honest(loops, calls)
        found["policy update"]["difference"] = 0.5
        return found

    monkeypatch.setattr(gpu_graphs, "compare_numbers", dishonest)
    part = Job("graphs", tmp_path, 60, dry_run=True)
    with pytest.raises(PartFailedError, match="eager and recorded differ: policy update in float32"):
        compare_graphs(part)
    rows = json.loads((tmp_path / "graphs.json").read_text())["rows"]
    assert [row["same"] for row in rows] == [True, True, False]
    assert all(row["eager_seconds"] > 0 and row["slowest_speedup"] <= row["fastest_speedup"] for row in rows)
