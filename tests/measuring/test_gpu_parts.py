"""The parts of the GPU check, one at a time, on a CPU."""

import sys

import torch

from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.measuring import gpu_parts
from polygrad_edu.measuring.gpu_job import Job, PartFailedError
from polygrad_edu.measuring.gpu_parts import (
    count_tests,
    describe_machine,
    driver,
    main,
    matmul_peaks,
    return_of,
    small_products,
    version_of,
    where_it_stands,
)
from polygrad_edu.runs.checkpoint import save_checkpoint, write_config
from tests.support.tiny_runs import run, tiny


def test_the_machine_is_described_without_a_gpu_and_without_an_installed_package(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_parts.shutil, "which", lambda name: None)
    part = Job("machine", tmp_path, 60, dry_run=True)
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
