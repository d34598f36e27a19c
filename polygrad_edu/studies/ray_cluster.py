"""Trials on a Ray cluster: each is trained in slices of time on any machine, and sent back after each slice.

A slice is a pure function of a run directory's files: it unpacks them into a directory of its own, trains on from
the last checkpoint, and returns the files that are new. Results are kept in one place only, the study's folder on the
machine that drives it. So the cluster needs no common disk, and when a process or a whole machine dies there, at most
the slice that it was working on is lost; the next one starts from the files in the study's folder.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from .. import __version__
from ..files.input_error import InputError
from ..runs.lock import RunLock
from ..runs.transfer import Files, pack, unpack
from ..settings import Preset
from .trials import Ending, Trial

POLL_SECONDS = 0.5
STARTS = 3  # tries to start a cluster
ARRIVAL_SECONDS = 90  # for the files of a slice that is done
OBJECT_STORE_BYTES = 200 * 2**20  # of a cluster that is started here; the rest goes to the disk


def import_ray() -> Any:
    """Import the module ``ray``, with its usage reports off.

    Raises:
        InputError: it is not installed; the message says how to get it.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # of 40 seconds each, for a cluster that does not answer
    try:
        import ray
    except ImportError:
        raise InputError('the engine ray needs Ray: pip install "polygrad-edu[ray]"') from None
    return ray


def connect(address: str, jobs: int) -> None:
    """Join the cluster at ``address`` (``auto``: the one that runs here); if it is empty, start one of ``jobs`` cores.

    The latter listens only on this machine's loopback, shows no dashboard and ends with this process.

    Raises:
        InputError: there is no Ray, or no cluster at that address.
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
        raise InputError(
            f"there is no Ray cluster at {address} ({reason}); start one with: ray start --head, "
            "or leave out --address for one on this machine"
        ) from None


def start_here(ray: Any, jobs: int, quiet: dict[str, Any]) -> None:
    """Start a cluster of this machine alone.

    Ray gives its parts 15 seconds to start, which may be too short on a busy machine, so it is tried again.
    """
    for remaining in reversed(range(STARTS)):
        try:
            ray.init(
                "local",
                num_cpus=jobs,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
            return
        except Exception as error:  # Ray raises no narrower one here
            ray.shutdown()
            if not remaining:
                reason = str(error).splitlines()[0]
                raise OSError(f"Ray did not start in {STARTS} tries: {reason}; is this machine too busy?") from None


@dataclass(frozen=True)
class Slice:
    """A slice of time in a run.

    Attributes:
        settings: all of the preset's.
        minutes: its length.
        version: of the package on the machine that drives the study.
    """

    preset_name: str
    settings: dict[str, Any]
    seed: int
    device: str
    minutes: float
    version: str


def train_slice(slice_: Slice, files: Files) -> tuple[Files, str]:
    """Train a slice in a directory of this machine's own; returns the files that are new, and the output.

    Args:
        files: of the run so far; none if it begins.
    """
    from ..runs.training import continue_run, start_run

    if slice_.version != __version__:
        raise InputError(
            f"{socket.gethostname()} has polygrad-edu {__version__}, the study is driven by {slice_.version}; "
            "install the same on every machine"
        )
    torch.set_num_threads(1)
    output = io.StringIO()
    output.write(f"On {socket.gethostname()}, Ray node {import_ray().get_runtime_context().get_node_id()}:\n")
    with tempfile.TemporaryDirectory(prefix="polygrad-edu-") as scratch:
        run = Path(scratch) / "run"
        if files:
            unpack(run, files)
            training = continue_run(run, slice_.device, {})
        else:
            preset = Preset.from_json(slice_.settings)
            training = start_run(run, slice_.preset_name, preset, slice_.seed, slice_.device)
        training.run(Console(file=output, width=120), slice_.minutes)
        return pack(run, files), output.getvalue().replace(str(run), "this trial")


class RayCluster:
    """Engine that trains on the cluster that was joined by :func:`connect`, each trial on one core.

    A trial's run directory is locked here while a slice of it is trained elsewhere.

    Args:
        jobs: trials at a time; 0: as many as the cluster has room for, as machines come and go.
        minutes: length of a slice.
        log: file for Ray's own output, which it would print to the standard output.
        gpus: for each trial; may be a part of one.
    """

    def __init__(self, jobs: int, minutes: float, log: Path, gpus: float = 0.0):
        self.ray = import_ray()
        self.redirected = contextlib.ExitStack()
        file = self.redirected.enter_context(log.open("a", encoding="utf-8"))
        self.redirected.enter_context(contextlib.redirect_stdout(file))
        self.jobs = jobs
        self.minutes = minutes
        self.gpus = gpus
        # the study itself goes on from the files that are here, and says so; Ray need not try again
        self.train = self.ray.remote(train_slice).options(num_cpus=1, num_gpus=gpus, max_retries=0, num_returns=1)
        self.running: dict[Any, Trial] = {}
        self.locks: dict[str, RunLock] = {}

    def slots(self) -> int:
        if self.jobs:
            return self.jobs
        room = self.ray.cluster_resources()
        places = room.get("CPU", 0.0)
        return max(1, int(min(places, room.get("GPU", 0.0) / self.gpus) if self.gpus else places))

    def start(self, trial: Trial) -> None:
        trial.forget_an_early_end()
        trial.directory.mkdir(parents=True, exist_ok=True)
        self.locks[trial.name] = RunLock(trial.directory)
        files = pack(trial.directory) if trial.has_checkpoint else {}
        slice_ = Slice(trial.preset_name, trial.preset.to_json(), trial.seed, trial.device, self.minutes, __version__)
        self.running[self.train.remote(slice_, files)] = trial

    def ended(self) -> list[tuple[Trial, Ending]]:
        # ready anywhere in the cluster: the files of a machine that has died meanwhile would never arrive
        ready, _ = self.ray.wait(list(self.running), num_returns=1, timeout=POLL_SECONDS, fetch_local=False)
        return [(trial, self._released(future, trial)) for future in ready if (trial := self.running.pop(future))]

    def _released(self, future: Any, trial: Trial) -> Ending:
        """The ending of a slice, with its files in their place and the run unlocked."""
        with self.locks.pop(trial.name):
            return self._ending(future, trial)

    def _ending(self, future: Any, trial: Trial) -> Ending:
        exceptions = self.ray.exceptions
        try:
            files, output = self.ray.get(future, timeout=ARRIVAL_SECONDS)
        except exceptions.RayTaskError as error:  # raised by the run itself
            return Ending("failed", " ".join(str(error.cause).split()) or type(error.cause).__name__)
        except (exceptions.NodeDiedError, exceptions.ObjectLostError):  # before the slice ended, or just after
            return Ending("lost", "its machine is gone")
        except exceptions.WorkerCrashedError:
            return Ending("lost", "its process was killed")
        except exceptions.RayError as error:
            return Ending("lost", f"{type(error).__name__}: {str(error).splitlines()[0]}")
        unpack(trial.directory, files)
        with trial.log.open("a", encoding="utf-8") as log:
            log.write(output)
        return Ending("finished" if trial.finished else "paused")

    def stop(self) -> None:
        """Leave the cluster, which ends this study's slices on it."""
        self.ray.shutdown()
        for lock in self.locks.values():
            lock.release()
        self.redirected.close()
