"""Same seed, same numbers: each preset and each world model, run for some steps.

``python -m tests.support.reproducibility`` does so twice in processes of their own, at the presets' full sizes, and
compares the digests of all tensors; ``tests/measuring/test_golden_run.py`` does it with small networks in one process.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable

import torch

from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.measuring.golden_run import digest
from polygrad_edu.presets import PRESETS
from polygrad_edu.settings import WORLD_MODELS
from tests.support.tiny_runs import tiny

STEPS = 46


def digest_of(name: str, small: bool, **changes: object) -> str:
    """Train a preset for some steps, with its random ones cut short; returns the digest of the outcome."""
    full = PRESETS[name].denoiser
    sizes = {} if small else {"width": full.width, "depth": full.depth, "pretrain_updates": 2}
    loop = ImaginationLoop(tiny(name, **(changes | sizes)), seed=5)
    while loop.env_step < STEPS:
        loop.step()
    found = digest(loop)
    loop.collector.close()
    return found


def runs_of(small: bool = True) -> dict[str, Callable[[], str]]:
    """The runs by name: every preset, and every other world model on the smallest one."""
    changes = {"parallel_envs": 1} if small else {}  # processes of their own take seconds to start
    runs = {name: functools.partial(digest_of, name, small, **changes) for name in PRESETS}
    for model in WORLD_MODELS[1:]:
        runs[model] = functools.partial(digest_of, "inverted-pendulum", small, world_model=model)
    return runs


def main() -> None:
    if sys.argv[1:] == ["--once"]:
        torch.set_num_threads(1)
        for name, run in runs_of(small=False).items():
            print(name, run(), flush=True)
        return
    command = [sys.executable, "-m", "tests.support.reproducibility", "--once"]
    first, again = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    print(first, end="")
    if first != again:
        sys.exit(f"the second time they were\n{again}")
    print(f"{len(first.splitlines())} of {len(first.splitlines())} ended with the same bits the second time")


if __name__ == "__main__":
    main()
