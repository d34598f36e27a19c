"""Several seeds of one preset side by side, because a result with one seed says little.

Each seed is a run of its own, in a process and a directory of its own, exactly as ``train --seed`` would make it
(on a CPU with its share of the cores). A single small run would leave most of a large GPU idle.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ..files.input_error import InputError
from ..files.safe_files import write_json
from ..imagination_loop import check_seed
from ..settings import Preset
from .processes import Processes
from .trials import Trial, run_trials


class FailedRunsError(RuntimeError):
    """Some runs failed; the message names them, the reason, and the command to go on with."""


@dataclass(frozen=True)
class SeveralSeeds:
    """A preset that is trained with several seeds.

    Attributes:
        preset: the settings with the changes.
        overrides: the changes as text, by setting, as on a command line.
        wandb: project on Weights & Biases in which each seed is drawn; empty for none.

    Raises:
        InputError: a seed is out of range.
    """

    preset_name: str
    preset: Preset
    overrides: dict[str, str]
    seeds: range
    device: str
    wandb: str = ""

    def __post_init__(self) -> None:
        for seed in (self.seeds[0], self.seeds[-1]):
            check_seed(seed)

    def trials(self, out: Path) -> list[Trial]:
        """One for each seed, in ``out/seedN``."""
        changes = tuple(self.overrides.items())
        return [
            Trial(f"seed {seed}", out / f"seed{seed}", self.preset_name, self.preset, changes, seed, self.device)
            for seed in self.seeds
        ]


def train_seeds(several: SeveralSeeds, out: Path, console: Console) -> dict[str, Any]:
    """Train every seed side by side in ``out``; returns the summary of their results and writes it to seeds.json.

    Raises:
        InputError: ``out`` is there already and not empty.
        FailedRunsError: a seed failed; the others were trained to their end.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out} is there already; choose another --out, or continue a seed with --resume "
            f"{shlex.quote(f'{out}/seedN')}"
        )
    trials = several.trials(out)
    threads = max(1, (os.cpu_count() or 1) // len(trials))
    options = ("--wandb", several.wandb) if several.wandb else ()
    failures: dict[str, str] = {}
    run_trials(trials, Processes(len(trials), threads, options=options), console, failures)
    if failures:
        failed = [trial for trial in trials if trial.name in failures]
        raise FailedRunsError(
            f"seed {', '.join(str(trial.seed) for trial in failed)} of {several.preset_name} failed "
            f"({failures[failed[0].name]}); see {failed[0].log}, and go on with: "
            f"polygrad-edu train --resume {shlex.quote(str(failed[0].directory))}"
        )
    summary = summarise([trial.result() for trial in trials])
    write_json(out / "seeds.json", summary)
    return summary


def summarise(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Results of several runs in one object: return and speed of each, and the returns' mean, median and range."""
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
