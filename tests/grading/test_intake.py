"""Submissions found in what platforms hand over: whose they are, which is the newest, and what was left out and why."""

import os
import zipfile

import pytest

from polygrad_edu.grading.archives import unpack
from polygrad_edu.grading.intake import find_submissions
from polygrad_edu.grading.roster import read_roster
from tests.support.assignments import SOURCES
from tests.support.synthetic_submissions import A1

NOTEBOOK = SOURCES[A1].read_bytes()
A2 = "a2_denoiser"


def hand_in(folder, *places, content=NOTEBOOK):
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(content)


def found_in(folder, **options):
    found, left_out = find_submissions(folder, SOURCES, **options)
    return [(each.student, each.assignment) for each in found], {path: reason for path, reason in left_out}


def test_submissions_are_found_in_what_platforms_make(tmp_path):
    hand_in(
        tmp_path,
        f"ann/{A1}/{A1}.ipynb",
        f"ann/{A1}/.ipynb_checkpoints/{A1}-checkpoint.ipynb",
        "bob.ipynb",
        "Cleo Doe_8123_assignsubmission_file/work.ipynb",
        f"doedan_81_90_{A1}.ipynb",
        "fay/work.IPYNB",
        "gus/work.ipynb.txt",
    )
    (tmp_path / "eve.ipynb").write_text("{")
    students, left_out = found_in(tmp_path)
    assert students == [(name, A1) for name in ("Cleo Doe", "ann", "bob", "doedan_81", "fay", "gus")]
    assert list(left_out) == ["eve.ipynb"]
    assert "says nowhere which assignment" in left_out["eve.ipynb"]
    assert ("eve", A1) in found_in(tmp_path, only=A1)[0]


@pytest.mark.parametrize(
    "places",
    [
        [f"submissions/{name}/{A1}/{A1}.ipynb" for name in ("ann", "bob")],
        [f"submissions/{name}/work.ipynb" for name in ("ann", "bob")],
        [f"submissions/{name}.ipynb" for name in ("ann", "bob")],
        [f"a/b/{name}/{A1}.ipynb" for name in ("ann", "bob")],
        ["__MACOSX/x.ipynb", *(f"submissions/{name}_{A1}.ipynb" for name in ("ann", "bob"))],
    ],
)
def test_a_folder_around_the_students_is_no_student(tmp_path, places):
    hand_in(tmp_path, *places)
    assert found_in(tmp_path)[0] == [("ann", A1), ("bob", A1)]


def test_a_single_student_is_no_folder_around_students(tmp_path):
    hand_in(tmp_path, f"ann/{A1}/{A1}.ipynb")
    assert found_in(tmp_path)[0] == [("ann", A1)]


def test_everything_left_out_has_its_reason(tmp_path):
    hand_in(tmp_path, "ann/work.ipynb", "bob/work.pdf", "cleo/work.tar.gz", "dan/.DS_Store")
    (tmp_path / "fay").symlink_to(tmp_path / "ann")
    students, left_out = found_in(tmp_path)
    assert students == [("ann", A1)]
    assert left_out == {
        "bob/work.pdf": "it is not a notebook (.ipynb)",
        "cleo/work.tar.gz": "it is not a notebook (.ipynb)",
        "fay": "it is a link to a folder",
    }


def test_the_newest_wins_and_the_others_are_told_also_from_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as zipped:
        zipped.writestr(zipfile.ZipInfo("alice.ipynb", (2026, 11, 2, 12, 0, 0)), NOTEBOOK + b" ")
        zipped.writestr(zipfile.ZipInfo(f"{A1}_alice.ipynb", (2026, 11, 1, 12, 0, 0)), NOTEBOOK)
        zipped.writestr(zipfile.ZipInfo("bob.ipynb", (2026, 11, 1, 12, 0, 0)), NOTEBOOK)
    unpack(tmp_path / "all.zip", tmp_path / "to")
    found, left_out = find_submissions(tmp_path / "to", SOURCES)
    assert found[0].path.name == "alice.ipynb"
    assert left_out == [(f"{A1}_alice.ipynb", "alice.ipynb, also alice's, is newer")]


def test_students_have_one_name_in_all_assignments(tmp_path):
    second = SOURCES[A2].read_bytes()
    hand_in(tmp_path, "Alice Smith_1234567/x.ipynb", f"mullerbob_LATE_10002_555002_{A1}-1.ipynb")
    hand_in(tmp_path, "Alice Smith_2234999/y.ipynb", f"mullerbob_10002_666002_{A2}.ipynb", content=second)
    assert found_in(tmp_path)[0] == [
        (name, assignment) for name in ("Alice Smith", "mullerbob_10002") for assignment in (A1, A2)
    ]
    assert [each.late for each in find_submissions(tmp_path, SOURCES)[0]] == [False, False, True, False]
    roster = tmp_path.parent / "students.csv"
    roster.write_text('Student,ID\n"Müller, Bob",10002\n"Smith, Alice",3\n')
    students, _ = found_in(tmp_path, roster=read_roster(roster))
    assert students == [(name, assignment) for name in ("Müller, Bob", "Smith, Alice") for assignment in (A1, A2)]


def test_two_students_of_one_name_stay_two(tmp_path):
    hand_in(tmp_path, "Ann Lee_1234567_assignsubmission_file/x.ipynb", "Ann Lee_1234999_assignsubmission_file/x.ipynb")
    assert found_in(tmp_path)[0] == [("Ann Lee (1234567)", A1), ("Ann Lee (1234999)", A1)]


def test_gradescopes_export_names_its_people_in_a_file_of_its_own(tmp_path):
    hand_in(tmp_path, "export/submission_11/work.ipynb", "export/submission_12/work.ipynb")
    text = "submission_11:\n  :submitters:\n  - :name: Ann Lee\n    :sid: '1'\nsubmission_12:\n  :submitters:\n"
    (tmp_path / "export" / "submission_metadata.yml").write_text(text + "  - :name: Bob Ray\n")
    assert found_in(tmp_path)[0] == [("Ann Lee", A1), ("Bob Ray", A1)]


def test_a_name_that_a_system_could_not_decode_is_read(tmp_path):
    folder = os.path.join(os.fsencode(tmp_path), b"M\xfcller")
    os.mkdir(folder)
    with open(os.path.join(folder, b"work.ipynb"), "wb") as file:
        file.write(NOTEBOOK)
    assert found_in(tmp_path)[0] == [("Müller", A1)]
