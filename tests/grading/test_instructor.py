"""A course made and released: the source keeps to the format, and students get no solutions and no hidden tests."""

import re
import subprocess
import sys

import pytest

from polygrad_edu.cli.main import main
from polygrad_edu.grading.instructor import answers_in_words
from tests.support.assignments import SOURCES, cells, released_course
from tests.support.synthetic_submissions import A1

CALL = r'\("a\d/\w+", [\w, ]+\)\n'
HIDDEN = CALL.replace(r"\)\n", r", seed=\d+\)\n")
REQUIRE = (
    "from polygrad_edu.course import require\n\n"
    f"require{CALL}### BEGIN HIDDEN TESTS\n(require{HIDDEN})+### END HIDDEN TESTS"
)
CREDIT = (
    "from polygrad_edu.course import credit\n\n"
    rf"held = credit{CALL}### BEGIN HIDDEN TESTS\n(held &= credit{HIDDEN})+### END HIDDEN TESTS\n"
    r"held\.points\(of=\d+\)"
)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return released_course(tmp_path_factory.mktemp("released") / "course")


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
        form = re.compile(CREDIT if "credit" in test else REQUIRE)
        assert form.fullmatch(test), test


@pytest.mark.parametrize("name", SOURCES)
def test_released_notebooks_hold_no_trace_of_solutions_and_hidden_tests(released, name):
    _, made = released
    text, source = made[name].read_text(encoding="utf-8"), cells(SOURCES[name])
    assert not re.search(r"BEGIN SOLUTION|END SOLUTION|HIDDEN|(credit|require)\([^\n]*seed=", text)
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


def test_the_courses_own_answers_in_words_are_those_of_its_source(released):
    found = answers_in_words(released[0])
    assert {assignment for assignment, _ in found} == {"a6_bug_hunt"}
    assert found["a6_bug_hunt", "ReportFive_words"].startswith("`range(N_STEPS - 1, 0, -1)` stops before 0")
    assert len(found) == 5


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
