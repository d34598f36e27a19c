"""The parts of the GPU check: each measures one thing and writes down what it has found as it goes.

:mod:`polygrad_edu.measuring.gpu_check` runs each as ``python -m polygrad_edu.measuring.gpu_parts NAME``. A dry run
takes the same way on a CPU, with tiny networks; there, nothing can be recorded, and the recorded side is eager, too.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import torch
from torch import Tensor

from .. import __version__, environments
from ..acceleration import Captured, captured
from ..files.metrics_log import read_metrics
from ..files.safe_files import read_json, write_json
from ..imagination_loop import REPORT_SEED, ImaginationLoop
from ..presets import get_preset
from ..runs.checkpoint import MAX_BYTES, list_checkpoints, load_checkpoint
from ..runs.observers import METRICS
from ..settings import Preset
from .bench import in_turn, matmul_peak, ready_loop, timed
from .golden_run import processor

ROOT = Path(__file__).parents[2]
PRESET = "hopper"
# Sizes of a dry run: every part at work, nothing learned.
TINY = {
    "width": 16,
    "depth": 1,
    "batch_size": 16,
    "policy_width": 16,
    "imagined_trajectories": 16,
    "horizon": 4,
    "sampling_steps": 4,
    "precision": "bfloat16",
    "compile": "none",
}
TINY_SLICE = {"prefill_steps": 40, "pretrain_updates": 5, "parallel_envs": 1, "eval_episodes": 1}
# An evaluation each 10,000 steps, so that a slice has a curve; it draws nothing that the training draws.
SLICE = {"eval_every": 10_000, "checkpoint_every": 10_000}
PACKAGES = ("numpy", "gymnasium", "mujoco", "safetensors", "typer", "rich", "scipy", "pytest", "hypothesis", "triton")
MEASURED = ("critic_loss", "action_std", "value", "imagined_reward")  # of a policy update, to be compared
# Largest difference of two computations that count as the same: of imagined values in their standard deviations, of
# losses as a share. Sums in another order differ by less; a draw that is not the same one, by far more.
TOLERANCE = {"float32": 2e-3, "bfloat16": 5e-2}


class PartFailedError(Exception):
    """A part came to an end and found that something is wrong; its message is one line."""


@dataclass
class Job:
    """A part's order: its name, its folder and its time.

    Attributes:
        seconds: that it may take; it should be done a little earlier.
        found: its result so far; :meth:`write` puts it on the disk.
    """

    name: str
    folder: Path
    seconds: float
    dry_run: bool
    began: float = field(default_factory=time.monotonic)
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> str:
        return "cpu" if self.dry_run else "cuda"

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.monotonic() - self.began)

    @property
    def overrides(self) -> dict[str, Any]:
        """Settings that differ from those of full-size Hopper: tiny ones, or no graphs where none could be recorded."""
        if self.dry_run:
            return TINY
        tried = self.folder / "graphs.json"
        cannot_record = tried.exists() and not read_json(tried)["rows"]
        return {"compile": "none"} if cannot_record else {}

    def preset(self) -> Preset:
        """Full-size Hopper, or a tiny one."""
        return get_preset(PRESET).with_overrides(self.overrides)

    def write(self, **found: Any) -> None:
        """Add to the result and write all of it."""
        self.found |= found
        write_json(self.folder / f"{self.name}.json", self.found)

    def command(self, *arguments: object) -> float:
        """Run ``polygrad-edu`` with these arguments as a user would; returns the seconds it took.

        Raises:
            PartFailedError: it ended with another status than 0.
        """
        words = [str(argument) for argument in arguments]
        print("$ polygrad-edu", *words, flush=True)
        begin = time.monotonic()
        status = subprocess.run([sys.executable, "-m", "polygrad_edu", *words]).returncode
        if status:
            raise PartFailedError(f"polygrad-edu {words[0]} ended with status {status}")
        return time.monotonic() - begin


def as_options(settings: dict[str, Any]) -> list[str]:
    """Settings as options of the command line."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]


# ---- machine


def describe_machine(job: Job) -> None:
    """Describe the device, the driver, the processor and the versions of everything that matters."""
    job.write(
        polygrad_edu=__version__,
        python=platform.python_version(),
        system=platform.platform(),
        processor=processor(),
        processors=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        torch=torch.__version__,
        cuda=torch.version.cuda or "none",
        packages={name: version_of(name) for name in PACKAGES},
    )
    if job.device == "cuda":
        about = torch.cuda.get_device_properties(0)
        job.write(
            device=about.name,
            capability=f"{about.major}.{about.minor}",
            memory_gib=round(about.total_memory / 2**30, 1),
            multiprocessors=about.multi_processor_count,
            cudnn=torch.backends.cudnn.version() or 0,
            bfloat16=torch.cuda.is_bf16_supported(),
        )
    job.write(driver=driver())


def version_of(package: str) -> str:
    """The version of an installed package, or that there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def driver() -> str:
    """The GPU's name, driver, memory, clocks and power limit, as the driver's own tool gives them."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown: there is no nvidia-smi"
    asked = "name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit"
    query = [tool, f"--query-gpu={asked}", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown: {error}"
    return " ".join((done.stdout or done.stderr).split())


# ---- tests


def run_tests(job: Job) -> None:
    """Run the tests named ``test_*_gpu.py``, where they and pytest are; without a GPU all of them are skipped.

    Raises:
        PartFailedError: a test failed, or on a GPU none ran.
    """
    files = sorted((ROOT / "tests").rglob("test_*_gpu.py"))
    if not files or importlib.util.find_spec("pytest") is None:
        job.write(note="left out: " + ("pytest is not installed" if files else "the folder tests is not here"))
        return
    record = job.folder / "tests.xml"
    # the project's own options ask for plugins that a machine for training need not have
    options = ["-v", "-ra", "-o", "addopts=", "-p", "no:cacheprovider", "-m", "gpu", f"--junitxml={record}"]
    status = subprocess.run([sys.executable, "-m", "pytest", *options, *map(str, files)], cwd=ROOT).returncode
    if not record.exists():
        raise PartFailedError(f"pytest ended with status {status}")
    counts = count_tests(record)
    job.write(**counts)
    if status:
        raise PartFailedError(f"{len(counts['failed'])} of the GPU tests failed: {', '.join(counts['failed'])[:200]}")
    if job.device == "cuda" and not counts["passed"]:
        raise PartFailedError("no GPU test ran")


def count_tests(record: Path) -> dict[str, Any]:
    """Tests that passed and were skipped, the names of those that failed, and the seconds of the five slowest."""
    cases = list(ElementTree.parse(record).getroot().iter("testcase"))
    went_wrong = ("failure", "error")
    failed = [case.get("name", "") for case in cases if any(case.find(what) is not None for what in went_wrong)]
    skipped = sum(case.find("skipped") is not None for case in cases)
    seconds = {case.get("name", ""): float(case.get("time", 0)) for case in cases}
    slowest = sorted(seconds, key=seconds.__getitem__, reverse=True)[:5]
    return {
        "passed": len(cases) - len(failed) - skipped,
        "skipped": skipped,
        "failed": failed,
        "slowest": {name: seconds[name] for name in slowest},
    }


# ---- graphs


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


# ---- bench


def run_bench(job: Job) -> None:
    """Measure the peaks of matrix products, then run ``bench hopper``, and hold the one against the other."""
    preset = job.preset()
    job.write(peaks=matmul_peaks(job.device, job.dry_run))
    job.write(ceilings=small_products(preset, job.device))
    options = ["--device", job.device, *as_options(job.overrides)]
    rounds = 1 if job.dry_run else 3
    spent = job.command("bench", PRESET, *options, "--no-grow", "--rounds", rounds, "--out", job.folder / "bench")
    measured = read_json(job.folder / "bench" / "bench.json")
    job.write(
        title=f"{measured['imagined_trajectories']} trajectories of {measured['horizon']} steps, "
        f"{measured['parameters'] / 1e6:.1f} million parameters, on {measured['device_name']}",
        variants=measured["variants"],
        env_steps_per_second=measured["env_steps_per_second"],
        loop_steps_per_second=measured["loop_steps_per_second"],
        peak_memory_mib=measured["peak_memory_bytes"] / 2**20,
    )
    if job.left > 4 * spent and not job.dry_run:  # growth takes two to three times as long as the rest
        job.command("bench", PRESET, *options, "--rounds", rounds, "--out", job.folder / "bench-growth")
        job.write(growth=read_json(job.folder / "bench-growth" / "bench.json")["growth"])


def matmul_peaks(device: str, small: bool) -> dict[str, float]:
    """Measured peaks, in GFLOP/s: of a large product in each precision, float32 also with TF32 allowed inside."""
    size = 256 if small else 0
    peaks = {name: matmul_peak(device, name, size) / 1e9 for name in ("float32", "bfloat16", "float16")}
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        peaks["tf32"] = matmul_peak(device, "float32", size) / 1e9
    finally:
        torch.set_float32_matmul_precision(before)
    return peaks


def small_products(preset: Preset, device: str) -> dict[str, float]:
    """GFLOP/s of products of the denoiser's own size, [trajectories, width] by [width, width], in a row.

    They are the most that the denoiser could reach here: it is too narrow to fill a large GPU.
    """
    n, width, repeats = preset.loop.imagined_trajectories, preset.denoiser.width, 50

    def products(x: Tensor, weights: Tensor) -> list[Tensor]:
        return [x @ weights for _ in range(repeats)]

    found = {}
    for precision in ("float32", "bfloat16"):
        dtype = getattr(torch, precision)
        x = torch.randn(n, width, device=device, dtype=dtype)
        weights = torch.randn(width, width, device=device, dtype=dtype)
        work = captured(products, "graph" if device == "cuda" else "none")
        for _ in range(Captured.warm_up_calls + 1):
            work(x, weights)
        seconds = min(timed(lambda work=work, x=x, weights=weights: work(x, weights), device) for _ in range(9))
        found[precision] = repeats * 2 * n * width**2 / seconds / 1e9
    return found


# ---- slice


def train_a_slice(job: Job) -> None:
    """Train full-size Hopper for a slice of time, resume it for another, and look at what was learned.

    Raises:
        PartFailedError: a command failed, or the second slice did not go on where the first one had stopped.
    """
    run = job.folder / PRESET
    settings = SLICE | job.overrides | (TINY_SLICE if job.dry_run else {})
    first = 1.0 if job.dry_run else 0.5 * job.seconds
    where = ["--device", job.device, "--minutes"]
    spent = job.command("train", PRESET, "--out", run, *where, first / 60, *as_options(settings))
    begun = where_it_stands(run)
    config = read_json(run / "config.json")["settings"]
    job.write(
        settings={name: config[name] for name in ("precision", "compile", "parallel_envs", "env_steps")},
        first=begun | {"minutes": first / 60, "seconds_to_start": spent - begun["seconds"]},
        go_on="python -m polygrad_edu train --resume hopper --minutes 9",
    )
    # what is left, less the same time to start, and some to look at the result
    second = 1.0 if job.dry_run else max(5.0, job.left - (spent - begun["seconds"]) - 20)
    job.command("train", "--resume", run, *where, second / 60)
    resumed = where_it_stands(run)
    steps, seconds = (resumed[name] - begun[name] for name in ("env_step", "seconds"))
    if steps <= 0:
        raise PartFailedError(f"the resumed run stands at step {resumed['env_step']}, not beyond {begun['env_step']}")
    log = run / METRICS
    evaluations = read_metrics(log) if log.exists() else []
    job.write(
        resumed=resumed | {"steps": steps, "steps_per_second": steps / seconds},
        returns=[[line["env_step"], line["eval_return"]] for line in evaluations],
    )
    job.write(return_now=return_of(run, 1 if job.dry_run else 5))


def where_it_stands(run: Path) -> dict[str, Any]:
    """Real steps, seconds of training, steps a second and the latest losses at the last checkpoint of ``run``."""
    state = read_json(list_checkpoints(run)[-1], MAX_BYTES)
    step, seconds = state["counters"]["env_step"], state["wall_seconds"]
    return {"env_step": step, "seconds": seconds, "steps_per_second": step / seconds, "losses": state["latest"]}


def return_of(run: Path, episodes: int) -> dict[str, float]:
    """The return of the policy in a run's last checkpoint, read and played on the CPU."""
    loop, _ = load_checkpoint(run, "cpu")
    loop.collector.close()
    returns = environments.evaluate(loop.make_env, loop.actor_critic.policy, episodes, REPORT_SEED)
    return {"mean": float(returns.mean()), "std": float(returns.std()), "episodes": episodes}


PARTS: dict[str, Callable[[Job], None]] = {
    "machine": describe_machine,
    "tests": run_tests,
    "graphs": compare_graphs,
    "bench": run_bench,
    "slice": train_a_slice,
}


def main() -> int:
    """Run the part named on the command line; returns 0, or 1 if it found something wrong."""
    parser = argparse.ArgumentParser(prog="python -m polygrad_edu.measuring.gpu_parts", description=__doc__)
    parser.add_argument("name", choices=PARTS)
    parser.add_argument("--folder", type=Path, required=True, help="that takes NAME.json; it must be there")
    parser.add_argument("--seconds", type=float, required=True, help="that the part may take")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, at toy size")
    chosen = parser.parse_args()
    job = Job(chosen.name, chosen.folder, chosen.seconds, chosen.dry_run)
    try:
        PARTS[job.name](job)
    except PartFailedError as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
