"""Graphs held against the eager computation on a GPU: the same numbers, and in how much less time.

A part of the GPU check (:mod:`polygrad_edu.measuring.gpu_parts`).
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..acceleration import Captured, captured
from ..imagination_loop import ImaginationLoop
from .bench import in_turn, ready_loop
from .gpu_job import Job, PartFailedError

MEASURED = ("critic_loss", "action_std", "value", "imagined_reward")  # of a policy update, to be compared
# Largest difference of two computations that count as the same: of imagined values in their standard deviations, of
# losses as a share. Sums in another order differ by less; a draw that is not the same one, by far more.
TOLERANCE = {"float32": 2e-3, "bfloat16": 5e-2}


class Timing(NamedTuple):
    """A piece of work to be timed.

    Attributes:
        calls: in each round, before the device is waited for.
        per: what the seconds are given for.
        units: of that in one call.
    """

    name: str
    calls: int
    per: str
    units: float


def compare_graphs(job: Job) -> None:
    """Hold recorded graphs against the eager computation, in each precision: the numbers, then the time.

    Three loops from one seed make the same draws: an eager one, a recorded one, and a second eager one, which tells by
    how much two runs of the same program differ on this device.

    Raises:
        PartFailedError: the numbers are not the same.
    """
    rows: list[dict[str, Any]] = []
    job.write(rows=rows, tolerance=TOLERANCE)
    for precision in TOLERANCE:
        preset = job.preset().with_overrides(precision=precision)
        recorded = "graph" if job.device == "cuda" else "none"
        ways = {"eager": "none", "eager again": "none", "recorded": recorded}
        loops = {name: ready_loop(preset.with_overrides(compile=way), job.device) for name, way in ways.items()}
        differences = compare_numbers(loops, 3 if job.dry_run else 12)
        del loops["eager again"]
        for row in compare_speed(loops, 2 if job.dry_run else 9):
            row |= {"precision": precision, **differences[row["what"]]}
            row["same"] = row["difference"] <= max(TOLERANCE[precision], 3 * row["difference_of_two_eager_runs"])
            rows.append(row)
        job.write(rows=rows)
    if wrong := [f"{row['what']} in {row['precision']}" for row in rows if not row["same"]]:
        raise PartFailedError(f"eager and recorded differ: {', '.join(wrong)}")


def compare_numbers(loops: dict[str, ImaginationLoop], calls: int) -> dict[str, dict[str, float]]:
    """The largest differences between the eager loop and the two others, by piece of work.

    Args:
        loops: ``eager``, ``eager again`` and ``recorded``, all in the same state.
        calls: of each piece of work, more than a recording's ``warm_up_calls``, so that some are replayed.
    """
    calls += Captured.warm_up_calls
    n = loops["eager"].preset.loop.imagined_trajectories
    states = loops["eager"].replay.observations[: loops["eager"].replay.size]
    states = states[torch.arange(n, device=states.device) % len(states)]  # [n, O]
    numbers: dict[str, dict[str, Tensor]] = {"imagination": {}, "world-model update": {}, "policy update": {}}
    for name, loop in loops.items():
        numbers["imagination"][name] = imagined_numbers(loop, states, calls)
        # what an update returned is overwritten by the next one
        losses = [loop.fit_world_model().clone() for _ in range(calls)]
        numbers["world-model update"][name] = torch.stack(losses).double()  # [calls]
        metrics = []
        for _ in range(calls):
            learned = loop.improve_policy()
            metrics.append(torch.stack([learned[key].double() for key in MEASURED]))
        numbers["policy update"][name] = torch.stack(metrics)  # [calls, 4]
    found: dict[str, dict[str, float]] = {}
    for what, values in numbers.items():
        # imagined values come in standard deviations; of losses, the difference is a share of the larger ones
        unit = torch.ones(()) if what == "imagination" else values["eager"].abs().amax(dim=0).clamp(min=1e-6)
        unit = unit.to(values["eager"])
        found[what] = {
            "difference": largest((values["recorded"] - values["eager"]) / unit),
            "difference_of_two_eager_runs": largest((values["eager again"] - values["eager"]) / unit),
        }
    return found


def largest(differences: Tensor) -> float:
    """The largest absolute difference; one that is not a number counts as enormous, and JSON can hold it."""
    return float(differences.abs().nan_to_num(nan=1e9, posinf=1e9).max())


def imagined_numbers(loop: ImaginationLoop, states: Tensor, calls: int) -> Tensor:
    """All that is imagined from ``states`` [B, O] in each call with noise from a seed of its own, as one long vector.

    Observations are in standard deviations of the replay's, actions in units of the range that they may have.
    """
    generator = torch.Generator(loop.device).manual_seed(1)
    imagine = functools.partial(loop.imagine_from, generator=generator)
    imagine = captured(imagine, loop.preset.acceleration.compile, generator)
    seen: list[Tensor] = []
    for _ in range(calls):
        imagined = imagine(states)
        seen += [loop.replay.normaliser.observations.normalise(imagined.observations).flatten()]
        seen += [imagined.actions.flatten().clone()]
    return torch.cat(seen).double()


def compare_speed(loops: dict[str, ImaginationLoop], rounds: int) -> list[dict[str, Any]]:
    """Time eager and recorded in turn, round by round; seconds are medians, the speed-up that of the rounds' ratios."""
    preset, device = loops["eager"].preset, str(loops["eager"].device)
    n = preset.loop.imagined_trajectories
    rows = []
    for timing in (
        Timing("imagination", 4, "1,000 trajectories", n / 1000),
        Timing("world-model update", 20, "an update", 1),
        Timing("policy update", 4, "an update", 1),
    ):
        works = {name: repeated(work_of(loop, timing.name), timing.calls) for name, loop in loops.items()}
        seconds = in_turn(works, device, rounds, warm_ups=2)
        per_unit = timing.calls * timing.units
        rows.append(
            {
                "what": timing.name,
                "per": timing.per,
                "eager_seconds": statistics.median(seconds["eager"]) / per_unit,
                "recorded_seconds": statistics.median(seconds["recorded"]) / per_unit,
                "speedup": statistics.median(a / b for a, b in zip(*seconds.values(), strict=True)),
                "slowest_speedup": min(a / b for a, b in zip(*seconds.values(), strict=True)),
                "fastest_speedup": max(a / b for a, b in zip(*seconds.values(), strict=True)),
            }
        )
    return rows


def work_of(loop: ImaginationLoop, what: str) -> Callable[[], Any]:
    """A function without arguments that does this piece of a loop's work, recorded if the loop's preset says so."""
    if what == "imagination":
        states = loop.draw_states(loop.preset.loop.imagined_trajectories)
        return functools.partial(captured(loop.imagine_from, loop.preset.acceleration.compile, loop.generator), states)
    return loop.fit_world_model if what == "world-model update" else loop.improve_policy


def repeated(work: Callable[[], Any], calls: int) -> Callable[[], None]:
    """``work``, so many times in a row."""

    def several() -> None:
        for _ in range(calls):
            work()

    return several
