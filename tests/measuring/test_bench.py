"""The parts of a benchmark."""

import pytest
import torch

from polygrad_edu.measuring import bench
from polygrad_edu.measuring.bench import (
    growth,
    in_turn,
    matmul_peak,
    operations,
    peak_memory,
    ready_loop,
    variants,
    whole_loop,
)
from polygrad_edu.presets import get_preset
from tests.support.tiny_runs import tiny


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


def test_full_size_presets_have_the_papers_sizes():
    for name in ("hopper", "walker2d", "half-cheetah", "hopper-paper"):
        full = get_preset(name)
        assert (full.denoiser.width, full.denoiser.depth) == (1024, 6)
        assert (full.diffusion.diffusion_steps, full.world_model.horizon) == (128, 10)
        assert full.loop.imagined_trajectories == 1024
        assert (full.loop.updates_per_step, full.loop.policy_update_every) == (1, 4)
        assert full.loop.env_steps == 1_000_000
    assert get_preset("hopper-paper").sampler.sampling_steps == 128


def test_a_loop_to_be_timed_can_learn_at_once():
    loop = ready_loop(tiny(parallel_envs=3), "cpu")
    assert loop.env_step >= 20 * loop.preset.world_model.horizon
    assert loop.collector.n_envs == 1
    assert loop.fit_world_model().isfinite()


def test_the_peak_is_that_of_a_large_product():
    assert matmul_peak("cpu", "float32", size=256) > 1e8


def test_progress_is_told_piece_by_piece(monkeypatch):
    told = []
    monkeypatch.setattr(bench, "GROWTH", {"batch": (2, 4), "sampling_steps": (1, 256)})
    growth(tiny(), "cpu", 1, lambda *news: told.append(news))
    whole_loop(tiny(), "cpu", 2, lambda *news: told.append(news))
    assert told == [
        ("grow batch", 0, 2),
        ("grow batch", 1, 2),
        ("grow batch", 2, 2),
        ("grow sampling steps", 0, 2),
        ("grow sampling steps", 1, 2),
        ("grow sampling steps", 2, 2),
        ("time the whole loop", 0, 1),
        ("time the whole loop", 1, 1),
    ]
