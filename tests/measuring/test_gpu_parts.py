"""The parts of the GPU check, one at a time, on a CPU."""

import json
import sys

import pytest
import torch

from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.measuring import gpu_parts
from polygrad_edu.measuring.bench import ready_loop
from polygrad_edu.measuring.gpu_parts import (
    Job,
    PartFailedError,
    as_options,
    compare_graphs,
    compare_numbers,
    count_tests,
    describe_machine,
    driver,
    largest,
    main,
    matmul_peaks,
    return_of,
    small_products,
    version_of,
    where_it_stands,
)
from polygrad_edu.runs.checkpoint import save_checkpoint, write_config
from tests.support.tiny_runs import run, tiny


def job(folder, name="graphs", dry_run=True):
    return Job(name, folder, 60, dry_run)


def test_a_part_adds_to_what_it_has_written(tmp_path):
    part = job(tmp_path)
    part.write(a=1)
    part.write(b=2)
    assert json.loads((tmp_path / "graphs.json").read_text()) == {"a": 1, "b": 2}
    assert 0 < part.left <= 60


def test_full_size_is_full_size_and_a_dry_run_is_tiny(tmp_path):
    full = job(tmp_path, dry_run=False)
    assert (full.device, full.preset().denoiser.width, full.preset().acceleration.compile) == ("cuda", 1024, "auto")
    assert (job(tmp_path).device, job(tmp_path).preset().denoiser.width) == ("cpu", 16)


@pytest.mark.parametrize(("rows", "overrides"), [([], {"compile": "none"}), ([{"same": False}], {})])
def test_where_nothing_could_be_recorded_the_rest_goes_without_graphs(tmp_path, rows, overrides):
    job(tmp_path).write(rows=rows)
    assert job(tmp_path, "slice", dry_run=False).overrides == overrides


def test_a_command_that_fails_fails_its_part(tmp_path):
    with pytest.raises(PartFailedError, match="polygrad-edu train ended with status 2"):
        job(tmp_path).command("train", "no-such-preset")


def test_settings_become_options():
    assert as_options({"policy_width": 16, "compile": "none"}) == ["--policy-width=16", "--compile=none"]


def test_the_machine_is_described_without_a_gpu_and_without_an_installed_package(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_parts.shutil, "which", lambda name: None)
    part = job(tmp_path, "machine")
    describe_machine(part)
    assert part.found["torch"] == torch.__version__
    assert part.found["driver"] == "unknown: there is no nvidia-smi"
    assert version_of("no-such-package-as-this") == "not installed"


def test_the_drivers_tool_is_asked(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA X,  580.1'\n")
    tool.chmod(0o755)
    monkeypatch.setattr(gpu_parts.shutil, "which", lambda name: str(tool))
    assert driver() == "NVIDIA X, 580.1"
    tool.chmod(0o644)
    assert driver().startswith("unknown: ")


def test_tests_are_counted_from_their_record(tmp_path):
    record = tmp_path / "tests.xml"
    record.write_text(
        '<testsuites><testsuite><testcase name="a" time="2.5"/><testcase name="b" time="1"><skipped/></testcase>'
        '<testcase name="c" time="0"><failure message="x"/></testcase><testcase name="d"><error/></testcase>'
        "</testsuite></testsuites>"
    )
    counted = count_tests(record)
    assert (counted["passed"], counted["skipped"], counted["failed"]) == (1, 1, ["c", "d"])
    assert next(iter(counted["slowest"])) == "a"


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
    honest = gpu_parts.compare_numbers
    monkeypatch.setattr(gpu_parts, "TOLERANCE", {"float32": 2e-3})

    def dishonest(loops, calls):
        found = honest(loops, calls)
        found["policy update"]["difference"] = 0.5
        return found

    monkeypatch.setattr(gpu_parts, "compare_numbers", dishonest)
    part = job(tmp_path)
    with pytest.raises(PartFailedError, match="eager and recorded differ: policy update in float32"):
        compare_graphs(part)
    rows = json.loads((tmp_path / "graphs.json").read_text())["rows"]
    assert [row["same"] for row in rows] == [True, True, False]
    assert all(row["eager_seconds"] > 0 and row["slowest_speedup"] <= row["fastest_speedup"] for row in rows)


def test_peaks_leave_the_precision_of_products_as_it_was():
    before = torch.get_float32_matmul_precision()
    assert min(matmul_peaks("cpu", True).values()) > 0
    assert torch.get_float32_matmul_precision() == before
    assert min(small_products(tiny(), "cpu").values()) > 0


def test_the_state_of_a_run_and_the_return_of_its_policy(tmp_path):
    preset = tiny(compile="none")
    loop = ImaginationLoop(preset, 0)
    run(loop, 50)
    # as a GPU would have left it: its recordings are none of a CPU's business
    loop.preset = preset.with_overrides(compile="graph")
    write_config(tmp_path, "inverted-pendulum", loop.preset, 0)
    save_checkpoint(tmp_path, loop, 5.0, {"value": 1.5})
    found = where_it_stands(tmp_path)
    assert found == {"env_step": 50, "seconds": 5.0, "steps_per_second": 10.0, "losses": {"value": 1.5}}
    assert return_of(tmp_path, 2)["mean"] > 0


def test_a_part_says_in_its_last_line_what_is_wrong(tmp_path, monkeypatch, capsys):
    def fails(job):
        raise PartFailedError("no GPU test ran")

    monkeypatch.setitem(gpu_parts.PARTS, "tests", fails)
    monkeypatch.setattr(sys, "argv", ["gpu_parts", "tests", "--folder", str(tmp_path), "--seconds", "5"])
    assert main() == 1
    assert capsys.readouterr().out == "no GPU test ran\n"
