"""The golden run: half a minute of training whose numbers are known, to check whether another machine agrees.

On the same kind of processor, with the same versions and one thread, it ends with the same bits. Elsewhere sums are
rounded in another order, and small differences grow; then its numbers must lie in a band. The band spans the numbers
measured over seeds, thread counts and precisions, widened by half of its width on either side.

What was found can be kept in a file and compared with another, made elsewhere or by another version, metric by metric.

``python -m polygrad_edu.measuring.golden_run`` measures the band anew (five minutes) and stores it in golden_run.json.
"""

from __future__ import annotations

import hashlib
import platform
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..actor_critic import ActorCritic
from ..baselines import make_world_model
from ..files.input_error import InputError
from ..files.progress import OnProgress, tell_nobody
from ..files.safe_files import check_fields, read_json, write_json
from ..files.versions import refuse_newer, refuse_newer_format
from ..imagination_loop import ImaginationLoop, seeded_weights
from ..presets import get_preset
from ..runs.loop_state import state_of
from ..runs.result_file import versions
from ..settings import Preset

FORMAT = "polygrad-edu golden run 1"
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
    on_progress: OnProgress = tell_nobody,
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
        "digest": digest(loop, {"torch_generator": _after_the_weights(loop)}),
        "cpu_seconds": round(time.process_time() - begin, 1),
        "machine": {"processor": processor(), "torch_kernels": torch.backends.cpu.get_cpu_capability(), **versions()},
    }


def _after_the_weights(loop: ImaginationLoop) -> torch.Tensor:
    """The state of torch's generator once it has drawn a loop's first weights.

    Up to version 0.2 it was process-wide and part of a run's state, so the stored digests cover it.
    """
    normaliser = loop.replay.normaliser
    with seeded_weights(loop.seed):
        make_world_model(loop.preset, normaliser, torch.Generator())
        ActorCritic(normaliser.observations.size, normaliser.actions.size, loop.preset.actor_critic)
        return torch.get_rng_state()


def digest(loop: ImaginationLoop, more: dict[str, torch.Tensor] | None = None) -> str:
    """A short checksum of all tensors and counters, and of ``more``: equal for two loops only if every bit is."""
    tensors, state = state_of(loop)
    tensors |= more or {}
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
        InputError: the file is damaged, or of a newer version.
    """
    stored = read_json(path)
    try:
        check_fields(stored, {"golden": dict, "band": dict, "runs": list}, path)
        _check_run(stored["golden"], path)
    except InputError:
        golden = stored.get("golden")
        refuse_newer(_written_by(golden) if isinstance(golden, dict) else None, path)
        raise
    return stored


def save_run(run: dict[str, Any], path: Path) -> None:
    """Write what :func:`golden_run` found to a file, to compare another one with.

    Raises:
        OSError: it cannot be written.
    """
    write_json(path, {"format": FORMAT, **run})


def read_run(path: Path) -> dict[str, Any]:
    """Read what :func:`save_run` wrote.

    Raises:
        InputError: there is no such file, or it is damaged, or of a newer version.
    """
    run = read_json(path)
    version = _written_by(run)
    refuse_newer_format(run.get("format"), FORMAT, version, path)
    if run.get("format") != FORMAT:
        raise InputError(f"{path} holds no golden run; write one with: polygrad-edu doctor --reproduce --save FILE")
    try:
        _check_run(run, path)
    except InputError:
        refuse_newer(version, path)
        raise
    return run


def _check_run(run: dict[str, Any], path: Path) -> None:
    check_fields(run, {"numbers": dict, "digest": str, "machine": dict}, path)
    check_fields(run["numbers"], dict.fromkeys(run["numbers"], float), path)


def _written_by(run: dict[str, Any]) -> object:
    machine = run.get("machine")
    return machine.get("polygrad_edu") if isinstance(machine, dict) else None


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


class Row(NamedTuple):
    """A number of two golden runs.

    Attributes:
        value, other: of the one and of the other; None where a version does not measure it.
        difference: the first minus the second.
        band_width: of the stored band: as far apart as seeds, threads and precisions take it.
    """

    value: float | None
    other: float | None
    difference: float | None
    band_width: float | None

    @property
    def far(self) -> bool:
        """True if the two are further apart than the band is wide."""
        known = self.difference is not None and self.band_width is not None
        return known and not abs(self.difference or 0.0) <= (self.band_width or 0.0)


class Comparison(NamedTuple):
    """Two golden runs side by side, for example of two versions.

    Attributes:
        same_bits: every tensor is equal to the last bit.
        rows: of each number, by its name.
        different: what differs between the two machines and their versions, by name.
    """

    same_bits: bool
    rows: dict[str, Row]
    different: dict[str, tuple[Any, Any]]

    @property
    def close(self) -> bool:
        """True if no number is further apart than its band is wide."""
        return not any(row.far for row in self.rows.values())

    def lines(self, name: str = "this run", other: str = "the other") -> list[str]:
        """The table, a line for each number, with a head.

        Args:
            name, other: of the two runs.
        """
        head = f"{'':<20} {name[:16]:>16} {other[-16:]:>16} {'difference':>12} {'band width':>12}"
        return [head, *(_line(name, row) for name, row in self.rows.items())]


def _line(name: str, row: Row) -> str:
    cells = [(row.value, 16, ".7g"), (row.other, 16, ".7g"), (row.difference, 12, ".3g"), (row.band_width, 12, ".3g")]
    shown = " ".join(f"{'-' if cell is None else format(cell, form):>{width}}" for cell, width, form in cells)
    return f"{name:<20} {shown}{'   FAR' if row.far else ''}"


def compare_runs(run: dict[str, Any], other: dict[str, Any], band: dict[str, list[float]]) -> Comparison:
    """Compare two golden runs metric by metric.

    Args:
        run, other: of :func:`golden_run` or :func:`read_run`.
        band: of :func:`read_golden`.
    """
    rows: dict[str, Row] = {}
    for name in dict.fromkeys([*run["numbers"], *other["numbers"]]):
        value = run["numbers"].get(name)
        theirs = other["numbers"].get(name)
        difference = None if value is None or theirs is None else value - theirs
        width = band[name][1] - band[name][0] if name in band else None
        rows[name] = Row(value, theirs, difference, width)
    names = dict.fromkeys([*run["machine"], *other["machine"]])
    pairs = {name: (run["machine"].get(name), other["machine"].get(name)) for name in names}
    different = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return Comparison(run["digest"] == other["digest"], rows, different)


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
