"""Exports in the forms of Canvas, Moodle and Gradescope."""

import json

from polygrad_edu.grading.exports import CANVAS, MOODLE, write_gradescope, write_platform
from polygrad_edu.grading.roster import read_roster
from tests.grading.test_feedback import result


def roster(tmp_path, text):
    path = tmp_path / "students.csv"
    path.write_text(text)
    return read_roster(path)


def test_canvas_gets_its_own_columns_and_its_name_of_the_assignment(tmp_path):
    students = roster(tmp_path, 'Student,ID,Section,a2_denoiser (77),Notes\n"Lee, Ann",5,S1,,x\n"Ray, Bob",6,S1,1,x\n')
    write_platform([result("Lee, Ann", 3.5)], students, CANVAS, tmp_path / "canvas.csv")
    assert (tmp_path / "canvas.csv").read_text().splitlines() == [
        "Student,ID,Section,a2_denoiser (77)",
        '"Lee, Ann",5,S1,3.5',
        '"Ray, Bob",6,S1,',
    ]


def test_moodle_knows_people_by_address(tmp_path):
    students = roster(tmp_path, "First name,Surname,Email address\nAnn,Lee,a@x\n")
    write_platform([result("Ann Lee", 4.0)], students, MOODLE, tmp_path / "moodle.csv")
    assert (tmp_path / "moodle.csv").read_text().splitlines() == [
        "First name,Surname,Email address,a2_denoiser",
        "Ann,Lee,a@x,4",
    ]


def test_without_a_roster_the_names_are_those_of_the_files(tmp_path):
    write_platform([result("ann", 4.0)], None, CANVAS, tmp_path / "canvas.csv")
    assert (tmp_path / "canvas.csv").read_text().splitlines() == ["Student,a2_denoiser", "ann,4"]


def test_gradescope_gets_a_test_for_each_question(tmp_path):
    write_gradescope([result("../ann", None, "A person will read this.")], tmp_path / "gradescope")
    (path,) = (tmp_path / "gradescope" / "a2_denoiser").iterdir()
    assert json.loads(path.read_text()) == {
        "score": 0.0,
        "output": "",
        "tests": [{"name": "loss", "score": 0.0, "max_score": 4.0, "output": "A person will read this."}],
    }
