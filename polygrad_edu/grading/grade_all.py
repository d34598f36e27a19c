"""Unattended grading of a folder of submissions, each in a process of its own; known results are reused.

The results are written to the course's ``graded/STUDENT/ASSIGNMENT/``: ``result.json`` and the notebook as it was run.
A submission that crashes its process gets no points and a reason; the others are not affected.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..files.input_error import InputError
from ..files.progress import OnProgress, tell_nobody
from ..files.safe_files import write_json
from . import sandbox
from .archives import LeftOut, unpack
from .grade_one import failed, totals
from .instructor import assignments_of
from .intake import Submission, find_submissions
from .names import file_name
from .question_cells import check_tests
from .roster import keep_roster, known_roster
from .run_notebook import ALL_SECONDS
from .submissions import MAX_NOTEBOOK_BYTES

LEFT_OUT = "left_out.json"  # in graded/, of the last grading
GRACE_SECONDS = 600  # for a process beyond the time of its cells: the last cell ends, kernels start
AGAIN = "So it was the second time, with no other submission beside it; a person should look at this."

SECONDS = {"a1": 9, "a2": 25, "a3": 20, "a4": 15, "a5": 150, "a6": 16}  # that right work takes on one core


class Graded(dict[str, Any]):
    """Content of ``result.json``.

    Keys: ``student``, ``assignment``, ``status``, ``reason``, ``points``, ``max_points``, ``by_hand``, ``questions``,
    ``notes``, ``late``, ``seconds`` and ``digest``. The status is graded, unreadable, or stopped: by the clock, or with
    the grader's process.
    """


def grade(
    course: Path,
    submissions: Path,
    only: str | None = None,
    jobs: int = 2,
    cell_seconds: int = 60,
    without_walls: bool = False,
    roster: Path | None = None,
    regrade: bool = False,
    on_progress: OnProgress = tell_nobody,
) -> tuple[list[Graded], list[LeftOut]]:
    """Grade all submissions of a folder.

    Args:
        course: an instructor's course folder.
        submissions: a platform's folder or .zip file, see :func:`.intake.find_submissions`.
        only: the assignment that all submissions belong to, if the files do not say.
        jobs: number of processes at a time.
        cell_seconds: time limit of one cell.
        without_walls: grade even where a wall of the sandbox is missing.
        roster: table of the students, which is kept in the course; by default the one that was kept before.
        regrade: grade also what is graded and unchanged.
        on_progress: called before the first submission and after each one, with the student graded (before the first:
            a rough time), how many are done, and of how many.

    Returns:
        The results by student and assignment, and the files that were left out, each with its reason.

    Raises:
        InputError: there is no such course, assignment or folder, or no submission in it; or a wall is missing.
    """
    if os.name != "posix":
        raise InputError("grading needs Linux, which can lock a submission in; on Windows use its Linux subsystem")
    missing = sandbox.missing_walls()
    if missing and not without_walls:
        raise InputError(
            f"this machine has no wall {'; and none '.join(missing)}. Grade on a Linux that has them, or, if you trust "
            "everything that was handed in, with --without-walls"
        )
    sources = assignments_of(course)
    if only is not None and only not in sources:
        raise InputError(f"there is no assignment {only!r}; there are {', '.join(sources)}")
    check_tests(sources)
    students = keep_roster(roster, course) if roster else known_roster(course)
    left_out: list[LeftOut] = []
    with tempfile.TemporaryDirectory(prefix="submissions-") as name:
        if submissions.suffix.lower() == ".zip" and submissions.is_file():
            left_out += unpack(submissions, Path(name))
            submissions = Path(name)
        if not submissions.is_dir():
            raise InputError(f"{submissions} is neither a folder of submissions nor a .zip file of them")
        found, others = find_submissions(submissions, sources, only, students)
        left_out += others
        if not found:
            why = "".join(f"; {path}: {reason}" for path, reason in left_out[:3])
            raise InputError(f"there is no notebook that belongs to {', '.join(sources)}{why}")
        (course / "graded").mkdir(exist_ok=True)
        write_json(course / "graded" / LEFT_OUT, left_out)
        return _grade_all(course, sources, found, jobs, cell_seconds, regrade, on_progress), left_out


def _grade_all(
    course: Path,
    sources: dict[str, Path],
    found: list[Submission],
    jobs: int,
    cell_seconds: int,
    regrade: bool,
    on_progress: OnProgress,
) -> list[Graded]:
    """Grade the submissions in ``jobs`` processes at a time; results in the order of ``found``.

    Those that were stopped are graded once more at the end, one at a time: the machine may have had too much to do.
    """
    grader = _Grader(course, sources, cell_seconds)
    results: dict[Submission, Graded] = {}
    on_progress(f"about {max(1, round(estimate_minutes(found, jobs)))} minutes", 0, len(found))

    def grade_one(submission: Submission) -> Graded:
        return (None if regrade else grader.known(submission)) or grader.grade(submission)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(grade_one, submission): submission for submission in found}
        try:
            for done, future in enumerate(concurrent.futures.as_completed(running), start=1):
                submission = running[future]
                results[submission] = future.result()
                on_progress(submission.student, done, len(found))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(grader.processes):
                process.kill()
            raise
    for submission in [submission for submission in found if results[submission]["status"] == "stopped"]:
        results[submission] = grader.grade_again(submission, results[submission])
        on_progress(f"{submission.student} once more, alone", len(found), len(found))
    return [results[submission] for submission in found]


class _Grader:
    """One grading of a course: its limits, and the processes at work."""

    def __init__(self, course: Path, sources: dict[str, Path], cell_seconds: int):
        self.course = course
        self.sources = sources
        self.cell_seconds = cell_seconds
        self.namespaces = sandbox.namespaces()
        self.processes: set[subprocess.Popen[bytes]] = set()

    def _folder(self, submission: Submission) -> Path:
        return self.course / "graded" / file_name(submission.student) / submission.assignment

    def known(self, submission: Submission) -> Graded | None:
        """Result of an earlier grading, if it still holds."""
        with contextlib.suppress(OSError, ValueError):
            result = Graded(json.loads((self._folder(submission) / "result.json").read_text(encoding="utf-8")))
            digest = _digest(submission.path, self.sources[submission.assignment])
            if result.get("digest") == digest and result.get("status") != "stopped":
                return result
        return None

    def grade(self, submission: Submission) -> Graded:
        """Grade a submission and keep its result."""
        source = self.sources[submission.assignment]
        digest = _digest(submission.path, source)
        job = {
            "source": str(source),
            "submission": str(submission.path),
            "folder": str(self._folder(submission)),
            "namespaces": self.namespaces,
            "cell_seconds": self.cell_seconds,
        }
        result = _in_a_process(job, source, self.processes)
        result |= {"student": submission.student, "assignment": submission.assignment, "digest": digest}
        return self._keep(submission, Graded(result | {"late": submission.late}))

    def grade_again(self, submission: Submission, first: Graded) -> Graded:
        """Grade what was stopped a second time; of two times that it was stopped the better one counts."""
        second = self.grade(submission)
        if second["status"] != "stopped":
            return second
        better = max(first, second, key=lambda result: result["points"])
        return self._keep(submission, Graded(better | {"reason": f"{better['reason']} {AGAIN}"}))

    def _keep(self, submission: Submission, result: Graded) -> Graded:
        folder = self._folder(submission)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "result.json", result)
        return result


def estimate_minutes(found: Iterable[Submission], jobs: int) -> float:
    """Rough time that grading takes, on an idle machine."""
    return sum(SECONDS.get(each.assignment.split("_")[0], 30) for each in found) / min(jobs, os.cpu_count() or 1) / 60


def _in_a_process(job: dict[str, Any], source: Path, processes: set[subprocess.Popen[bytes]]) -> Graded:
    """Result of ``grade_one.py`` in a process of its own, or a result without points if it printed none."""
    printed = b""
    with tempfile.TemporaryDirectory(prefix="job-") as name:
        path = Path(name) / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        theirs, ours = os.pipe()  # nothing is ever written: it ends with this process, and then the other one ends, too
        process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.grade_one", str(path)],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        os.close(theirs)
        processes.add(process)
        try:
            printed, errors = process.communicate(timeout=ALL_SECONDS + GRACE_SECONDS)
            reason = f"the grader stopped ({_last_line(errors)})"
        except subprocess.TimeoutExpired:
            reason = "it had not ended when its time was over"
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            processes.discard(process)
            os.close(ours)
    try:
        return Graded(json.loads(printed))
    except ValueError:
        cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
        tests = [cell for cell in cells if cell["metadata"]["nbgrader"]["grade"]]
        result = failed(tests, "stopped", f"No points, because {reason}.")
        return Graded(result | totals(result["questions"]) | {"seconds": None})


def _last_line(errors: bytes) -> str:
    """Last line that a process wrote to stderr, shortened."""
    lines = errors.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "it does not say why"


def _digest(submission: Path, source: Path) -> str:
    """Hash of the submission, the tests, their checks and the grader; a known result with this hash is still valid."""
    ordinary = submission.is_file() and not submission.is_symlink() and submission.stat().st_size <= MAX_NOTEBOOK_BYTES
    work = submission.read_bytes() if ordinary else b"not a notebook"
    return hashlib.sha256(work + source.read_bytes() + _own_code()).hexdigest()


@functools.cache
def _own_code() -> bytes:
    """Hash of the files that decide on points: after a change of a check all is graded again."""
    package = Path(__file__).parent.parent
    files = [*sorted(package.glob("checks/*.py")), *sorted(package.glob("grading/*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).digest()


def read_results(course: Path) -> list[Graded]:
    """Read all results of a course so far, by student and assignment.

    Raises:
        InputError: nothing has been graded yet.
    """
    files = sorted(course.glob("graded/*/*/result.json"))
    if not files:
        raise InputError(f"nothing has been graded in {course} yet; course grade SUBMISSIONS does that")
    results: list[Graded] = []
    for path in files:
        try:
            results.append(Graded(json.loads(path.read_text(encoding="utf-8"))))
        except ValueError:
            raise InputError(f"{path} is damaged; delete it and run course grade again") from None
    return results


def read_left_out(course: Path) -> list[LeftOut]:
    """Files that the last grading left out."""
    path = course / "graded" / LEFT_OUT
    return [LeftOut(*pair) for pair in json.loads(path.read_text(encoding="utf-8"))] if path.is_file() else []
