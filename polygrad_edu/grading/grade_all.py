"""A folder of submissions, graded unattended: each in a process of its own, what is known already not again.

What comes out lies in the course's ``graded/STUDENT/ASSIGNMENT/``: ``result.json`` and the notebook as it was run. A
submission that brings its process down gets no points and a reason; the others never hear of it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import __version__
from . import sandbox
from .grade_one import failed, totals, write_json
from .instructor import assignments_of
from .run_notebook import ALL_SECONDS
from .submissions import LARGEST, Submission, find_submissions, unpack

GRACE = 600  # seconds that a process gets beyond the time of its cells: the last one ends, kernels start


class Graded(dict[str, Any]):
    """What ``result.json`` holds: ``student, assignment, status, reason, points, most, by_hand, questions, notes``."""


def grade(
    course: Path,
    submissions: Path,
    only: str | None = None,
    jobs: int = 2,
    cell_seconds: int = 60,
    tell: Callable[[int, int, Graded | None], None] = lambda done, total, result: None,
) -> tuple[list[Graded], list[Path]]:
    """Grade everything handed in.

    Args:
        course: an instructor's course folder.
        submissions: a folder as a platform makes it, or its .zip; :func:`.submissions.find_submissions` says which.
        only: the assignment that all of it belongs to, where the files do not say.
        jobs: processes at a time.
        cell_seconds: how long one cell may compute.
        tell: called with how many are done, of how many, and the newest result (``None`` at the beginning).

    Returns:
        The results by student and assignment, and the files that belong to no assignment.

    Raises:
        ValueError: there is no such course, assignment or folder, or nothing in it.
    """
    if os.name != "posix":
        raise ValueError("grading needs Linux, which can lock a submission in; on Windows use its Linux subsystem")
    sources = assignments_of(course)
    if only is not None and only not in sources:
        raise ValueError(f"there is no assignment {only!r}; there are {', '.join(sources)}")
    with tempfile.TemporaryDirectory(prefix="submissions-") as name:
        if submissions.suffix == ".zip" and submissions.is_file():
            unpack(submissions, Path(name))
            submissions = Path(name)
        if not submissions.is_dir():
            raise ValueError(f"{submissions} is neither a folder of submissions nor a .zip file of them")
        found, unplaced = find_submissions(submissions, sources, only)
        if not found:
            raise ValueError(
                f"{submissions} holds no notebook that belongs to {', '.join(sources)}; if they do not say which, use "
                "--assignment NAME"
            )
        return _grade_all(course, sources, found, jobs, cell_seconds, tell), unplaced


def _grade_all(
    course: Path,
    sources: dict[str, Path],
    found: list[Submission],
    jobs: int,
    cell_seconds: int,
    tell: Callable[[int, int, Graded | None], None],
) -> list[Graded]:
    namespaces = sandbox.namespaces()
    without = [f"This machine could not promise: {what}." for what, holds in sandbox.protections().items() if not holds]
    results: dict[Submission, Graded] = {}
    processes: set[subprocess.Popen[bytes]] = set()
    tell(0, len(found), None)

    def one(submission: Submission) -> Graded:
        folder = course / "graded" / submission.student / submission.assignment
        source = sources[submission.assignment]
        digest = _digest(submission.path, source)
        with contextlib.suppress(OSError, ValueError):
            known = Graded(json.loads((folder / "result.json").read_text(encoding="utf-8")))
            if known.get("digest") == digest and known.get("status") != "stopped":
                return known
        job = {"source": str(source), "submission": str(submission.path), "folder": str(folder)}
        job |= {"namespaces": namespaces, "cell_seconds": cell_seconds}
        result = _in_a_process(job, source, folder, processes)
        result |= {"student": submission.student, "assignment": submission.assignment, "digest": digest}
        result["notes"] += without
        write_json(folder / "result.json", result)
        return result

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(one, submission): submission for submission in found}
        try:
            for done, future in enumerate(concurrent.futures.as_completed(running), start=1):
                results[running[future]] = future.result()
                tell(done, len(found), future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(processes):
                process.kill()
            raise
    return [results[submission] for submission in found]


def _in_a_process(job: dict[str, Any], source: Path, folder: Path, processes: set[subprocess.Popen[bytes]]) -> Graded:
    """The result that a process of its own came to, or of its coming to none."""
    result_file = folder / "result.json"
    result_file.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="job-") as name:
        path = Path(name) / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.grade_one", str(path)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        processes.add(process)
        try:
            _, said = process.communicate(timeout=ALL_SECONDS + GRACE)
            reason = f"the grader stopped ({_last(said)})"
        except subprocess.TimeoutExpired:
            reason = "it had not ended when its time was over"
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            processes.discard(process)
    try:
        return Graded(json.loads(result_file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
        result = failed([cell for cell in cells if cell["metadata"]["nbgrader"]["grade"]], "stopped",
                        f"No points, because {reason}.")  # fmt: skip
        return Graded(result | totals(result["questions"]) | {"seconds": None})


def _last(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "it does not say why"


def _digest(submission: Path, source: Path) -> str:
    """Changes when the work, the tests or the grader do."""
    ordinary = submission.is_file() and not submission.is_symlink() and submission.stat().st_size <= LARGEST
    work = submission.read_bytes() if ordinary else b"not a notebook"
    return hashlib.sha256(work + source.read_bytes() + __version__.encode()).hexdigest()


def read_results(course: Path) -> list[Graded]:
    """All results of a course so far, by student and assignment.

    Raises:
        ValueError: nothing has been graded yet.
    """
    files = sorted(course.glob("graded/*/*/result.json"))
    if not files:
        raise ValueError(f"nothing has been graded in {course} yet; course grade SUBMISSIONS does that")
    return [Graded(json.loads(path.read_text(encoding="utf-8"))) for path in files]
