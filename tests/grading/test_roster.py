"""A roster: tables as they come from platforms, and the students they name."""

import pytest

from polygrad_edu.files.input_error import InputError
from polygrad_edu.grading.names import Named
from polygrad_edu.grading.roster import FILE, keep_roster, known_roster, read_roster
from tests.support.synthetic_submissions import A1

CANVAS = 'Student,ID,SIS Login ID,Section\n    Points Possible,,,\n"Müller, Bob",10002,bob@x.edu,S1\n'
MOODLE = "First name,Surname,Email address\nAlice,Smith,as1@x.edu\nAlice,Jones,aj2@x.edu\n"


@pytest.mark.parametrize(
    ("table", "text", "student"),
    [
        (CANVAS, f"mullerbob_LATE_10002_555002_{A1}", "Müller, Bob"),
        (CANVAS, "bob", "Müller, Bob"),
        (CANVAS, "someone", None),
        (MOODLE, "Alice Smith_1234567_assignsubmission_file_", "Alice Smith"),
        (MOODLE, "aj2", "Alice Jones"),
        (MOODLE, "Alice", None),
        ("student\nann\n", "ann", "ann"),
    ],
)
def test_a_student_is_found_by_whatever_a_platform_calls_them(tmp_path, table, text, student):
    path = tmp_path / "students.csv"
    path.write_text(table, encoding="utf-8-sig")
    assert read_roster(path).student(Named(text, A1)) == student


def test_two_of_one_name_are_told_apart_by_their_numbers_or_refused(tmp_path):
    path = tmp_path / "students.csv"
    path.write_text("name,email\nAnn Lee,a1@x\nAnn Lee,a2@x\n")
    roster = read_roster(path)
    assert list(roster.rows) == ["Ann Lee (a1@x)", "Ann Lee (a2@x)"]
    assert roster.student(Named("Ann Lee", A1)) is None
    assert roster.student(Named("a2", A1)) == "Ann Lee (a2@x)"
    path.write_text("name\nAnn Lee\nAnn Lee\n")
    with pytest.raises(InputError, match="two students called Ann Lee"):
        read_roster(path)
    path.write_text("colour\nred\n")
    with pytest.raises(InputError, match="no column student or name"):
        read_roster(path)
    path.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(InputError, match="cannot be read"):
        read_roster(path)


def test_it_is_kept_in_the_course(tmp_path):
    path = tmp_path / "students.csv"
    path.write_text("name\nann\n")
    course = tmp_path / "course"
    course.mkdir()
    assert known_roster(course) is None
    keep_roster(path, course)
    assert list(known_roster(course).rows) == ["ann"]
    assert (course / FILE).read_text() == "name\nann\n"
