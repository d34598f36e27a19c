"""Studies on a real Ray cluster of two nodes on this machine's loopback: nodes and workers die, results do not.

The study is small; POLYGRAD_FULL_STUDY=1 makes it 3 presets x 5 seeds.
"""

import os

import psutil
import pytest

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

from polygrad_edu.files.input_error import InputError  # noqa: E402
from polygrad_edu.studies.ray_cluster import Slice, connect, train_slice  # noqa: E402
from tests.support.studies import LONGER, options_of, results, sweep, wait_until  # noqa: E402

FULL = os.environ.get("POLYGRAD_FULL_STUDY") == "1"
PRESETS = ["inverted-pendulum", "pendulum", "hopper-cpu"][: 3 if FULL else 1]
SEEDS = 5 if FULL else 2
# Ray looks for a cluster on the loopback at this machine's outward address, except on systems where it may not
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}


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


def worker_on(node):
    """The process on a node that is training now, if there is one."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for worker in raylet.children(recursive=True):
        try:
            if "ray::train_slice" in " ".join(worker.cmdline()):
                return worker
        except psutil.NoSuchProcess:
            continue
    return None


def test_a_study_survives_its_cluster_and_agrees_with_one_in_processes(cluster, tmp_path):
    cluster, second = cluster
    log, study = tmp_path / "ray.log", tmp_path / "ray"
    # several slices for each trial, however fast the machine is: the node is to die while it works
    longer = ["--env-steps", 1200, "--eval-every", 400, "--checkpoint-every", 100]
    words = [*PRESETS, "--seeds", SEEDS, "--device", "cpu", *options_of(LONGER), *longer]
    driver = sweep(*words, "--out", study, "--engine", "ray", "--address", cluster.address, "--slice", 0.015, log=log)
    wait_until(lambda: worker_on(second), driver, log)  # in the middle of a slice, so that there is something to lose
    cluster.remove_node(second, allow_graceful=False)
    wait_until(lambda: "lost its worker (" in log.read_text(), driver, log)
    assert len(list(study.glob("trials/*/result.json"))) < len(PRESETS) * SEEDS

    def killed():
        worker = worker_on(cluster.head_node)
        if worker:
            worker.kill()
        return worker

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


def test_a_cluster_that_is_nowhere_is_one_line():
    with pytest.raises(InputError, match=r"there is no Ray cluster at 127\.0\.0\.1:1") as error:
        connect("127.0.0.1:1", 1)
    assert "\n" not in str(error.value)


def test_a_machine_with_another_version_refuses_its_slice():
    slice_ = Slice("pendulum", {}, 0, "cpu", 1.0, "0.0.0")
    with pytest.raises(InputError, match=r"the study is driven by 0\.0\.0; install the same on every machine"):
        train_slice(slice_, {})
