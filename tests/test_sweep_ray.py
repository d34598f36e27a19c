"""Studies on a real Ray cluster of two nodes on this machine's loopback: nodes and workers die, results do not.

The study is small; POLYGRAD_FULL_STUDY=1 makes it 3 presets x 5 seeds.
"""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

from .test_imagination_loop import TINY  # noqa: E402

FULL = os.environ.get("POLYGRAD_FULL_STUDY") == "1"
PRESETS = ["inverted-pendulum", "pendulum", "hopper-cpu"][: 3 if FULL else 2]
SEEDS = 5 if FULL else 2
SETTINGS = TINY | {"env_steps": "300", "prefill_steps": "100", "eval_every": "100", "checkpoint_every": "50"}
OPTIONS = [word for name, value in SETTINGS.items() for word in (f"--{name.replace('_', '-')}", value)]
# Ray looks for a cluster on the loopback at this machine's outward address, except on systems where it may not
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}


def sweep(*arguments, log):
    """Start ``polygrad-edu sweep`` with its output in a file."""
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "polygrad_edu", "sweep", *map(str, arguments)],
            stdout=file, stderr=file, env=os.environ | LOOPBACK | {"OMP_NUM_THREADS": "1", "COLUMNS": "150"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip


def wait_until(true, process, log, seconds=400):
    """Wait for something that a study in the background should come to."""
    deadline = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def results(study):
    """What decides whether two studies agree: results, evaluations and the networks' checksums, by trial."""
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


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes of one core each; the second can be killed."""
    for name, value in LOOPBACK.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", False)  # it was read on import
    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "node_ip_address": "127.0.0.1"}
    for remaining in (2, 1, 0):  # on a busy machine a node may miss Ray's 15 seconds to start
        cluster = Cluster()
        try:
            cluster.add_node(include_dashboard=False, **node)
            second = cluster.add_node(**node)
            break
        except Exception:
            cluster.shutdown()
            if not remaining:
                raise
    yield cluster, second
    cluster.shutdown()


def test_a_study_survives_its_cluster_and_agrees_with_one_in_processes(cluster, tmp_path):
    cluster, second = cluster
    log, study = tmp_path / "ray.log", tmp_path / "ray"
    words = [*PRESETS, "--seeds", SEEDS, "--device", "cpu", *OPTIONS]
    driver = sweep(
        *words, "--out", study, "--engine", "ray", "--address", cluster.address, "--slice", 0.03, log=log
    )  # fmt: skip
    # both nodes are at work, and something has come home
    wait_until(lambda: len(list(study.glob("trials/*/checkpoint/step-*.json"))) >= 2, driver, log)
    cluster.remove_node(second, allow_graceful=False)
    wait_until(lambda: "lost its worker (its machine is gone)" in log.read_text(), driver, log)
    assert len(list(study.glob("trials/*/result.json"))) < len(PRESETS) * SEEDS
    raylet = psutil.Process(cluster.head_node.all_processes["raylet"][0].process.pid)

    def killed():
        for worker in raylet.children(recursive=True):
            if worker.name().startswith("ray::train_slice") or "ray::train_slice" in " ".join(worker.cmdline()):
                worker.kill()
                return True
        return False

    wait_until(killed, driver, log)
    assert driver.wait(timeout=1200) == 0, log.read_text()
    said = log.read_text()
    assert "lost its worker (its process was killed)" in said
    assert "Traceback" not in said
    assert "(raylet)" not in said
    n = len(PRESETS) * SEEDS
    assert f"{n} of {n} trials are finished; the report lies in {study / 'report.md'}" in said.replace("\n", " ")
    assert (study / "report.md").read_text().count(" | finished | ") == n

    here = tmp_path / "processes"
    log = tmp_path / "processes.log"
    assert sweep(*words, "--out", here, "--jobs", 2, log=log).wait(timeout=1200) == 0, log.read_text()
    on_ray, in_processes = results(study), results(here)
    assert len(on_ray) == n
    assert on_ray == in_processes
