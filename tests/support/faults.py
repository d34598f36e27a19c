"""Faults, made on purpose: processes killed, disks filled, directories made read-only, and every write that fails.

``python -m tests.support.faults`` runs the whole series (about ten minutes on one core) and prints the table of the
book's page on faults; ``tests/runs/test_faults.py`` runs a short one.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from tests.support.tiny_runs import TINY

COMMAND = [sys.executable, "-m", "polygrad_edu", "train"]
OPTIONS = TINY | {"checkpoint_every": "10", "final_episodes": "1", "seed": "3"}


def command(run: Path, **changes: object) -> list[str]:
    """The command that a user would type now: to begin, or to go on if there is something to go on from."""
    if (run / "config.json").exists():
        return [*COMMAND, "--resume", str(run)]
    options = OPTIONS | {name: str(value) for name, value in changes.items()}
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    return [*COMMAND, "--out", str(run), *words]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "NO_COLOR": "1"}


def finish(run: Path, limit: int | None = None, **changes: object) -> subprocess.CompletedProcess:
    """Train to the end, perhaps with a ``limit`` on the size of a file."""
    set_limit = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None
    return subprocess.run(
        command(run, **changes), capture_output=True, text=True, env=environment(), preexec_fn=set_limit, timeout=600
    )


def outcome(run: Path) -> dict[str, object]:
    """The files of a finished run, without times: every tensor by its checksum."""
    manifests = [json.loads(path.read_text()) for path in sorted((run / "checkpoint").glob("step-*.json"))]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    shards = sorted(path.name for path in (run / "checkpoint" / "shards").iterdir())
    untimed = {"wall_seconds": 0, "sha256": 0}
    return {
        "checkpoints": [manifest | untimed for manifest in manifests],
        "shards": shards,
        "result": json.loads((run / "result.json").read_text()) | untimed,
        "metrics": [line | untimed for line in lines],
        "config": json.loads((run / "config.json").read_text()),
    }


def check_line(done: subprocess.CompletedProcess) -> str:
    """The one line with which a command failed, or said that only the video is missing; anything else is an error."""
    no_video = next((line for line in done.stdout.splitlines() if line.startswith("There is no video: ")), "")
    if done.returncode == 0 and no_video:
        return no_video
    last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
    if done.returncode != 1 or "Traceback" in done.stderr or not last.startswith("polygrad-edu: "):
        raise AssertionError(f"status {done.returncode}: {done.stderr or done.stdout}")
    return last


def killed_until_done(run: Path, kills: int, seed: int, **changes: object) -> dict[str, int]:
    """Start or resume, kill after a random moment, ``kills`` times over; then let it end. Returns what was met."""
    draw = random.Random(seed)
    met = {"kills": 0, "before the first checkpoint": 0, "in the middle of a write": 0, "while finishing": 0}
    for _ in range(kills):
        process = subprocess.Popen(
            command(run, **changes), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
        )
        if draw.random() < 0.9:  # else while it still loads its libraries and what it goes on from
            process.stdout.readline()  # "Learning ..."
            time.sleep(draw.uniform(0, 1.5))
        else:
            time.sleep(draw.uniform(0, 4))
        if process.poll() is not None:
            output = process.communicate()[0]
            if process.returncode:
                raise AssertionError(f"a run could not go on: {output}")
            continue
        process.send_signal(signal.SIGKILL)
        process.communicate()
        met["kills"] += 1
        met["before the first checkpoint"] += not list(run.glob("checkpoint/step-*.json"))
        met["in the middle of a write"] += any(run.rglob("*.partial*"))
        met["while finishing"] += (run / "result.json").exists()
    done = finish(run, **changes)
    if done.returncode:
        raise AssertionError(f"the run could not be resumed: {done.stderr}")
    return met


@contextlib.contextmanager
def small_disk(directory: Path, size: int) -> Iterator[Callable[[int], None] | None]:
    """A file system of ``size`` bytes, and a function that enlarges it; None where none may be made."""
    directory.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    try:
        yield lambda new: subprocess.run(["mount", "-o", f"remount,size={new}", str(directory)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@contextlib.contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """``directory`` cannot be written to: by its permissions, or for root, whom they do not bind, by a mount."""
    if os.getuid():
        directory.chmod(0o555)
        try:
            yield
        finally:
            directory.chmod(0o755)
        return
    subprocess.run(["mount", "--bind", str(directory), str(directory)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(directory)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


class FailingWrites:
    """From the ``n``-th call on, everything that needs room on the disk fails; the first such write gets half done."""

    def __init__(self, n: int):
        self.n = n
        self.calls = 0

    def __enter__(self) -> FailingWrites:
        self.kept = Path.open, Path.replace, Path.mkdir, os.fsync
        plain_open, replace, mkdir, fsync = self.kept
        Path.replace, Path.mkdir, os.fsync = (self._may_fail(call) for call in (replace, mkdir, fsync))

        def open_counted(path: Path, mode: str = "r", *arguments: object, **options: object):
            file = plain_open(path, mode, *arguments, **options)
            if set(mode) & set("wax"):
                return _Counted(file, self)
            return file

        Path.open = open_counted
        return self

    def __exit__(self, *_: object) -> None:
        Path.open, Path.replace, Path.mkdir, os.fsync = self.kept

    def _may_fail(self, call: Callable) -> Callable:
        def counted(*arguments: object, **options: object):
            self.count()
            return call(*arguments, **options)

        return counted

    def count(self) -> None:
        self.calls += 1
        if self.calls >= self.n:
            raise OSError(errno.ENOSPC, "No space left on device")


class _Counted:
    """A file whose writes are counted."""

    def __init__(self, file, failing: FailingWrites):
        self.file = file
        self.failing = failing

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, content):
        try:
            self.failing.count()
        except OSError:
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            raise
        return self.file.write(content)

    def __getattr__(self, name):
        return getattr(self.file, name)


def every_write_fails(folder: Path, stride: int) -> int:
    """Let the n-th call that needs room fail, for each n (or each ``stride``-th) there is, and go on after it.

    Returns the number of such failures; after the last one a run met none.
    """
    from polygrad_edu.presets import get_preset
    from polygrad_edu.runs import training

    quiet = Console(quiet=True)
    preset = get_preset("inverted-pendulum").with_overrides({k: v for k, v in OPTIONS.items() if k != "seed"})
    make_video, training.make_video = training.make_video, lambda loop, path: None  # ffmpeg writes that, not we

    def begin(run: Path) -> training.Training:
        if (run / "config.json").exists():
            return training.continue_run(run, "cpu", {})
        return training.start_run(run, "inverted-pendulum", preset, 3, "cpu")

    def fails(run: Path, n: int) -> bool:
        """Whether there was an n-th call; then its failure was told in one line."""
        failing = FailingWrites(n)
        try:
            with failing:
                begin(run).run(quiet)
        except OSError as error:
            if re.fullmatch(r"[^\n]*No space left on device[^\n]*", str(error)):
                return True
            raise
        if failing.calls >= n:
            raise AssertionError(f"nobody noticed that call {n} failed")
        return False

    try:
        begin(folder / "whole").run(quiet)
        expected = outcome(folder / "whole")
        n = 1
        failures = 0
        while fails(run := folder / f"failing-{n}", n):
            begin(run).run(quiet)
            assert outcome(run) == expected, f"after call {n} failed the run ended otherwise"
            shutil.rmtree(run)
            failures += 1
            n += stride
    finally:
        training.make_video = make_video
    return failures


def full_disk(run: Path, room: int, expected: dict[str, object], enough: int = 64 * 2**20) -> str:
    """Train with ``room`` bytes of disk until it is full, then go on with more; returns the line that told of it."""
    with small_disk(run.parent, room) as enlarge:
        line = check_line(finish(run, limit=None if enlarge else room))
        if enlarge:
            enlarge(enough)
        done = finish(run)
        assert done.returncode == 0, done.stderr
        assert outcome(run) == expected
    return line


def becomes_read_only(run: Path, expected: dict[str, object]) -> str:
    """The run's directory cannot be written to any more while it trains; afterwards it can."""
    process = subprocess.Popen(
        command(run), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    while process.poll() is None and not list(run.glob("checkpoint/step-*.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)  # what is being written to cannot be made read-only
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    with read_only(run):
        process.send_signal(signal.SIGCONT)
        # a process that has a directory open already sees it as it was; ours opens each file by its whole path
        stdout, stderr = process.communicate(timeout=120)
        line = check_line(subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr))
        check_line(finish(run))  # nor can it be resumed there
    done = finish(run)
    assert done.returncode == 0, done.stderr
    assert outcome(run) == expected
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--disks", type=int, default=5, help="sizes of disk, from hardly any to almost enough")
    parser.add_argument("--stride", type=int, default=1, help="let each so many-th write fail")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    def report(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.kills:
            steps = 60 + 120 * options.kills
            longer = {"env_steps": steps, "checkpoint_every": 4}
            assert finish(folder / "whole", **longer).returncode == 0
            met = killed_until_done(folder / "killed", options.kills, options.seed, **longer)
            same = outcome(folder / "killed") == outcome(folder / "whole")
            report(f"killed: {met}; {steps} steps; the end is {'the same' if same else 'NOT the same'}")
        whole = folder / "short"
        assert finish(whole).returncode == 0
        expected = outcome(whole)
        needed = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())
        for i in range(options.disks):
            room = 4096 * max(1, round(needed * (i + 0.5) / options.disks / 4096))
            report(f"a disk of {room:,} bytes: {full_disk(folder / f'disk{i}' / 'run', room, expected)[:200]}")
        report(f"read-only: {becomes_read_only(folder / 'read-only', expected)}")
        if options.stride:
            report(f"failing writes: {every_write_fails(folder / 'writes', options.stride)}")


if __name__ == "__main__":
    main()
