"""The golden run: half a minute of training whose numbers are known, to check whether another machine agrees.

On the same kind of processor, with the same versions and one thread, it ends with the same bits. Elsewhere sums are
rounded in another order, and small differences grow; then its numbers must lie in a band. The band spans the numbers
measured over seeds, thread counts and precisions, widened by half of its width on either side.

``python -m polygrad_edu.measuring.golden_run`` measures the band anew (five minutes) and stores it in golden_run.json.
"""

from __future__ import annotations

import hashlib
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..files.safe_files import check_fields, read_json, write_json
from ..imagination_loop import ImaginationLoop
from ..presets import get_preset
from ..runs.loop_state import state_of
from ..runs.result_file import versions
from ..settings import Preset
from .progress import OnProgress

PATH = Path(__file__).with_name("golden_run.json")
SEED = 0
SEEDS = range(5)  # of the runs that the band is made of
SETTINGS = {
    "env_steps": 1_500,
    "prefill_steps": 500,
    "pretrain_updates": 300,
    "updates_per_step": 0.5,
    "width": 128,
    "eval_every": 500,
    "eval_episodes": 5,
}
# Metrics of which the mean over the last third of the run is taken.
MEASURED = ("world_model_loss", "action_std", "policy_std", "value", "imagined_reward", "imagined_terminals")


def golden_preset(**overrides: Any) -> Preset:
    """The settings of the golden run: the small task, for half a minute."""
    return get_preset("inverted-pendulum").with_overrides(SETTINGS | overrides)


def golden_run(
    seed: int = SEED,
    threads: int = 1,
    precision: str = "float32",
    on_progress: OnProgress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Train; returns the measured numbers, the digest of every tensor at the end, and a description of the machine.

    Args:
        on_progress: called with ("golden run", steps done, steps in all) after each step.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    begin = time.process_time()
    try:
        loop = ImaginationLoop(golden_preset(precision=precision), seed)
        rows: dict[str, list[torch.Tensor]] = {name: [] for name in MEASURED}
        for metrics in loop.steps():
            if loop.env_step > 2 * loop.preset.loop.env_steps // 3:
                for name in rows.keys() & metrics.keys():
                    rows[name].append(torch.as_tensor(metrics[name]).clone())
            on_progress("golden run", loop.env_step, loop.preset.loop.env_steps)
    finally:
        torch.set_num_threads(before)
    numbers = {name: float(torch.stack(values).mean()) for name, values in rows.items()}
    numbers["best_return"] = loop.best_return
    return {
        "numbers": numbers,
        "digest": digest(loop),
        "cpu_seconds": round(time.process_time() - begin, 1),
        "machine": {"processor": processor(), "torch_kernels": torch.backends.cpu.get_cpu_capability(), **versions()},
    }


def digest(loop: ImaginationLoop) -> str:
    """A short checksum of all tensors and counters: equal for two loops only if every bit is."""
    tensors, state = state_of(loop)
    found = hashlib.sha256(repr(state["counters"]).encode())
    for name in sorted(tensors):
        found.update(name.encode() + tensors[name].detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def processor() -> str:
    """The name of the processor, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def band(runs: list[dict[str, Any]]) -> dict[str, list[float]]:
    """The range of each number over several runs, widened by half of its width on either side."""
    ranges = {}
    for name in runs[0]["numbers"]:
        values = [run["numbers"][name] for run in runs]
        margin = 0.5 * (max(values) - min(values))
        ranges[name] = [min(values) - margin, max(values) + margin]
    return ranges


def read_golden(path: Path = PATH) -> dict[str, Any]:
    """Read the stored golden run, the band, and each run that it was made of.

    Raises:
        InputError: the file is damaged.
    """
    stored = read_json(path)
    check_fields(stored, {"golden": dict, "band": dict, "runs": list}, path)
    return stored


def compare(run: dict[str, Any], stored: dict[str, Any]) -> tuple[bool, bool, list[str]]:
    """Compare a run with the stored one.

    Returns:
        Whether it has the golden bits, whether all its numbers lie in the band, and a line for each number.
    """
    golden = stored["golden"]
    lines: list[str] = []
    well = True
    for name, (low, high) in stored["band"].items():
        value = run["numbers"][name]
        inside = bool(np.isfinite(value)) and low <= value <= high
        well = well and inside
        lines.append(
            f"{name:<20} {value:>10.4g}   stored {golden['numbers'][name]:>10.4g}   "
            f"band {low:.4g} to {high:.4g}{'' if inside else '   OUTSIDE'}"
        )
    return run["digest"] == golden["digest"], well, lines


def main() -> None:
    """Measure the band: five seeds, two threads, bfloat16."""
    runs = []
    options: dict[str, Any]
    for options in (*({"seed": seed} for seed in SEEDS), {"threads": 2}, {"precision": "bfloat16"}):
        runs.append({"options": options, **golden_run(**options)})
        print(options, runs[-1]["digest"], runs[-1]["cpu_seconds"], runs[-1]["numbers"], flush=True)
    write_json(PATH, {"golden": runs[0], "band": band(runs), "runs": runs})


if __name__ == "__main__":
    main()
