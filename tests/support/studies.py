"""Studies for tests: small ones, real ones in the background, and trials that were written and not trained."""

import json
import os
import signal
import subprocess
import sys
import time

from polygrad_edu.studies.study import make_study
from tests.support.tiny_runs import TINY

LONGER = TINY | {"env_steps": "300", "prefill_steps": "100", "eval_every": "100", "checkpoint_every": "50"}


def options_of(settings):
    """Settings as options of the command line."""
    return [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)]


def small(**changes):
    """A study of two tiny runs, with these parts changed."""
    parts = {"presets": ["pendulum"], "seeds": range(2), "settings": TINY, "vary": {}, "device": "cpu"}
    return make_study(**(parts | changes))


def finish(trial, returned, **changes):
    """Write the files of a finished trial, as a training would leave them, but for the networks."""
    trial.directory.mkdir(parents=True)
    result = {
        "preset": trial.preset_name,
        "env_id": trial.preset.task.env_id,
        "seed": trial.seed,
        "return_mean": returned,
        "return_std": 1.0,
        "env_steps": 60,
        "wall_seconds": 30.0,
        "device": "cpu",
        "threads": 1,
        "versions": {"torch": "2"},
    }
    (trial.directory / "result.json").write_text(json.dumps(result | changes))
    (trial.directory / "video.mp4").write_bytes(b"film")
    lines = [
        {"env_step": step, "wall_seconds": step / 10, "eval_return": returned * step / 60, "best_return": returned}
        for step in (30, 60)
    ]
    (trial.directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def sweep(*arguments, log):
    """Start ``polygrad-edu sweep`` with its output in a file."""
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "polygrad_edu", "sweep", *map(str, arguments)],
            stdout=file,
            stderr=file,
            env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "150"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def wait_until(true, process, log, seconds=400):
    """Wait for something that a study in the background should come to."""
    deadline = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def results(study):
    """What decides if two studies agree: results, evaluations and the networks' checksums, by trial."""
    found = {}
    for path in sorted((study / "trials").glob("*/result.json")):
        lines = [json.loads(line) for line in (path.parent / "metrics.jsonl").read_text().splitlines()]
        last = sorted((path.parent / "checkpoint").glob("step-*.json"))[-1]
        found[path.parent.name] = (
            json.loads(path.read_text()) | {"wall_seconds": 0},
            [[line[name] for name in ("env_step", "eval_return", "best_return", "episode_return")] for line in lines],
            last.name,
            json.loads(last.read_text())["shards"],
        )
    return found
