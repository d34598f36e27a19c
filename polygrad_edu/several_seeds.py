"""One preset, several seeds, side by side: a result with one seed says little.

Each seed is a run of its own, in a process and a directory of its own, exactly as ``train --seed`` would make it
(on a CPU with its share of the cores). They are small programs; one alone leaves most of a large GPU idle.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from .data_files import write_json
from .result_file import read_result
from .settings import Preset

POLL_SECONDS = 0.5


class FailedRunsError(RuntimeError):
    """Some seeds did not end well; the message names them, why, and how to go on."""


def train_seeds(
    preset_name: str, preset: Preset, overrides: dict[str, str], seeds: range, out: Path, device: str, console: Console
) -> dict[str, Any]:
    """Train every seed side by side in ``out/seedN``; returns (and writes to seeds.json) what they reached.

    Raises:
        ValueError: ``out`` is there already and not empty.
        FailedRunsError: a seed failed; the others were trained to their end.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is there already; choose another --out, or continue a seed with --resume {out}/seedN")
    out.mkdir(parents=True, exist_ok=True)
    options = [part for name, value in overrides.items() for part in (f"--{name.replace('_', '-')}", value)]
    environment = dict(os.environ)
    if device == "cpu":  # more threads than cores make all of them slower
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // len(seeds)))
    running = {}
    for seed in seeds:
        command = [sys.executable, "-m", "polygrad_edu", "train", preset_name, "--seed", str(seed), "--device", device]
        with (out / f"seed{seed}.log").open("w", encoding="utf-8") as log:
            running[seed] = subprocess.Popen(
                [*command, "--out", str(out / f"seed{seed}"), *options], stdout=log, stderr=log, env=environment
            )
    try:
        with Live(console=console, refresh_per_second=2) as live:
            while any(process.poll() is None for process in running.values()):
                live.update(_table(out, seeds, preset.env_steps))
                time.sleep(POLL_SECONDS)
            live.update(_table(out, seeds, preset.env_steps))
        console.line()
    finally:  # an interrupt reaches them too; they are waited for, so that what they write is whole
        for process in running.values():
            if process.poll() is None:
                process.terminate()
            process.wait()
    if failed := [seed for seed, process in running.items() if process.returncode]:
        why = (out / f"seed{failed[0]}.log").read_text(encoding="utf-8").strip().splitlines()
        raise FailedRunsError(
            f"seed {', '.join(map(str, failed))} of {preset_name} failed ({why[-1] if why else 'without a word'}); "
            f"see {out}/seed{failed[0]}.log, and go on with: polygrad-edu train --resume {out}/seed{failed[0]}"
        )
    summary = summarise([read_result(out / f"seed{seed}" / "result.json") for seed in seeds])
    write_json(out / "seeds.json", summary)
    return summary


def summarise(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Several runs' results in one object: return and throughput of each, and the returns' mean, median and range."""
    returns = np.array([result["return_mean"] for result in results])
    speeds = [round(result["env_steps"] / max(result["wall_seconds"], 0.1), 1) for result in results]
    return {
        **{name: results[0][name] for name in ("preset", "env_id", "device")},
        "seeds": [result["seed"] for result in results],
        "returns": returns.tolist(),
        "return_mean": float(returns.mean()),
        "return_median": float(np.median(returns)),
        "return_min": float(returns.min()),
        "return_max": float(returns.max()),
        "env_steps_per_second": speeds,
        "env_steps_per_second_together": round(sum(speeds), 1),
    }


def _table(out: Path, seeds: range, env_steps: int) -> Table:
    """How far each seed has come, by its latest evaluation."""
    table = Table("seed", f"steps of {env_steps:,}", "return", "best so far", "steps a second", box=None)
    for seed in seeds:
        path = out / f"seed{seed}" / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        try:
            latest = json.loads(lines[-1])
        except (IndexError, ValueError):  # no evaluation yet, or one being written
            table.add_row(str(seed), "-", "-", "-", "-")
            continue
        speed = latest["env_step"] / max(latest["wall_seconds"], 0.1)
        table.add_row(
            str(seed), f"{latest['env_step']:,}", f"{latest['eval_return']:.0f}", f"{latest['best_return']:.0f}",
            f"{speed:.0f}",
        )  # fmt: skip
    return table
