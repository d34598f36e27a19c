"""A benchmark's report, with the error beside the speed."""

import json

import pytest

from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.measuring import bench
from polygrad_edu.measuring.bench import compare_variants, growth, whole_loop
from polygrad_edu.measuring.bench_report import BenchReport, quality
from polygrad_edu.runs.checkpoint import save_checkpoint, write_config
from tests.support.tiny_runs import run, tiny


def silent(*_):
    pass


@pytest.fixture(scope="module")
def saved_run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bench") / "run"
    preset = tiny("hopper-cpu", diffusion_steps=32)
    write_config(directory, "hopper-cpu", preset, 0)
    loop = ImaginationLoop(preset, 0)
    run(loop, 60)
    save_checkpoint(directory, loop, 1.0)
    return directory


def test_a_whole_report(saved_run, monkeypatch, tmp_path):
    small = {"batch": (2, 8), "horizon": (3, 6), "width": (16, 32), "sampling_steps": (1, 4, 64)}
    monkeypatch.setattr(bench, "GROWTH", small)
    monkeypatch.setattr("polygrad_edu.measuring.bench_report.GROWTH", small)
    monkeypatch.setattr("polygrad_edu.measuring.bench_report.QUALITY_TRAJECTORIES", 8)
    preset = tiny("hopper-cpu", diffusion_steps=32, precision="bfloat16")
    report = BenchReport(
        "hopper-cpu",
        preset,
        "cpu",
        compare_variants(preset, "cpu", 1, silent),
        whole_loop(preset, "cpu", 2, silent),
        growth(preset, "cpu", 1, silent),
        quality(saved_run, "cpu", "bfloat16", silent),
    )
    report.write(tmp_path)
    written = json.loads((tmp_path / "bench.json").read_text())
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    every, few, fast = written["variants"]
    assert every["gigaflop"] == pytest.approx(2 * few["gigaflop"], rel=0.01)  # 32 of 32 steps, 16 of 32
    assert few["gigaflop"] == fast["gigaflop"]
    assert every["speedup"] == every["update_speedup"] == 1
    assert all(0 < row["share_of_peak"] < 1 for row in written["variants"])
    assert written["loop_steps_per_second"] < written["env_steps_per_second"]
    assert [point["value"] for point in written["growth"]["sampling_steps"]] == [1, 4]  # 64 are more than there are
    assert written["growth"]["batch"][1]["memory_bytes"] > written["growth"]["batch"][0]["memory_bytes"]
    numbers = [(row["sampling_steps"], row["precision"]) for row in written["quality"]]
    assert numbers == [(n, p) for n in (1, 4, 32) for p in ("float32", "bfloat16")]
    assert all(row["error"]["value"] > 0 for row in written["quality"])
    assert "32 sampling steps, bfloat16: error" in report.legend()
    assert "bf16" in "".join(str(cell) for column in report.table().columns for cell in column.cells)


def test_a_report_without_growth_and_quality_shows_the_rest(tmp_path):
    row = {
        "name": "eager, every step",
        "sampling_steps": 32,
        "precision": "float32",
        "compile": "none",
        "seconds": 0.1234,
        "gigaflop_per_second": 1234.5,
        "share_of_peak": 0.25,
        "speedup": 1.0,
        "updates_per_second": 45.6,
        "update_speedup": 1.0,
    }
    fast = row | {"name": "fast", "precision": "bfloat16", "compile": "graph"}
    compared = {
        "imagined_trajectories": 1024,
        "horizon": 10,
        "parameters": 1_500_000,
        "matmul_gigaflop_per_second": {"bfloat16": 2000.0, "float32": 1000.0},
        "peak_memory_bytes": 3 * 2**20,
        "variants": [row, row, fast],
    }
    speeds = {"env_steps_per_second": 5000.0, "loop_steps_per_second": 12.34}
    report = BenchReport("mine", tiny(), "cpu", compared, speeds, {}, [])
    assert report.title().startswith("mine on ")
    assert report.title().endswith(": 1,024 trajectories of 10 steps, 1.5 million parameters")
    cells = [list(column.cells) for column in report.table().columns]
    first_row = ", ".join(column[0] for column in cells[1:])
    assert (cells[0][0], first_row) == ("eager, every step", "32, f32, 0.123, 1.0, 1,234, 25%, 45.6, 1.0")
    assert cells[2][2] == "bf16, graph"
    assert "in the same precision here, 2,000 GFLOP/s in bfloat16 and 1,000 GFLOP/s in float32." in report.legend()
    assert "5,000 steps a second; with all its learning the loop takes 12.3. Imagining holds 3 MiB" in report.legend()
    report.write(tmp_path)
    assert json.loads((tmp_path / "bench.json").read_text())["growth"] == {}
    assert (tmp_path / "bench.png").exists()
