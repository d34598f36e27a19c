"""A class that tries everything, graded unattended with the command line, and reported."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import torch

from polygrad_edu.cli.main import main
from polygrad_edu.files.input_error import InputError
from polygrad_edu.grading import grade_all
from polygrad_edu.grading.grade_all import _in_a_process, grade, read_results
from tests.support.assignments import SOURCES
from tests.support.processes import are_gone, descendants
from tests.support.synthetic_submissions import A1, CASES, Class, many

SECONDS = 5  # that a cell may compute
ONLY_BETAS = ("setup", "betas", "test_betas")


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    students = Class(tmp_path_factory.mktemp("class"), [case for case in CASES if case.quick])
    return students, students.grade("--cell-seconds", str(SECONDS))


@pytest.mark.parametrize("student", [case.student for case in CASES if case.quick])
def test_everybody_gets_the_grade_that_is_due(graded, student):
    students, results = graded
    (result,) = [result for result in results if result["student"] == student]
    assert students.mistakes(result) == []
    assert result["max_points"] == 20


def test_a_pendulum_is_due_its_points_whatever_was_lost_before_it():
    mistaken = [case for case in many(40, "5") if {*case.lost} - {"pendulum"}]
    assert len(mistaken) > 10
    for case in mistaken:
        names = {"torch": torch}
        exec(case.answers["pendulum"], names)  # alone, without the answers before it
        assert {"act", "improve", "imagination_loop", "pendulum"} <= {*names}


def test_each_notebook_is_kept_as_it_was_run(graded):
    students, _ = graded
    notebook = nbformat.read(students.course / "graded" / "half-right" / A1 / f"{A1}.ipynb", as_version=4)
    nbformat.validate(notebook)
    by_name = {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells}
    assert by_name["test_betas"].outputs[0].text == "Right."
    assert "should keep variance 1" in by_name["test_add_noise"].outputs[0].text


def test_what_is_graded_and_unchanged_is_kept(graded):
    students, results = graded
    kept = students.course / "graded" / "right" / A1 / "result.json"
    before = kept.stat().st_mtime_ns
    assert grade_again(students) == results
    assert kept.stat().st_mtime_ns == before


def grade_again(students):
    return grade(students.course, students.course / "submitted", cell_seconds=SECONDS)[0]


@pytest.fixture
def command(monkeypatch, capsys):
    """Function that runs a command of ``course`` in this process: its exit status, and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["polygrad-edu", "course", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


def test_report_is_a_table_pages_and_pictures(graded, command):
    students, results = graded
    status, told, _ = command("report", "--course", students.course, "--json")
    assert status == 0
    assert json.loads(told)["students"] == len(results)
    with (students.course / "report" / "grades.csv").open(newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert rows["right"] == {"student": "right", A1: "20", "total": "20", "waiting_for_a_person": "0", "late": ""} | {
        "stopped": ""
    }
    with (students.course / "report" / "questions.csv").open(newline="") as file:
        questions = {row["student"]: row for row in csv.DictReader(file)}
    assert questions["half-right"][f"{A1}: add_noise"] == "2"
    assert questions["right"][f"{A1}: add_noise"] == "4"
    assert (students.course / "report" / "canvas.csv").read_text().startswith(f"Student,{A1}")
    told = json.loads((students.course / "report" / "gradescope" / A1 / "half-right.json").read_text())
    assert told["score"] == 18
    assert "2 of 2: the signal's share is that of each row's own step" in told["tests"][2]["output"]
    assert "right,(the published solution),1.00" in (students.course / "report" / "similar.csv").read_text()
    assert rows["half-right"][A1] == "18"
    page = (students.course / "report" / "students" / "half-right.html").read_text()
    assert "should keep variance 1" in page
    assert "<li>0 of 2: data of variance 1 keeps variance 1" in page
    assert "<li>2 of 2: the signal&#39;s share is that of each row" in page
    assert "explained in lesson 2" in page
    assert "seed=" not in page
    for picture in ("points.png", "missed.png"):
        assert (students.course / "report" / picture).stat().st_size > 5000


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
def test_grading_that_was_killed_leaves_what_was_graded_and_goes_on_from_there(tmp_path, command):
    students = Class(tmp_path, [case for case in CASES if case.student in ("empty-file", "infinite-loop")])
    known = students.course / "graded" / "empty-file" / A1 / "result.json"
    words = ["--course", str(students.course), "--jobs", "1", "--cell-seconds", str(SECONDS)]
    grading = subprocess.Popen([sys.executable, "-m", "polygrad_edu", "course", "grade", *words])
    while not known.exists() or not (orphans := descendants(grading.pid, "polygrad_edu.grading.student")):
        assert grading.poll() is None
        time.sleep(0.2)
    grading.kill()  # the other student's loop is under way, or soon will be
    grading.wait()
    assert len(orphans) >= 2  # the grader's process of that submission, and the student's
    assert are_gone(orphans)
    assert [result["student"] for result in read_results(students.course)] == ["empty-file"]
    assert command("report", "--course", students.course)[0] == 0
    assert (students.course / "report" / "grades.csv").read_text().count("empty-file") == 1
    before = known.stat().st_mtime_ns
    results = grade_again(students)
    assert [result["student"] for result in results] == ["empty-file", "infinite-loop"]
    assert [students.mistakes(result) for result in results] == [[], []]
    assert known.stat().st_mtime_ns == before


def test_an_override_stays_whatever_is_graded_or_reported_again(graded, command):
    students, _ = graded
    status, told, _ = command(
        "override", "half-right", A1, "add_noise", "3", "--reason", "a slip", "--course", students.course
    )
    assert (status, told) == (0, f"half-right now has 19 of 20 points in {A1}.\n")
    grade_again(students)
    command("report", "--course", students.course)
    assert "half-right,19,19" in (students.course / "report" / "grades.csv").read_text()
    page = (students.course / "report" / "students" / "half-right.html").read_text()
    assert "a slip (Before: 2. Not yet: " in page
    assert "the signal&#39;s share" not in page  # the grader's points, which count no more
    status, _, told = command("override", "nobody", A1, "betas", "2", "--reason", "x", "--course", students.course)
    assert status == 2
    assert "nothing was graded of nobody" in told


def test_stock_nbgrader_gives_the_same_points(graded):
    students, results = graded
    nbgrader = [sys.executable, "-m", "nbgrader"]
    for words in (["generate_assignment", A1, "--force"], ["autograde", A1, "--student=*right"]):
        done = subprocess.run([*nbgrader, *words], cwd=students.course, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{students.course}/gradebook.db") as book:
        scores = {each.student.id: each.score for each in book.assignment_submissions(A1)}
    assert scores == {result["student"]: result["points"] for result in results if result["student"] in scores}
    assert scores == {"right": 20, "half-right": 18}


def job(source, submission, folder):
    return {
        "source": str(source),
        "submission": str(submission),
        "folder": str(folder),
        "namespaces": [],
        "cell_seconds": 5,
    }


def test_a_grader_that_crashes_gives_no_points_and_the_reason(tmp_path):
    source = SOURCES[A1]
    processes = set()
    wrong = job(source, source, tmp_path) | {"cell_seconds": None}
    wrong.pop("submission")
    result = _in_a_process(wrong, source, processes)
    assert result["status"] == "stopped"
    assert result["reason"] == "No points, because the grader stopped (KeyError: 'submission')."
    assert (result["points"], result["max_points"], result["seconds"]) == (0, 20, None)
    assert processes == set()


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course with a submission of two students, graded by a grader that gives each 3 points at once."""
    for student in ("ann", "bob"):
        path = tmp_path / "submitted" / student / A1 / f"{A1}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    source = tmp_path / "source" / A1 / f"{A1}.ipynb"
    source.parent.mkdir(parents=True)
    source.write_bytes(SOURCES[A1].read_bytes())
    asked = []

    def graded_at_once(job, source, processes):
        asked.append(Path(job["folder"]).parent.name)
        betas = {"name": "betas", "points": 3.0, "max_points": 3.0, "message": "Right.", "parts": []}
        return grade_all.Graded(
            status="graded", reason="", points=3, max_points=20, by_hand=0, notes=[], questions=[betas]
        )

    monkeypatch.setattr(grade_all, "_in_a_process", graded_at_once)
    return tmp_path, asked


def test_progress_names_each_student_and_known_results_are_not_graded_again(course):
    folder, asked = course
    with pytest.raises(InputError, match=r"nothing has been graded in .* yet"):
        read_results(folder)
    calls = []
    results, left_out = grade(folder, folder / "submitted", jobs=1, on_progress=lambda *call: calls.append(call))
    assert calls == [("about 1 minutes", 0, 2), ("ann", 1, 2), ("bob", 2, 2)]
    assert left_out == []
    assert [result["student"] for result in results] == asked == ["ann", "bob"]
    assert read_results(folder) == results
    (folder / "submitted" / "bob" / A1 / f"{A1}.ipynb").write_text("{} ")
    grade(folder, folder / "submitted")
    assert asked == ["ann", "bob", "bob"]  # only the work that has changed


def test_what_was_stopped_is_graded_once_more_alone_and_marked_if_it_is_stopped_again(course, monkeypatch):
    folder, _ = course
    told = iter(
        [
            ("ann", "stopped", 3.0),
            ("bob", "stopped", 2.0),
            ("ann", "graded", 20.0),
            ("bob", "stopped", 1.0),
            ("bob", "graded", 20.0),
        ]
    )

    def graded_as_told(job, source, processes):
        student, status, points = next(told)
        assert Path(job["folder"]).parent.name == student
        betas = {"name": "betas", "points": points, "max_points": 20.0, "message": "?", "parts": [], "waited": True}
        return grade_all.Graded(status=status, reason="By the clock.", points=points, questions=[betas])

    monkeypatch.setattr(grade_all, "_in_a_process", graded_as_told)
    calls = []
    (ann, bob), _ = grade(folder, folder / "submitted", jobs=1, on_progress=lambda *call: calls.append(call))
    assert (ann["status"], ann["points"]) == ("graded", 20)
    assert (bob["status"], bob["points"]) == ("stopped", 2)
    assert bob["reason"] == f"By the clock. {grade_all.AGAIN}"
    assert calls[-2:] == [("ann once more, alone", 2, 2), ("bob once more, alone", 2, 2)]
    assert read_results(folder) == [ann, bob]
    _, bob = grade(folder, folder / "submitted")[0]  # next time, on a machine with less to do
    assert (bob["status"], bob["points"]) == ("graded", 20)
    assert next(told, None) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
def test_an_endless_loop_is_a_mistake_and_an_endless_sleep_is_looked_at_twice(tmp_path):
    notebook = json.loads(SOURCES[A1].read_text(encoding="utf-8"))
    asked = [cell for cell in notebook["cells"] if cell["metadata"]["nbgrader"]["grade_id"] in ONLY_BETAS]
    bodies = {"loops": "while True:\n        pass", "sleeps": "import time\n    time.sleep(10**6)"}
    for path, body in [
        (tmp_path / "source" / A1 / f"{A1}.ipynb", None),
        *((tmp_path / "submitted" / student / A1 / f"{A1}.ipynb", body) for student, body in bodies.items()),
    ]:
        for cell in asked:
            if body and cell["metadata"]["nbgrader"]["grade_id"] == "betas":
                cell["source"] = f"def betas(alpha_bar):\n    {body}"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(notebook | {"cells": asked}), encoding="utf-8")
    loops, sleeps = grade(tmp_path, tmp_path / "submitted", jobs=1, cell_seconds=2)[0]
    assert loops["points"] == sleeps["points"] == 0
    assert "had not ended after" in loops["questions"][0]["message"]
    assert (sleeps["status"], sleeps["questions"][0]["waited"]) == ("stopped", True)
    assert "of which it computed 0 s" in sleeps["questions"][0]["message"]
    assert sleeps["reason"].startswith("A cell was stopped by the clock")
    assert sleeps["reason"].endswith(f"points may be missing in betas. {grade_all.AGAIN}")
    if "s of computing" in loops["questions"][0]["message"]:  # on a machine that has no time for it, it waits as well
        assert (loops["status"], loops["questions"][0]["waited"], loops["reason"]) == ("graded", False, "")


def test_what_is_no_course_assignment_or_submission_is_refused(course):
    folder, _ = course
    with pytest.raises(InputError, match="is not a course"):
        grade(folder / "submitted", folder / "submitted")
    with pytest.raises(InputError, match="there is no assignment 'a9'; there are a1_noise_schedule"):
        grade(folder, folder / "submitted", only="a9")
    with pytest.raises(InputError, match=r"neither a folder of submissions nor a \.zip file"):
        grade(folder, folder / "nowhere")
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="there is no notebook that belongs to a1_noise_schedule"):
        grade(folder, folder / "empty")
