"""Benchmarks of imagination, of updates and of the whole loop, in seconds and as a share of the machine's peak.

Variants are timed in turn, round by round, so that a machine whose speed drifts slows all of them: the ratios between
them are then more reliable than single times.
"""

from __future__ import annotations

import functools
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from ..acceleration import captured
from ..files.progress import OnProgress
from ..imagination_loop import ImaginationLoop
from ..settings import Preset

# Values of each setting, and of the number of trajectories, for which imagination is timed.
GROWTH: dict[str, tuple[int, ...]] = {
    "batch": (64, 256, 1024, 4096),
    "horizon": (5, 10, 20, 50),
    "width": (128, 256, 512, 1024, 2048),
    "sampling_steps": (1, 2, 4, 8, 16, 32, 64, 128),
}


class Variant(NamedTuple):
    """A preset's computation with other sampling steps, precision or compilation."""

    name: str
    sampling_steps: int
    precision: str
    compile: str

    def of(self, preset: Preset) -> Preset:
        """``preset`` with this variant's settings."""
        return preset.with_overrides(sampling_steps=self.sampling_steps, precision=self.precision, compile=self.compile)


def variants(preset: Preset) -> list[Variant]:
    """Every step in plain float32, fewer steps, and fewer steps with the precision and compilation of the preset."""
    fewer = preset.sampler.sampling_steps < preset.diffusion.diffusion_steps
    few = preset.sampler.sampling_steps if fewer else max(1, preset.diffusion.diffusion_steps // 8)
    return [
        Variant("eager, every step", preset.diffusion.diffusion_steps, "float32", "none"),
        Variant("eager, few steps", few, "float32", "none"),
        Variant("fast", few, preset.acceleration.precision, preset.acceleration.compile),
    ]


def ready_loop(preset: Preset, device: str) -> ImaginationLoop:
    """Make a loop with some random episodes in its replay; its untrained networks take as long as trained ones."""
    steps = 20 * preset.world_model.horizon
    loop = ImaginationLoop(preset.with_overrides(env_steps=100_000, prefill_steps=1, parallel_envs=1), 0, device)
    while loop.env_step < steps or loop.replay.n_starts < 2:
        loop.act()
    loop.replay.refresh_normaliser()
    return loop


def wait(device: torch.device | str) -> None:
    """Wait until the device has finished its work."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], Any], device: torch.device | str) -> float:
    """Seconds that a call of ``work`` takes."""
    wait(device)
    begin = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - begin


def in_turn(works: dict[str, Callable[[], Any]], device: str, rounds: int, warm_ups: int = 1) -> dict[str, list[float]]:
    """Seconds of each of ``works`` in each round, A B C A B C, after ``warm_ups`` calls that are not counted."""
    for work in works.values():
        for _ in range(warm_ups):
            work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(timed(work, device))
    return seconds


def matmul_peak(device: str, precision: str, size: int = 0) -> float:
    """Measured peak: floating-point operations a second of a large matrix product in this precision."""
    size = size or (8192 if torch.device(device).type == "cuda" else 1024)
    dtype = getattr(torch, precision)
    a = torch.randn(size, size, device=device, dtype=dtype)
    b = torch.randn(size, size, device=device, dtype=dtype)
    repeats = 10
    seconds = min(timed(lambda: [a @ b for _ in range(repeats)], device) for _ in range(4))
    return repeats * 2 * size**3 / seconds


def operations(work: Callable[[], Any]) -> int:
    """Count the floating-point operations of the matrix products in ``work``."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def peak_memory(work: Callable[[], Any], device: str) -> int:
    """Maximum of the bytes that tensors made by ``work`` take at one time."""
    if torch.device(device).type == "cuda":
        work()
        wait(device)
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        wait(device)
        return torch.cuda.max_memory_allocated() - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else some builds announce each start and stop on stderr
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    profiler: Any = recorded.profiler
    changes = [event for event in profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(changes, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def compare_variants(preset: Preset, device: str, rounds: int, on_progress: OnProgress) -> dict[str, Any]:
    """Time imagination and world-model updates, each variant in turn, and compare them with the peak."""
    chosen = variants(preset)
    loops = {variant.name: ready_loop(variant.of(preset), device) for variant in chosen}
    n = preset.loop.imagined_trajectories
    states = {name: loop.draw_states(n) for name, loop in loops.items()}
    warm_ups = 4 if torch.device(device).type == "cuda" else 1
    on_progress("time imagination", 0, 3)
    works: dict[str, Callable[[], Any]] = {}
    for variant in chosen:
        loop = loops[variant.name]
        imagine = captured(loop.imagine_from, variant.compile, loop.generator)
        works[variant.name] = functools.partial(imagine, states[variant.name])
    imagination = in_turn(works, device, rounds, warm_ups)
    on_progress("time imagination", 1, 3)
    updates = in_turn({name: loop.fit_world_model for name, loop in loops.items()}, device, 5 * rounds, warm_ups)
    on_progress("time imagination", 2, 3)
    peaks = {precision: matmul_peak(device, precision) for precision in {variant.precision for variant in chosen}}
    plain = chosen[0].name
    rows: list[dict[str, Any]] = []
    for variant in chosen:
        few = states[variant.name][:8]
        counted = operations(functools.partial(loops[variant.name].imagine_from, few)) / len(few) * n
        seconds = statistics.median(imagination[variant.name])
        measured = {
            "seconds": seconds,
            "trajectories_per_second": n / seconds,
            "gigaflop": counted / 1e9,
            "gigaflop_per_second": counted / seconds / 1e9,
            "share_of_peak": counted / seconds / peaks[variant.precision],
            "speedup": _ratio(imagination[plain], imagination[variant.name]),
            "updates_per_second": 1 / statistics.median(updates[variant.name]),
            "update_speedup": _ratio(updates[plain], updates[variant.name]),
        }
        rows.append(variant._asdict() | measured)
    on_progress("time imagination", 3, 3)
    return {
        "imagined_trajectories": n,
        "horizon": preset.world_model.horizon,
        "parameters": sum(weights.numel() for weights in loops[plain].world_model.network.parameters()),
        "matmul_gigaflop_per_second": {name: peak / 1e9 for name, peak in sorted(peaks.items())},
        "variants": rows,
        # not of a recording, which took its memory when it was made
        "peak_memory_bytes": peak_memory(functools.partial(loops["fast"].imagine_from, states["fast"]), device),
    }


def _ratio(slow: list[float], fast: list[float]) -> float:
    """The median of the ratios ``slow / fast`` over the rounds, in each of which both were timed."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def whole_loop(preset: Preset, device: str, steps: int, on_progress: OnProgress) -> dict[str, float]:
    """Steps a second in the real environment alone, and of the whole loop with all its learning."""
    few = variants(preset)[-1].of(preset)
    loop = ready_loop(few, device)
    acting = 200 / timed(lambda: [loop.act() for _ in range(200)], device)
    loop.world_model_updates += loop.updates_due()  # count them as made, as in the middle of a run
    steps = max(steps, preset.loop.policy_update_every)
    for _ in range(4 * preset.loop.policy_update_every if torch.device(device).type == "cuda" else 1):
        loop.step()
    on_progress("time the whole loop", 0, 1)
    learning = steps / timed(lambda: [loop.step() for _ in range(steps)], device)
    on_progress("time the whole loop", 1, 1)
    return {"env_steps_per_second": acting, "loop_steps_per_second": learning}


def growth(preset: Preset, device: str, rounds: int, on_progress: OnProgress) -> dict[str, list[dict[str, float]]]:
    """Time and memory of imagination as one of ``GROWTH`` grows; everything else is as in the preset."""
    fast = variants(preset)[-1].of(preset)
    result: dict[str, list[dict[str, float]]] = {}
    for name, values in GROWTH.items():
        result[name] = []
        for done, value in enumerate(values):
            on_progress(f"grow {name.replace('_', ' ')}", done, len(values))
            if name == "sampling_steps" and value > preset.diffusion.diffusion_steps:
                continue
            grown = fast if name == "batch" else fast.with_overrides({name: value})
            n = value if name == "batch" else preset.loop.imagined_trajectories
            loop = ready_loop(grown.with_overrides(compile="none"), device)
            imagine = functools.partial(loop.imagine_from, loop.draw_states(n))
            seconds = statistics.median(in_turn({"it": imagine}, device, rounds)["it"])
            result[name].append(
                {
                    "value": value,
                    "seconds": seconds,
                    "trajectories_per_second": n / seconds,
                    "memory_bytes": peak_memory(imagine, device),
                }
            )
        on_progress(f"grow {name.replace('_', ' ')}", len(values), len(values))
    return result
