"""A class of students who hand in everything there is, each with the grade it should get.

``python -m tests.support.synthetic_submissions`` makes a course, hands in, grades unattended with the command line,
and prints the table; it ends with 1 if anybody got another grade. The quick ones run in
``tests/grading/test_grade_all.py``. ``--students 200`` hands in that many times assignment 1: a tenth of it damaged or
hostile, the others honest, with right and wrong answers drawn from the lists of ``tests/grading/mutations``. With
``--assignment 4`` all of them are honest, and of assignment 4.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from polygrad_edu.grading.instructor import new_course, release, shipped_assignments
from tests.grading.mutations.assignment_1 import RIGHT, WRONG
from tests.grading.mutations.half_right import points_kept

A1 = "a1_noise_schedule"
ALL = ("signal", "betas", "add_noise", "posterior_variance", "posterior_mean", "respaced")


@dataclass(frozen=True)
class Case:
    """What one student hands in: answers in place of the right ones, or a file as it is."""

    student: str
    lost: dict[str, str]  # function -> words of the message; all others get their points
    answers: dict[str, str] = field(default_factory=dict)  # function -> what stands in its cell
    kept: dict[str, float] = field(default_factory=dict)  # function -> points for the properties that hold
    make: str = ""  # how the file is made, if not from answers: see Class.hand_in
    quick: bool = False
    assignment: str = A1


def everything(words: str) -> dict[str, str]:
    return dict.fromkeys(ALL, words)


def right(place: int) -> dict[str, str]:
    """A right answer of each function, put differently: the first, second or third of them."""
    return {name: [answer for function, _, answer in RIGHT if function == name][place] for name in ALL}


def mistakes(listed: Sequence[tuple[str, str, str]], number: str, name: str) -> list[tuple[str, str, float]]:
    """Wrong answers of one function, each with the words that it is due and the points that it keeps."""
    of_name = [(answer, words) for function, answer, words in listed if function == name]
    return [(answer, words, points_kept(number, name, place)) for place, (answer, words) in enumerate(of_name)]


def wrong(place: int) -> tuple[dict[str, str], dict[str, str], dict[str, float]]:
    """The words and the answers of one mistake in each function, and the points that they keep."""
    lost, answers, kept = {}, {}, {}
    for name in ALL:
        answers[name], lost[name], kept[name] = mistakes(WRONG, "1", name)[place]
    return lost, answers, kept


def betas(body: str) -> dict[str, str]:
    """An answer cell whose function does something else first, and then what it should."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return {
        "betas": f"def betas(alpha_bar):\n{lines}\n    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)"
    }


REFUSED = "stopped with"  # each wall refuses in words of its own; the tests of the sandbox hold them
FORGED = """
def betas(alpha_bar):
    print("Right.")
    print('polygrad-edu attestation 00 {"nonce": "", "passed": [["a1/betas", 0]], "changed": [], "asleep": []}')
    return alpha_bar
"""
MEMORISED = """
def respaced(betas, visited):
    right = {6: 1, 9: 1, 7: 1, 5: 1}
    left = torch.cumprod(1 - betas, dim=0)[visited]
    before = torch.cat([left.new_ones(1), left[:-1]])
    return 1 - left / before if len(betas) in right else betas[visited]
"""
ALWAYS_EQUAL = """
B = torch.Tensor
class Agreeable(B):
    def detach(self):
        return self
def betas(alpha_bar):
    return alpha_bar[1:].as_subclass(Agreeable)
"""
PATCHED = """
t = torch
t.Tensor.all = lambda *a, **k: torch.tensor(True)
def betas(alpha_bar):
    return torch.full_like(alpha_bar[1:], 0.999)
"""
SWALLOWS = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
GROWS = "rows = []\nwhile True:\n    rows.append(torch.ones(10**7))"
CASES = [
    Case("right", {}, quick=True),
    Case("right-loops", {}, right(0)),
    Case("right-float64", {}, right(1)),
    Case("right-otherwise", {}, right(2)),
    Case("right-no-metadata", {}, make="no metadata"),
    Case("right-tests-deleted", {}, make="tests deleted"),
    Case("right-with-magics", {}, {"signal": "%matplotlib inline\n!pip install nothing\n" + right(0)["signal"]}),
    Case("empty", everything("is empty so far"), make="released"),
    Case(
        "half-right",
        {"add_noise": "should keep variance 1"},
        {"add_noise": wrong(2)[1]["add_noise"]},
        kept={"add_noise": 2},
        quick=True,
    ),
    Case("wrong-all-1", *wrong(1)),
    Case("wrong-all-4", *wrong(4)),
    Case("wrong-last", *wrong(-1)),
    Case("memorised", {"respaced": "On inputs that you have not seen"}, {"respaced": MEMORISED}),
    Case("syntax-error", {"betas": "SyntaxError"}, {"betas": "def betas(alpha_bar)\n    return 1"}),
    Case("recursion", {"betas": "RecursionError"}, betas("return betas(alpha_bar)")),
    Case("broken-json", everything("cannot be read as JSON"), make="broken", quick=True),
    Case("empty-file", everything("the file is empty"), make="nothing"),
    Case("no-notebook", everything("no list of cells"), make="list"),
    Case("picture", everything("cannot be read as JSON"), make="binary"),
    Case("nested-json", everything("cannot be read as JSON"), make="nested"),
    Case("huge-file", everything("MiB"), make="huge"),
    Case("link", everything("a link"), make="link"),
    Case("infinite-loop", {"betas": "had not ended after"}, betas("while True:\n    pass"), quick=True),
    Case("loop-in-cell", {"betas": "had not ended after"}, {"betas": "while True:\n    pass"}),
    Case("loop-unstoppable", {"betas": "stopped"}, betas(SWALLOWS)),
    Case("fork-os", {"betas": "Operation not permitted"}, {"betas": "import os\nwhile True:\n    os.fork()"}),
    Case(
        "fork-workers",
        {"betas": REFUSED},
        betas("list(torch.utils.data.DataLoader([0.0] * 4, num_workers=4))"),
        quick=True,
    ),
    Case("memory-8-gb", {"betas": "can't allocate memory"}, betas("torch.ones(2 * 10**9)"), quick=True),
    Case("memory-grows", {"betas": "can't allocate memory"}, betas(GROWS)),
    Case("crash", {"betas": "it ended its process"}, betas(
        "import numpy as np\nnp.lib.stride_tricks.as_strided(np.zeros(1), (10**9,), (8,)).sum()"
    )),
    Case("print-a-gigabyte", {"betas": "it printed more than"}, betas("for _ in range(10**7):\n    print('x' * 100)")),
    Case("fill-the-disk", {"betas": "it wrote more than"}, betas(
        "import numpy as np\nfor i in range(10**6):\n    np.zeros(7 * 10**6).tofile(str(i))"
    )),
    Case("system-exit", {"betas": "SystemExit"}, betas("raise SystemExit(0)")),
    Case("exit", {"betas": "SystemExit"}, betas("exit()")),
    Case("read-tests", {"betas": REFUSED}, betas("import numpy as np\nnp.fromfile('SOURCE')"), quick=True),
    Case("write-over-tests", {"betas": REFUSED}, betas("import numpy as np\nnp.zeros(9).tofile('SOURCE')")),
    Case("write-over-others", {"betas": REFUSED}, betas("torch.save(alpha_bar, 'OTHERS')")),
    Case("delete-files", {"betas": REFUSED}, {"betas": "import shutil\nshutil.rmtree('/')"}),
    Case("network-socket", {"betas": "Operation not permitted"}, {"betas": "import socket\nsocket.socket()"}),
    Case("network-download", {"betas": "urlopen error"}, betas(
        "torch.hub.download_url_to_file('http://127.0.0.1:9/x', 'x')"
    )),
    Case("package-solution", {"betas": "what this assignment asks you to write"}, {
        "betas": "from polygrad_edu.noise_schedule import NoiseSchedule\ndef betas(a):\n    return a"
    }),
    Case("tests-faked", everything("is empty so far"), make="tests faked"),
    Case("require-redefined", {"betas": "multiplying up"}, {
        "betas": "def require(*a, **k):\n    print('Right.')\n\ndef betas(alpha_bar):\n    return 0.5 * alpha_bar[1:]"
    }),
    Case("checks-replaced", {"betas": "should be a function, not a int"}, {
        "betas": "import polygrad_edu.checks as c\nc.require = print\nbetas = 1"
    }),
    Case("torch-replaced", {"betas": "multiplying up"}, {"betas": PATCHED}, quick=True),
    Case("tensor-agrees", {"betas": "should return a torch tensor, not a Agreeable"}, {"betas": ALWAYS_EQUAL}),
    Case("report-forged", {"betas": "should have the shape"}, {"betas": FORGED}),
    Case("frames-walked", {"betas": "AttributeError"}, betas(
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    e.with_traceback(None).tb_frame.f_back"
    )),
]  # fmt: skip

for other in shipped_assignments()[1:]:  # what everybody hands in, of each of the others
    marks = [cell["metadata"]["nbgrader"] for cell in json.loads(other.read_text(encoding="utf-8"))["cells"]]
    tests = [mark["grade_id"].removeprefix("test_") for mark in marks if mark["grade"]]
    CASES += [
        Case(f"right-{other.stem[:2]}", {}, assignment=other.stem),
        Case(f"empty-{other.stem[:2]}", dict.fromkeys(tests, ""), make="released", assignment=other.stem),
    ]


DAMAGED = ("broken-json", "empty-file", "no-notebook", "picture", "nested-json", "huge-file", "tests-faked")
HOSTILE = ("crash", "system-exit", "exit", "fork-os", "read-tests", "write-over-tests", "network-socket")
HOSTILE += ("memory-8-gb", "print-a-gigabyte", "report-forged", "tensor-agrees", "delete-files", "infinite-loop")

PENDULUM = "pendulum"  # the question of assignment 5 that puts the others together


def many(students: int, number: str = "1", seed: int = 0) -> list[Case]:
    """So many submissions of an assignment; of assignment 1 one in ten is damaged or hostile."""
    draw = random.Random(seed)
    by_name = {case.student: case for case in CASES}
    cases = []
    for place in range(students // 10 if number == "1" else 0):
        kind = (DAMAGED + HOSTILE)[place % 20]
        cases.append(replace(by_name[kind], student=f"{kind}-{place}"))
    return cases + [honest(f"honest-{place}", number, draw) for place in range(students - len(cases))]


def honest(student: str, number: str, draw: random.Random) -> Case:
    """What an honest student hands in: of ten answers seven are right, and the others mistakes that people make."""
    listed = importlib.import_module(f"tests.grading.mutations.assignment_{number}")
    assignment = next(path.stem for path in shipped_assignments() if path.stem.startswith(f"a{number}_"))
    lost, answers, kept = {}, {}, {}
    for name in dict.fromkeys(function for function, _, _ in listed.RIGHT):
        if draw.random() < 0.7:
            answers[name] = draw.choice([answer for function, _, answer in listed.RIGHT if function == name])
            continue
        answers[name], lost[name], kept[name] = draw.choice(mistakes(listed.WRONG, number, name))
    if PENDULUM in answers and {*lost} - {PENDULUM}:
        # It calls the answers before it, and what those lose would be lost again. Its cell brings right ones, so that
        # it is due what its own answer deserves.
        answers[PENDULUM] = listed.ACT + listed.IMPROVE + listed.LOOP + answers[PENDULUM]
    return Case(student, lost, answers, kept=kept, assignment=assignment)


class Meter(threading.Thread):
    """Memory and computing of this process's children, looked at twice a second.

    Attributes:
        peak: the largest sum of their memory, in bytes.
        seconds: that each has computed, by process.
    """

    def __init__(self):
        super().__init__(daemon=True)
        self.peak = 0
        self.seconds = {}
        self.over = threading.Event()

    def run(self):
        own = psutil.Process()
        while not self.over.wait(0.5):
            used = 0
            for process in own.children(recursive=True):
                try:
                    used += process.memory_full_info().uss
                    self.seconds[process.pid, process.create_time()] = sum(process.cpu_times()[:2])
                except psutil.Error:
                    continue
            self.peak = max(self.peak, used)


class Class:
    """A course in a folder, its students' submissions, and their grades."""

    def __init__(self, folder: Path, cases: list[Case]):
        self.course, self.cases = folder / "course", {case.student: case for case in cases}
        new_course(self.course)
        for name in {case.assignment for case in cases}:
            release(self.course, name)
        self.source = self.course / "source" / A1 / f"{A1}.ipynb"
        self.before = self.source.read_bytes()
        for case in cases:
            self.hand_in(case)

    def hand_in(self, case: Case) -> None:
        name = case.assignment
        path = self.course / "submitted" / case.student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        notebook, released = (
            json.loads((self.course / folder / name / f"{name}.ipynb").read_text(encoding="utf-8"))
            for folder in ("source", "release")
        )
        whole = {
            "broken": b'{"cells": [',
            "nothing": b"",
            "list": b"[1, 2]",
            "binary": bytes(range(256)) * 9,
            "nested": b"[" * 10**6,
            "huge": b" " * 11 * 2**20,
        }
        if case.make in whole:
            path.write_bytes(whole[case.make])
        elif case.make == "link":
            path.symlink_to(self.source)
        else:
            if case.make in ("released", "tests faked"):
                notebook = released
            for cell in notebook["cells"]:
                marks = cell["metadata"]["nbgrader"]
                if marks["grade_id"] in case.answers:
                    text = case.answers[marks["grade_id"]].replace("SOURCE", str(self.source))
                    cell["source"] = text.replace("OTHERS", str(path.parent.parent.parent / "right" / A1 / path.name))
                if case.make == "tests faked" and marks["grade"]:
                    cell["source"] = "print('Right.')"
                    marks |= {"points": 1000, "grade": False}
            if case.make == "tests deleted":
                notebook["cells"] = [cell for cell in notebook["cells"] if cell["metadata"]["nbgrader"]["solution"]]
            if case.make == "no metadata":
                for cell in notebook["cells"]:
                    cell["metadata"] = {}
            path.write_text(json.dumps(notebook), encoding="utf-8")

    def grade(self, *options: str) -> list[dict]:
        """Grade with the command line, and hold everybody to the grade they should have."""
        done = subprocess.run(
            [sys.executable, "-m", "polygrad_edu", "course", "grade", "--json", "--course", str(self.course), *options],
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(done.stdout)["graded"]

    def mistakes(self, result: dict) -> list[str]:
        """What is wrong with a grade, in words; nothing if it is the one that was due."""
        case, found = self.cases[result["student"]], []
        lost = case.lost
        for question in result["questions"]:
            name, points = question["name"], question["points"]
            by_hand = points is None and name not in lost  # an answer in words waits for a person
            due = round(case.kept.get(name, 0.0), 2) if name in lost else question["max_points"]
            if not by_hand and points != due:
                found.append(f"{name} got {points}: {question['message']}")
            elif name in lost and lost[name] not in question["message"]:
                found.append(f"{name} was told {question['message']!r}, not {lost[name]!r}")
        if self.source.read_bytes() != self.before:
            found.append("the course's source was changed")
        return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?", help="of the course (default: a temporary one)")
    parser.add_argument("--students", type=int, help="so many submissions of one assignment, not one of each kind")
    parser.add_argument("--assignment", default="1", choices=list("12345"), help="that they are of")
    parser.add_argument("--jobs", default="2", help="submissions at a time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        cases = many(options.students, options.assignment) if options.students else CASES
        students = Class(options.folder or Path(temporary), cases)
        meter = Meter()
        meter.start()
        begin = time.monotonic()
        results = students.grade("--jobs", options.jobs)
        minutes = (time.monotonic() - begin) / 60
        meter.over.set()
        computed = sum(meter.seconds.values()) / 60
        wrong_grades = 0
        print(f"{'student':<20} {'due':>5} {'got':>5} {'s':>5}  remarks")
        for result in results:
            case = students.cases[result["student"]]
            asked = [question for question in result["questions"] if question["points"] is not None]
            due = sum(q["max_points"] for q in asked if q["name"] not in case.lost) + sum(case.kept.values())
            mistakes = students.mistakes(result)
            wrong_grades += bool(mistakes)
            first = next((q["message"] for q in result["questions"] if not q["points"]), "")
            remark = "WRONG: " + "; ".join(mistakes) if mistakes else first[:90]
            print(f"{result['student']:<20} {due:>5g} {result['points']:>5g} {result['seconds'] or 0:>5.0f}  {remark}")
        missing = sorted({*students.cases} - {result["student"] for result in results})
        print(f"without a grade: {', '.join(missing) or 'nobody'}")
        print(f"{wrong_grades} wrong grades; the line for the table in book/how_to/grade.md:")
        handed_in = f"of assignment {options.assignment}" if options.students else "that try everything, below"
        each = 60 * computed / len(results)
        print(
            f"| {len(results)} {handed_in} | {len(psutil.Process().cpu_affinity())} | {options.jobs} | {minutes:.1f} | "
            f"{computed:.1f} minutes of one core: {each:.1f} s each | {meter.peak / 2**30:.1f} GiB at most |"
        )
        sys.exit(bool(wrong_grades or missing))


if __name__ == "__main__":
    main()
