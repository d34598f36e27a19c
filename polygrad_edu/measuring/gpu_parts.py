"""The parts of the GPU check: each measures one thing and writes down what it has found as it goes.

:mod:`polygrad_edu.measuring.gpu_check` runs each as ``python -m polygrad_edu.measuring.gpu_parts NAME``. A dry run
takes the same way on a CPU, with tiny networks; there, nothing can be recorded, and the recorded side is eager, too.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch
from torch import Tensor

from .. import __version__, environments
from ..acceleration import Captured, captured
from ..files.metrics_log import read_metrics
from ..files.safe_files import read_json
from ..imagination_loop import REPORT_SEED
from ..runs.checkpoint import MAX_BYTES, list_checkpoints, load_checkpoint
from ..runs.observers import METRICS
from ..settings import Preset
from .bench import matmul_peak, timed
from .golden_run import processor
from .gpu_graphs import compare_graphs
from .gpu_job import PRESET, Job, PartFailedError, as_options

ROOT = Path(__file__).parents[2]
TINY_SLICE = {"prefill_steps": 40, "pretrain_updates": 5, "parallel_envs": 1, "eval_episodes": 1}
# An evaluation each 10,000 steps, so that a slice has a curve; it draws nothing that the training draws.
SLICE = {"eval_every": 10_000, "checkpoint_every": 10_000}
PACKAGES = ("numpy", "gymnasium", "mujoco", "safetensors", "typer", "rich", "scipy", "pytest", "hypothesis", "triton")


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
