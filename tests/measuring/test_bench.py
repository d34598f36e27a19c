import json

import pytest
import torch

from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.measuring import bench
from polygrad_edu.measuring.bench import (
    compare_variants,
    growth,
    in_turn,
    operations,
    peak_memory,
    variants,
    whole_loop,
)
from polygrad_edu.measuring.bench_report import BenchReport, quality
from polygrad_edu.presets import get_preset
from polygrad_edu.runs.checkpoint import save_checkpoint, write_config
from tests.concepts.test_imagination_loop import run, tiny


def silent(*_):
    pass


def test_operations_are_counted_as_by_hand():
    a, b = torch.randn(30, 40), torch.randn(40, 50)
    assert operations(lambda: a @ b) == 2 * 30 * 40 * 50


def test_memory_is_what_lives_at_one_time():
    def work():
        first = torch.zeros(1000, 1000)
        second = first + 1
        del first
        return second * 2  # two at a time, never three

    assert peak_memory(work, "cpu") == pytest.approx(8e6, rel=0.01)


def test_variants_are_timed_in_turn():
    order = []
    seconds = in_turn({name: lambda name=name: order.append(name) for name in "ab"}, "cpu", 2)
    assert order == ["a", "b", "a", "b", "a", "b"]  # the first round warms up
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}


def test_the_variants_are_all_steps_few_steps_and_what_the_preset_asks_for():
    rows = variants(tiny(precision="bfloat16"))
    assert [(row.sampling_steps, row.precision) for row in rows] == [
        (128, "float32"),
        (16, "float32"),
        (16, "bfloat16"),
    ]
    assert variants(tiny(sampling_steps=128))[2].sampling_steps == 16


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
        "hopper-cpu", preset, "cpu", compare_variants(preset, "cpu", 1, silent), whole_loop(preset, "cpu", 2, silent),
        growth(preset, "cpu", 1, silent), quality(saved_run, "cpu", "bfloat16", silent),
    )  # fmt: skip
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


def test_full_size_presets_have_the_papers_sizes():
    for name in ("hopper", "walker2d", "half-cheetah", "hopper-paper"):
        full = get_preset(name)
        sizes = (full.width, full.depth, full.diffusion_steps, full.horizon, full.imagined_trajectories)
        assert sizes == (1024, 6, 128, 10, 1024)
        assert (full.updates_per_step, full.policy_update_every, full.env_steps) == (1, 4, 1_000_000)
    assert get_preset("hopper-paper").sampling_steps == 128
