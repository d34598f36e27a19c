"""Trials on a Ray cluster: each is trained in slices of time, anywhere, and comes home after each slice.

A slice is a pure function of a run directory's files: it unpacks them into a directory of its own, trains on from
the last checkpoint, and returns the files that are new. The study's folder, on the machine that drives it, is the
only place where results live. So the cluster needs no common disk, and whatever dies there, a process or a whole
machine, takes with it at most the slice that it was working on; the next one starts from the files that are here.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from .. import __version__
from ..runs.transfer import Files, pack, unpack
from ..settings import Preset
from .trials import Ending, Trial

POLL_SECONDS = 0.5
STARTS = 3
ARRIVAL_SECONDS = 90  # for the files of a slice that is done
OBJECT_STORE_BYTES = 200 * 2**20  # of a cluster that is started here; what does not fit goes to the disk


def import_ray() -> Any:
    """The module ``ray``, with its usage reports off, or a line that says how to get it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # of 40 seconds each, for a cluster that does not answer
    try:
        import ray
    except ImportError:
        raise ValueError('the engine ray needs Ray: pip install "polygrad-edu[ray]"') from None
    return ray


def connect(address: str, jobs: int) -> None:
    """Join the cluster at ``address`` (``auto``: the one that runs here), or start one of ``jobs`` cores if empty.

    The latter listens on this machine's loopback alone, shows no dashboard and ends with this process.

    Raises:
        ValueError: there is no Ray, or no cluster at that address.
    """
    ray = import_ray()
    quiet = {"log_to_driver": False, "logging_level": "error"}
    if not address:
        start_here(ray, jobs, quiet)
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if address != "auto":
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        ray.init(address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it does not answer"
        raise ValueError(
            f"there is no Ray cluster at {address} ({reason}); start one with: ray start --head, "
            "or leave out --address for one on this machine"
        ) from None


def start_here(ray: Any, jobs: int, quiet: dict[str, Any]) -> None:
    """A cluster of this machine alone. Ray gives its parts 15 seconds to start, which a busy machine may not keep."""
    for remaining in reversed(range(STARTS)):
        try:
            ray.init(
                "local", num_cpus=jobs, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address="127.0.0.1", **quiet,
            )  # fmt: skip
            return
        except Exception as error:  # Ray raises no narrower one here
            ray.shutdown()
            if not remaining:
                reason = str(error).splitlines()[0]
                raise OSError(f"Ray did not start in {STARTS} tries: {reason}; is this machine too busy?") from None


def train_slice(
    preset_name: str, settings: dict[str, Any], seed: int, device: str, files: Files, minutes: float, version: str
) -> tuple[Files, str]:
    """Train a run for some minutes in a directory of this machine's own; returns what is new, and what was said.

    Args:
        settings: all of the preset's.
        files: of the run so far; none if it begins.
        version: of the package on the machine that drives the study.
    """
    from ..runs.training import continue_run, start_run

    if version != __version__:
        raise ValueError(
            f"{socket.gethostname()} has polygrad-edu {__version__}, the study is driven by {version}; "
            "install the same on every machine"
        )
    torch.set_num_threads(1)
    said = io.StringIO()
    said.write(f"On {socket.gethostname()}, Ray node {import_ray().get_runtime_context().get_node_id()}:\n")
    with tempfile.TemporaryDirectory(prefix="polygrad-edu-") as scratch:
        run = Path(scratch) / "run"
        if files:
            unpack(run, files)
            training = continue_run(run, device, {})
        else:
            training = start_run(run, preset_name, Preset.from_json(settings), seed, device)
        training.run(Console(file=said, width=120), minutes)
        return pack(run, files), said.getvalue().replace(str(run), "this trial")


class RayCluster:
    """Trains trials on the cluster that was joined by :func:`connect`, each on one core.

    Args:
        jobs: trials at a time; 0: as many as the cluster has room for, as machines come and go.
        minutes: length of a slice.
        log: file for what Ray itself says, which it would print to the standard output.
        gpus: that each trial asks for; may be a part of one.
    """

    def __init__(self, jobs: int, minutes: float, log: Path, gpus: float = 0.0):
        self.ray = import_ray()
        self.redirected = contextlib.ExitStack()
        file = self.redirected.enter_context(log.open("a", encoding="utf-8"))
        self.redirected.enter_context(contextlib.redirect_stdout(file))
        self.jobs, self.minutes, self.gpus = jobs, minutes, gpus
        # the study itself goes on from what is here, and tells; Ray need not try again
        self.train = self.ray.remote(train_slice).options(num_cpus=1, num_gpus=gpus, max_retries=0, num_returns=1)
        self.running: dict[Any, Trial] = {}

    def slots(self) -> int:
        if self.jobs:
            return self.jobs
        room = self.ray.cluster_resources()
        places = room.get("CPU", 0.0)
        return max(1, int(min(places, room.get("GPU", 0.0) / self.gpus) if self.gpus else places))

    def start(self, trial: Trial) -> None:
        trial.forget_an_early_end()
        files = pack(trial.directory) if trial.has_checkpoint else {}
        settings = trial.preset.to_json()
        slice_ = self.train.remote(
            trial.preset_name, settings, trial.seed, trial.device, files, self.minutes, __version__
        )
        self.running[slice_] = trial

    def ended(self) -> list[tuple[Trial, Ending]]:
        # done anywhere in the cluster: what was done on a machine that died meanwhile would never arrive
        ready, _ = self.ray.wait(list(self.running), num_returns=1, timeout=POLL_SECONDS, fetch_local=False)
        return [(trial, self._ending(slice_, trial)) for slice_ in ready if (trial := self.running.pop(slice_))]

    def _ending(self, slice_: Any, trial: Trial) -> Ending:
        exceptions = self.ray.exceptions
        try:
            files, said = self.ray.get(slice_, timeout=ARRIVAL_SECONDS)
        except exceptions.RayTaskError as error:  # the run's own
            return Ending("failed", " ".join(str(error.cause).split()) or type(error.cause).__name__)
        except (exceptions.NodeDiedError, exceptions.ObjectLostError):  # before the slice ended, or just after
            return Ending("lost", "its machine is gone")
        except exceptions.WorkerCrashedError:
            return Ending("lost", "its process was killed")
        except exceptions.RayError as error:
            return Ending("lost", f"{type(error).__name__}: {str(error).splitlines()[0]}")
        unpack(trial.directory, files)
        with trial.log.open("a", encoding="utf-8") as log:
            log.write(said)
        return Ending("finished" if trial.finished else "paused")

    def stop(self) -> None:
        """Leaving the cluster ends this study's slices on it."""
        self.ray.shutdown()
        self.redirected.close()
