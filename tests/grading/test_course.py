"""The instructor's kit: a course made, released, handed in by a class that tries everything, graded and reported."""

import csv
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from polygrad_edu.cli.main.main import main

from polygrad_edu.grading.feedback import give_by_hand, most_missed, write_report
from polygrad_edu.grading.instructor import new_course, release, shipped_assignments
from polygrad_edu.grading.submissions import find_submissions, unpack
from tests.support.synthetic_submissions import A1, CASES, Class

SOURCES = {path.stem: path for path in shipped_assignments()}


def cells(path):
    notebook = json.loads(Path(path).read_text(encoding="utf-8"))
    return {cell["metadata"]["nbgrader"]["grade_id"]: cell | {"source": "".join(cell["source"])}
            for cell in notebook["cells"]}  # fmt: skip


def command(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "polygrad_edu", "course", *map(str, arguments)],
                          capture_output=True, text=True, **options)  # fmt: skip


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    course = tmp_path_factory.mktemp("released") / "course"
    assert new_course(course) == list(SOURCES)
    return course, release(course)


@pytest.mark.parametrize("name", SOURCES)
def test_source_keeps_to_the_format(name):
    source = cells(SOURCES[name])
    assert SOURCES[name].parent.name == name
    for part in ("# Assignment ", "**Points**", "**Takes**", "**Needs**", "**May be imported**"):
        assert part in source["about"]["source"], part
    marks = {grade_id: cell["metadata"]["nbgrader"] for grade_id, cell in source.items()}
    assert all(mark["schema_version"] == 3 for mark in marks.values())
    tests = {grade_id: source[grade_id]["source"] for grade_id, mark in marks.items() if mark["grade"]}
    total = sum(marks[grade_id]["points"] for grade_id in tests)
    assert re.search(rf"\*\*Points\*\*:? {total}\b", source["about"]["source"])
    for grade_id, test in tests.items():
        if marks[grade_id]["solution"]:
            continue  # read by a person
        assert any(marks.get(word, {}).get("solution") for word in re.findall(r"\w+", test)), "no answer is tried"
        assert "from polygrad_edu.course import require\n" in test
        lines = [line for line in test.splitlines() if line and not line.startswith(("###", "from polygrad_edu"))]
        assert all(re.match(rf'require\("a{name[1]}/\w+", .+\)$', line) for line in lines), test
        assert re.search(r"### BEGIN HIDDEN TESTS\n(require\(.*, seed=\d+\)\n)+### END HIDDEN TESTS", test)


@pytest.mark.parametrize("name", SOURCES)
def test_released_notebooks_hold_no_trace_of_solutions_and_hidden_tests(released, name):
    _, made = released
    text, source = made[name].read_text(encoding="utf-8"), cells(SOURCES[name])
    assert not re.search(r"BEGIN SOLUTION|END SOLUTION|HIDDEN|require\([^\n]*seed=", text)
    whole, blocks = "\n".join(cell["source"] for cell in source.values()), r"### BEGIN (?:SOL|HID).*?\n(.*?)### END"
    hidden_lines = {line.strip() for block in re.findall(blocks, whole, re.S) for line in block.splitlines()}
    in_the_open = {line.strip() for line in re.sub(blocks, "", whole, flags=re.S).splitlines()}
    hidden_lines = {line for line in hidden_lines - in_the_open if len(line) > 12}
    assert len(hidden_lines) > 8
    told = "\n".join(cell["source"] for cell in cells(made[name]).values())
    assert [line for line in hidden_lines if line in told] == []
    assert '"output_type"' not in text, "a picture or a number of the solution's"


@pytest.mark.parametrize("name", SOURCES)
def test_released_notebooks_are_what_the_source_says(released, name):
    _, made = released
    student, source = cells(made[name]), cells(SOURCES[name])
    assert list(student) == list(source)
    stub = re.compile(r"^( *)### BEGIN SOLUTION.*?### END SOLUTION", re.S | re.M)
    hidden = re.compile(r"### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS\n?", re.S)
    for grade_id, cell in source.items():
        marks = cell["metadata"]["nbgrader"]
        if marks["solution"] and marks["grade"]:
            assert student[grade_id]["source"] == "YOUR ANSWER HERE"
            continue
        expected = hidden.sub("", stub.sub(r"\1...", cell["source"]))
        assert student[grade_id]["source"].strip() == expected.strip(), grade_id
        assert student[grade_id]["metadata"].get("editable", True) == bool(marks["solution"])


def test_hidden_tests_of_a_course_are_its_own(released):
    course, _ = released
    ours = course / "source" / A1 / f"{A1}.ipynb"
    seeds = [re.findall(r"seed=(\d+)", cells(path)["test_signal"]["source"]) for path in (SOURCES[A1], ours)]
    assert len(seeds[0]) == len(seeds[1])
    assert seeds[0] != seeds[1]
    assert not (course / "gradebook.db").exists()


def test_stock_nbgrader_gives_the_same_points(tmp_path, released):
    students = Class(tmp_path, [case for case in CASES if case.student in ("right", "wrong-one")])
    nbgrader = [sys.executable, "-m", "nbgrader"]
    for words in (["generate_assignment", A1, "--force"], ["autograde", A1]):
        done = subprocess.run([*nbgrader, *words], cwd=students.course, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{students.course}/gradebook.db") as book:
        scores = {each.student.id: each.score for each in book.assignment_submissions(A1)}
    assert scores == {"right": 20, "wrong-one": 16}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    students = Class(tmp_path_factory.mktemp("class"), [case for case in CASES if case.quick])
    return students, students.grade("--cell-seconds", "20")


@pytest.mark.parametrize("student", [case.student for case in CASES if case.quick])
def test_everybody_gets_the_grade_that_is_due(graded, student):
    students, results = graded
    (result,) = [result for result in results if result["student"] == student]
    assert students.mistakes(result) == []
    assert result["most"] == 20


def test_what_is_graded_and_unchanged_is_kept(graded):
    students, results = graded
    kept = students.course / "graded" / "right" / A1 / "result.json"
    before = kept.stat().st_mtime_ns
    assert students.grade("--cell-seconds", "20") == results
    assert kept.stat().st_mtime_ns == before


def test_report_is_a_table_pages_and_pictures(graded):
    students, results = graded
    done = command("report", "--course", students.course, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["students"] == len(results)
    with (students.course / "report" / "grades.csv").open(newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert rows["right"] == {"student": "right", A1: "20", "total": "20", "waiting_for_a_person": "0"}
    assert rows["wrong-one"][A1] == "16"
    page = (students.course / "report" / "students" / "wrong-one.html").read_text()
    assert "should keep variance 1" in page
    assert "explained in lesson 2" in page
    assert "seed=" not in page
    for picture in ("points.png", "missed.png"):
        assert (students.course / "report" / picture).stat().st_size > 5000


def result(student, points, message="Right.", most=4.0):
    question = {"name": "loss", "points": points, "most": most, "message": message}
    waiting = most if points is None else 0
    return {"student": student, "assignment": "a2_denoiser", "status": "graded", "reason": "", "notes": [],
            "points": points or 0.0, "most": most, "by_hand": waiting, "questions": [question]}  # fmt: skip


def test_what_students_write_is_shown_as_text(tmp_path):
    results = [result("<script>alert(1)</script>/../x", 0.0, "<img src=x onerror=alert(2)>"), result("=1+1", 4.0)]
    write_report(results, tmp_path / "report")
    pages = sorted((tmp_path / "report").rglob("*.html"))
    assert len(pages) == 3
    assert all(not re.search(r"<script|<img src=x", page.read_text()) for page in pages)
    assert {page.parent for page in pages} == {tmp_path / "report", tmp_path / "report" / "students"}
    assert "\n'=1+1,4" in (tmp_path / "report" / "grades.csv").read_text().replace("\r", "")


def test_what_the_class_missed():
    results = [result("a", 0.0), result("b", 4.0), result("c", None), result("d", 0.0)]
    assert most_missed(results) == [(("a2_denoiser", "loss"), pytest.approx(2 / 3))]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,a2_denoiser,loss,3.5", None),
        ("a,a2_denoiser,loss,5", "line 2: 5 is not between 0 and 4"),
        ("a,a2_denoiser,loss,good", "line 2: points is 'good', not a number"),
        ("b,a2_denoiser,loss,1", "line 2: nothing of b, a2_denoiser, loss waits"),
    ],
)
def test_points_by_hand(tmp_path, row, words):
    table = tmp_path / "points.csv"
    table.write_text(f"student,assignment,question,points\n{row}\n")
    results = [result("a", None)]
    if words:
        with pytest.raises(ValueError, match=re.escape(words)):
            give_by_hand(results, table)
    else:
        give_by_hand(results, table)
        assert (results[0]["points"], results[0]["by_hand"]) == (3.5, 0)


def test_submissions_are_found_in_what_platforms_make(tmp_path):
    notebook = SOURCES[A1].read_bytes()
    for place in (
        f"ann/{A1}/{A1}.ipynb",
        f"ann/{A1}/.ipynb_checkpoints/{A1}-checkpoint.ipynb",
        "bob.ipynb",
        "Cleo Doe_81_assignsubmission_file/work.ipynb",
        f"doedan_81_90_{A1}.ipynb",
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(notebook)
    (tmp_path / "eve.ipynb").write_text("{")
    found, unplaced = find_submissions(tmp_path, SOURCES)
    assert [submission.student for submission in found] == ["Cleo Doe_81", "ann", "bob", "doedan_81_90"]
    assert {submission.assignment for submission in found} == {A1}
    assert unplaced == [tmp_path / "eve.ipynb"]
    assert "eve" in [submission.student for submission in find_submissions(tmp_path, SOURCES, only=A1)[0]]


def test_nothing_leaves_the_folder_that_a_zip_is_unpacked_to(tmp_path):
    inner = tmp_path / "inner.zip"
    with zipfile.ZipFile(inner, "w") as zipped:
        zipped.writestr("work.ipynb", "{}")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as zipped:
        zipped.writestr("../../../outside.ipynb", "{}")
        zipped.writestr("/absolute.ipynb", "{}")
        zipped.writestr("notes.txt", "not a notebook")
        zipped.write(inner, "ann/inner.zip")
    unpack(tmp_path / "all.zip", tmp_path / "to")
    files = sorted(path.relative_to(tmp_path / "to").as_posix() for path in (tmp_path / "to").rglob("*.*"))
    assert files == ["absolute.ipynb", "ann/inner/work.ipynb", "outside.ipynb"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["release", "--course", "nowhere"], "nowhere is not a course"),
        (["grade", "here", "--course", "nowhere"], "nowhere is not a course"),
        (["grade", "nowhere", "--course", "COURSE"], "neither a folder of submissions nor a .zip"),
        (["grade", "COURSE/release", "--course", "COURSE", "--assignment", "a9"], "there is no assignment 'a9'"),
        (["grade", "COURSE/source/..", "--jobs", "0"], "--jobs"),
        (["report", "--course", "COURSE"], "nothing has been graded"),
        (["new", "COURSE"], "is not empty"),
    ],
)
def test_bad_input_is_told_in_one_line(released, arguments, words, monkeypatch, capsys):
    given = [word.replace("COURSE", str(released[0])) for word in arguments]
    monkeypatch.setattr(sys, "argv", ["polygrad-edu", "course", *given])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in told
    assert told.count("\n") == 1


def test_a_missing_nbgrader_is_told_with_its_remedy(tmp_path):
    code = "import sys; sys.modules['nbgrader'] = None; sys.argv = ['polygrad-edu', 'course', 'new', 'x']; "
    code += "from polygrad_edu.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == 'polygrad-edu: this needs nbgrader; install it with: pip install "polygrad-edu[course]"\n'
