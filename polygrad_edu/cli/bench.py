"""The command ``bench``: how fast this machine imagines and learns, as a table, a figure and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..files.input_error import InputError
from .options import Device, Json, choose_device, given, with_settings
from .progress import progress_lines
from .terminal import CommandConsole, answer

# The settings that decide how much work imagining and learning are.
CHANGED = (
    "denoiser",
    "width",
    "depth",
    "sampling_steps",
    "guidance",
    "horizon",
    "batch_size",
    "precision",
    "compile",
    "policy_width",
    "imagined_trajectories",
)


@with_settings(CHANGED)
def bench(
    preset: Annotated[
        str, typer.Argument(help="Whose sizes to measure; full-size unless its name ends in -cpu.")
    ] = "hopper",
    run: Annotated[
        Path | None,
        typer.Option(help="Also measure this run's error at each number of sampling steps.", metavar="RUN"),
    ] = None,
    grow: Annotated[bool, typer.Option(help="Also let batch, horizon, width and sampling steps grow.")] = True,
    rounds: Annotated[int, typer.Option(help="How often each thing is timed; the median counts.", min=1)] = 3,
    out: Annotated[Path | None, typer.Option(help="Directory to make.", show_default="runs/bench-PRESET")] = None,
    device: Device = "auto",
    as_json: Json = False,
    **settings: str | None,
) -> None:
    """Measure how fast this machine imagines and learns.

    Times imagination and world-model updates in plain float32 with every
    sampling step, with few steps, and with the fastest precision here, in
    turn; counts their floating-point operations and holds them against this
    machine's own matrix products. At full size on two CPU cores it takes about
    six minutes, with --no-grow two.
    """
    from ..measuring.bench import compare_variants, growth, whole_loop
    from ..measuring.bench_report import BenchReport, quality
    from ..presets import get_preset
    from ..runs.checkpoint import check_is_run
    from ..runs.training import settle

    chosen = get_preset(preset).with_overrides(given(settings))
    if chosen.world_model.kind != "polygrad":
        raise InputError(f"bench measures polygrad's sampler; {preset} learns in {chosen.world_model.kind}")
    device = choose_device(device)
    if run:
        check_is_run(run)  # before anything is timed
    directory = out or Path("runs") / f"bench-{preset}"
    console = CommandConsole(stderr=as_json)
    with progress_lines() as on_progress:
        chosen, _ = settle(chosen, 0, device, on_progress)
        errors = quality(run, device, chosen.acceleration.precision, on_progress) if run else []
        report = BenchReport(
            preset,
            chosen,
            device,
            compare_variants(chosen, device, rounds, on_progress),
            whole_loop(chosen, device, 2 * chosen.loop.policy_update_every, on_progress),
            growth(chosen, device, rounds, on_progress) if grow else {},
            errors,
        )
    directory.mkdir(parents=True, exist_ok=True)
    report.write(directory)
    kept = f"Numbers and figure lie in {directory}: bench.json and bench.png."
    answer(console, (report.title(), report.table(), report.legend()), report.to_json(), kept)
