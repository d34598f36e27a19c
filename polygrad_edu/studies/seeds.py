"""One preset, several seeds, side by side: a result with one seed says little.

Each seed is a run of its own, in a process and a directory of its own, exactly as ``train --seed`` would make it
(on a CPU with its share of the cores). They are small programs; one alone leaves most of a large GPU idle.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ..files.safe_files import write_json
from ..settings import Preset
from .processes import Processes
from .trials import Trial, run_trials


class FailedRunsError(RuntimeError):
    """Some runs did not end well; the message names them, why, and how to go on."""


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
    changes = tuple(overrides.items())
    trials = [Trial(f"seed {seed}", out / f"seed{seed}", preset_name, preset, changes, seed, device) for seed in seeds]
    threads = max(1, (os.cpu_count() or 1) // len(trials))
    failures: dict[str, str] = {}
    run_trials(trials, Processes(len(trials), threads), console, failures)
    if failures:
        failed = [trial for trial in trials if trial.name in failures]
        raise FailedRunsError(
            f"seed {', '.join(str(trial.seed) for trial in failed)} of {preset_name} failed "
            f"({failures[failed[0].name]}); see {failed[0].log}, and go on with: "
            f"polygrad-edu train --resume {failed[0].directory}"
        )
    summary = summarise([trial.result() for trial in trials])
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
