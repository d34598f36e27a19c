"""How fast, and how near to what the machine can do: imagination, updates, and the whole loop.

Variants are timed in turn, round by round, so that a machine whose speed drifts slows all of them, and ratios
between them hold where single seconds do not.
"""

from __future__ import annotations

import functools
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from ..acceleration import captured
from ..imagination_loop import ImaginationLoop
from ..settings import Preset

GROWTH: dict[str, tuple[int, ...]] = {
    "batch": (64, 256, 1024, 4096),
    "horizon": (5, 10, 20, 50),
    "width": (128, 256, 512, 1024, 2048),
    "sampling_steps": (1, 2, 4, 8, 16, 32, 64, 128),
}
ROUNDS = 3
Tell = Callable[[str, int, int], None]  # what, done, total


class Variant(NamedTuple):
    """A way of doing the same thing."""

    name: str
    sampling_steps: int
    precision: str
    compile: str

    def of(self, preset: Preset) -> Preset:
        return replace(preset, **{key: value for key, value in self._asdict().items() if key != "name"})


def variants(preset: Preset) -> list[Variant]:
    """Every step in plain float32, fewer steps, and fewer steps with the precision and compilation of the preset."""
    fewer = preset.sampling_steps < preset.diffusion_steps
    few = preset.sampling_steps if fewer else max(1, preset.diffusion_steps // 8)
    return [
        Variant("eager, every step", preset.diffusion_steps, "float32", "none"),
        Variant("eager, few steps", few, "float32", "none"),
        Variant("fast", few, preset.precision, preset.compile),
    ]


def ready_loop(preset: Preset, device: str) -> ImaginationLoop:
    """A loop with some random episodes in its replay and untrained networks, which take as long as trained ones."""
    steps = 20 * preset.horizon
    loop = ImaginationLoop(replace(preset, env_steps=100_000, prefill_steps=1, parallel_envs=1), 0, device)
    while loop.env_step < steps or loop.replay.n_starts < 2:
        loop.act()
    loop.replay.refresh_normaliser()
    return loop


def wait(device: torch.device | str) -> None:
    """Until the device has done what it was asked for."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], Any], device: torch.device | str) -> float:
    """Seconds that ``work`` takes."""
    wait(device)
    begin = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - begin


def in_turn(works: dict[str, Callable[[], Any]], device: str, rounds: int, warm_ups: int = 1) -> dict[str, list[float]]:
    """Seconds of each of ``works`` in each round, A B C A B C, after rounds that are not counted."""
    for work in works.values():
        for _ in range(warm_ups):
            work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(timed(work, device))
    return seconds


def matmul_peak(device: str, precision: str, size: int = 0) -> float:
    """Floating-point operations a second of a large matrix product here: what is attainable, measured."""
    size = size or (8192 if torch.device(device).type == "cuda" else 1024)
    a, b = (torch.randn(size, size, device=device, dtype=getattr(torch, precision)) for _ in range(2))
    repeats = 10
    seconds = min(timed(lambda: [a @ b for _ in range(repeats)], device) for _ in range(4))
    return repeats * 2 * size**3 / seconds


def operations(work: Callable[[], Any]) -> int:
    """Floating-point operations of the matrix products in ``work``, counted while it runs."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def peak_memory(work: Callable[[], Any], device: str) -> int:
    """Most bytes that tensors made by ``work`` take at one time."""
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
    held = most = 0
    for event in sorted(changes, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def compare_variants(preset: Preset, device: str, rounds: int, tell: Tell) -> dict[str, Any]:
    """Imagination and updates of the world model and of the policy, each variant in turn, against the peak."""
    chosen = variants(preset)
    loops = {variant.name: ready_loop(variant.of(preset), device) for variant in chosen}
    n = preset.imagined_trajectories
    states = {name: loop.draw_states(n) for name, loop in loops.items()}
    warm_ups = 4 if torch.device(device).type == "cuda" else 1
    tell("time imagination", 0, 3)
    works: dict[str, Callable[[], Any]] = {}
    for variant in chosen:
        loop = loops[variant.name]
        imagine = captured(loop.imagine_from, variant.compile, loop.generator)
        works[variant.name] = functools.partial(imagine, states[variant.name])
    imagination = in_turn(works, device, rounds, warm_ups)
    tell("time imagination", 1, 3)
    updates = in_turn({name: loop.fit_world_model for name, loop in loops.items()}, device, 5 * rounds, warm_ups)
    tell("time imagination", 2, 3)
    peaks = {precision: matmul_peak(device, precision) for precision in {variant.precision for variant in chosen}}
    rows: list[dict[str, Any]] = []
    for variant in chosen:
        loop = loops[variant.name]
        few = states[variant.name][:8]
        counted = operations(lambda loop=loop, few=few: loop.imagine_from(few)) / len(few) * n
        seconds = statistics.median(imagination[variant.name])
        rows.append(
            variant._asdict() | {
                "seconds": seconds,
                "trajectories_per_second": n / seconds,
                "gigaflop": counted / 1e9,
                "gigaflop_per_second": counted / seconds / 1e9,
                "share_of_peak": counted / seconds / peaks[variant.precision],
                "speedup": _ratio(imagination[chosen[0].name], imagination[variant.name]),
                "updates_per_second": 1 / statistics.median(updates[variant.name]),
                "update_speedup": _ratio(updates[chosen[0].name], updates[variant.name]),
            }
        )  # fmt: skip
    tell("time imagination", 3, 3)
    return {
        "imagined_trajectories": n,
        "horizon": preset.horizon,
        "parameters": sum(weights.numel() for weights in loops[chosen[0].name].world_model.network.parameters()),
        "matmul_gigaflop_per_second": {name: peak / 1e9 for name, peak in sorted(peaks.items())},
        "variants": rows,
        "peak_memory_bytes": peak_memory(works["fast"], device),
    }


def _ratio(slow: list[float], fast: list[float]) -> float:
    """How many times as fast, as the median over rounds in which both were timed."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def whole_loop(preset: Preset, device: str, steps: int, tell: Tell) -> dict[str, float]:
    """Steps a second of the real environment alone, and with all the learning that goes with them."""
    few = variants(preset)[-1].of(preset)
    loop = ready_loop(few, device)
    acting = 200 / timed(lambda: [loop.act() for _ in range(200)], device)
    loop.world_model_updates += loop.updates_due()  # those are behind it, as in the middle of a run
    steps = max(steps, preset.policy_update_every)
    for _ in range(4 * preset.policy_update_every if torch.device(device).type == "cuda" else 1):
        loop.step()
    tell("time the whole loop", 0, 1)
    learning = steps / timed(lambda: [loop.step() for _ in range(steps)], device)
    tell("time the whole loop", 1, 1)
    return {"env_steps_per_second": acting, "loop_steps_per_second": learning}


def growth(preset: Preset, device: str, rounds: int, tell: Tell) -> dict[str, list[dict[str, float]]]:
    """Time and memory of imagination as one thing at a time grows; the others stand as in the preset."""
    fast = variants(preset)[-1].of(preset)
    result: dict[str, list[dict[str, float]]] = {}
    for name, values in GROWTH.items():
        result[name] = []
        for done, value in enumerate(values):
            tell(f"grow {name.replace('_', ' ')}", done, len(values))
            if name == "sampling_steps" and value > preset.diffusion_steps:
                continue
            grown = fast if name == "batch" else replace(fast, **{name: value})
            n = value if name == "batch" else preset.imagined_trajectories
            loop = ready_loop(replace(grown, compile="none"), device)
            states = loop.draw_states(n)

            def imagine(loop: ImaginationLoop = loop, states: torch.Tensor = states) -> Any:
                return loop.imagine_from(states)

            seconds = statistics.median(in_turn({"it": imagine}, device, rounds)["it"])
            result[name].append(
                {
                    "value": value,
                    "seconds": seconds,
                    "trajectories_per_second": n / seconds,
                    "memory_bytes": peak_memory(imagine, device),
                }
            )
        tell(f"grow {name.replace('_', ' ')}", len(values), len(values))
    return result
