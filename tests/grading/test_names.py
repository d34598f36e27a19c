"""Names of students in the files and folders of platforms."""

import pytest

from polygrad_edu.grading.names import Named, encodable, file_name, plain, readable
from tests.support.synthetic_submissions import A1


@pytest.mark.parametrize(
    ("text", "student", "late"),
    [
        (f"mullerbob_LATE_10002_555002_{A1}-1", "mullerbob_10002", True),
        (f"chencarol_10003_555003_{A1} (1)", "chencarol_10003", False),
        ("chencarol_10003_777003_work", "chencarol_10003", False),
        ("Alice Smith_1234567_assignsubmission_file_", "Alice Smith", False),
        ("Alice Smith_2234999", "Alice Smith", False),
        (f"{A1}_alice", "alice", False),
        (f"alice_{A1} (2)", "alice", False),
        (f"{A1}", A1, False),
        ("ann", "ann", False),
        ("team-1", "team-1", False),
        (f"team-1_{A1}-2", "team-1", False),
        ("s1234567", "s1234567", False),
        ("M\udcfcller", "Müller", False),
    ],
)
def test_a_student_has_the_same_name_in_every_assignment(text, student, late):
    named = Named(text, A1)
    assert (named.student, named.late) == (student, late)


def test_names_are_readable_comparable_and_safe():
    assert readable("Mu\u0308ller") == "Müller"
    assert plain("Müller, Bob") == plain("muller bob") == "mullerbob"
    assert file_name("Ann Lee") == "Ann Lee"
    made = {file_name(name) for name in ("../x", "..", "a/b", "a_b", "<i>", "x" * 300)}
    assert len(made) == 6
    assert not any(set("/<>") & set(name) or name.startswith(".") or len(name) > 100 for name in made)


def test_half_a_character_becomes_a_question_mark_and_all_others_stay():
    assert encodable("a\ud800b, M\u00fcller, \U0001f600") == "a?b, M\u00fcller, \U0001f600"
