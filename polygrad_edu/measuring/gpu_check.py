"""The GPU check: all that needs a GPU in one command, for a machine that is there for some minutes only.

``python -m polygrad_edu.measuring.gpu_check --minutes 10`` runs the parts of :mod:`polygrad_edu.measuring.gpu_parts`
one after the other. Each is a process of its own with a limit of its own, so neither a crash nor a hang of one ends the
others. Everything lies in one folder, and the report in it is written anew after each part: a run that is cut off
leaves what it had. Nothing is fetched, and the package need not be installed; a source tree is enough.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ..files.input_error import InputError
from .gpu_report import markdown

ROOT = Path(__file__).parents[2]  # of the source tree; only the processes started here need to know it
SHORTEST = 5.0  # seconds below which a part is not begun
START = 6.0  # of a part's seconds that go before it can measure: Python, torch, the device


class Part(NamedTuple):
    """A part of the check.

    Attributes:
        share: of the whole time, what it may take at most; what it leaves goes to those after it.
    """

    name: str
    about: str
    share: float


# The slice stands last and may take all that is left: two fifths of the time at least.
PARTS = (
    Part("machine", "device, driver and versions", 0.05),
    Part("tests", "the tests that need a GPU", 0.2),
    Part("graphs", "eager against recorded graphs: same numbers, and how fast", 0.15),
    Part("bench", "bench hopper, and its share of the matmul peak", 0.2),
    Part("slice", "a slice of full-size Hopper, resumed once", 1.0),
)


def part_command(name: str, folder: Path, limit: float, dry_run: bool) -> list[str]:
    """The command line of a part that is stopped after ``limit`` seconds."""
    command = [sys.executable, "-m", "polygrad_edu.measuring.gpu_parts", name]
    command += ["--folder", str(folder), "--seconds", f"{max(limit - START, 1.0):.1f}"]
    return [*command, "--dry-run"] if dry_run else command


def check(folder: Path, minutes: float, dry_run: bool = False, parts: Sequence[Part] = PARTS) -> dict[str, Any]:
    """Run the parts in order within ``minutes`` and keep ``folder``'s report; returns what gpu_check.json holds."""
    from ..files.safe_files import write_json, write_whole

    begin = time.monotonic()
    whole = 60 * minutes
    report: dict[str, Any] = {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "minutes": minutes,
        "dry_run": dry_run,
        "finished": False,
        "parts": [],
    }
    for part in parts:
        left = whole - (time.monotonic() - begin)
        limit = min(part.share * whole, left)
        print(f"{part.name}: {part.about}; at most {max(limit, 0):.0f} s", flush=True)
        entry = {"name": part.name, "about": part.about, "limit_seconds": round(max(limit, 0.0), 1)}
        if limit < SHORTEST:
            entry |= {"status": "no time", "seconds": 0.0, "said": "no time was left for it", "result": {}}
        else:
            entry |= run_part(part_command(part.name, folder, limit, dry_run), folder, part.name, limit)
        report["parts"].append(entry)
        report["finished"] = len(report["parts"]) == len(parts)
        write_json(folder / "gpu_check.json", report)
        write_whole(folder / "gpu_check.md", markdown(report).encode())
        print(f"{part.name}: {entry['status']} in {entry['seconds']:.0f} s. {entry['said']}".rstrip(), flush=True)
    return report


def run_part(command: list[str], folder: Path, name: str, limit: float) -> dict[str, Any]:
    """Run one part as a process of its own, with NAME.log in ``folder``; it and what it started end with its limit.

    Returns:
        Its ``status`` (``ran``, ``failed`` or ``stopped``), ``seconds``, ``exit_status``, the last line that it
        ``said`` if it did not run through, and the ``result`` that it had written so far.
    """
    from ..files.safe_files import read_json

    log, written = folder / f"{name}.log", folder / f"{name}.json"
    # absolute, for a part may work in another directory
    given = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    paths = [str(ROOT), *given]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    begin = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
        )
        try:
            exit_status: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            exit_status = None
        finally:  # also after an interrupt; and what a part leaves behind would disturb the next one's times
            kill_group(process)
    status = "stopped" if exit_status is None else "failed" if exit_status else "ran"
    said = {"stopped": f"stopped after its {limit:.0f} s", "ran": "", "failed": last_line(log)}[status]
    try:
        result = read_json(written) if written.exists() else {}
    except InputError as error:
        status, said, result = "failed", str(error), {}
    seconds = round(time.monotonic() - begin, 1)
    return {"status": status, "seconds": seconds, "exit_status": exit_status, "said": said, "result": result}


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, and wait for it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it said nothing")


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are an :class:`InputError`."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (--help tells more)")


HELP = """\
On a machine with a GPU, runs in order, each part within its share of the time:

  machine   device, driver and versions
  tests     the tests that need a GPU (where pytest and the folder tests are)
  graphs    eager against recorded graphs: are the numbers the same, how fast is each
  bench     bench hopper at full size, as a share of this machine's matmul peak
  slice     a slice of full-size Hopper, which is stopped and resumed

One part's failure does not end the others. Read FOLDER/gpu_check.md afterwards;
gpu_check.json holds the same for programs, NAME.log what each part said.
Training goes on with: python -m polygrad_edu train --resume FOLDER/hopper
"""
ENDINGS = """\
exit status: 0 every part ran, 1 a part failed (the last line names it), 2 bad input
"""


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m polygrad_edu.measuring.gpu_check",
        description=HELP,
        epilog=ENDINGS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="for everything (default: 10); less than 3 is short"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs") / "gpu-check", metavar="FOLDER", help="to make (runs/gpu-check)"
    )
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, at toy size: half a minute")
    return parser.parse_args(arguments)


def _checked(chosen: argparse.Namespace) -> Path:
    """The folder, made; judges the arguments and the machine.

    Raises:
        InputError: the minutes make no sense, the folder is taken, or there is no GPU.
    """
    if not 0 < chosen.minutes < 60 * 24 * 7:
        raise InputError(f"--minutes must be above 0 and at most a week, not {chosen.minutes:g}")
    folder: Path = chosen.out.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{chosen.out} is there already; choose another --out")
    import torch

    if not chosen.dry_run and not torch.cuda.is_available():
        raise InputError("torch sees no GPU here; --dry-run runs every part on the CPU, at toy size")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{chosen.out} cannot be made: {error.strerror}") from None
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; returns the exit status: 0 every part ran, 1 a part failed, 2 bad input."""
    try:
        chosen = _parsed(arguments)
        folder = _checked(chosen)
    except InputError as error:
        print(f"gpu_check: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    # ends through the same door as an interrupt, so that no part is left running
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        report = check(folder, chosen.minutes, chosen.dry_run)
    except KeyboardInterrupt:
        print(f"Interrupted; what was measured lies in {chosen.out}.")
        return 130
    failed = [entry["name"] for entry in report["parts"] if entry["status"] != "ran"]
    told = f"{', '.join(failed)} did not run through" if failed else "Every part ran"
    print(f"{told}; the report is {chosen.out / 'gpu_check.md'}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
