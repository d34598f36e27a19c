"""Points that people give: kept, told with their reason, never lost, and refused in a sentence where they are wrong."""

import pytest

from polygrad_edu.files.input_error import InputError
from polygrad_edu.grading.corrections import (
    FILE,
    Correction,
    correct,
    corrected,
    read_by_hand,
    read_corrections,
    refuse_to_lose,
)
from polygrad_edu.grading.feedback import was_stopped
from tests.grading.test_feedback import result


def give(points, question="loss", student="a", reason="because"):
    return Correction("2026-11-02T12:00:00+00:00", student, "a2_denoiser", question, points, reason)


def test_the_last_correction_counts_and_all_are_kept(tmp_path):
    machine = [result("a", 0.0, "Not yet."), result("b", None)]
    assert correct(tmp_path, machine, [give(2.0)]) == 1
    assert correct(tmp_path, machine, [give(3.0, reason="more"), give(4.0, student="b")]) == 2
    assert correct(tmp_path, machine, [give(3.0, reason="more")]) == 0  # nothing new
    first, second = corrected(machine, read_corrections(tmp_path))
    assert (first["points"], first["questions"][0]["message"]) == (3, "more (Before: 0. Not yet.)")
    assert (second["points"], second["by_hand"], second["questions"][0]["message"]) == (4, 0, "because")
    assert len(read_corrections(tmp_path)) == 3
    assert machine[0]["points"] == 0


def test_who_gives_points_for_what_was_stopped_has_seen_to_it():
    (question,) = result("a", 0.0)["questions"]
    stopped = result("a", 0.0) | {"status": "stopped", "reason": "By the clock.", "questions": [question]}
    question["waited"] = True
    assert [each["reason"] for each in corrected([stopped], [give(2.0, student="b")])] == ["By the clock."]
    (seen,) = corrected([stopped], [give(2.0)])
    assert (seen["reason"], seen["points"], was_stopped(seen)) == ("", 2, False)


@pytest.mark.parametrize(
    ("correction", "words"),
    [
        (give(5.0), "5 is not between 0 and 4"),
        (give(float("nan")), "is not between"),
        (give(1.0, question="lost"), "nothing was graded of a, a2_denoiser, lost"),
    ],
)
def test_a_wrong_correction_is_refused_with_all_beside_it(tmp_path, correction, words):
    with pytest.raises(InputError, match=words):
        correct(tmp_path, [result("a", 0.0)], [give(1.0), correction])
    assert not (tmp_path / FILE).exists()


def test_points_by_hand_come_from_a_table(tmp_path):
    table = tmp_path / "points.csv"
    table.write_text(
        "student,assignment,question,points,comment\na,a2_denoiser,loss,3.5,Well seen.\n'=b,x,y,1,\nc,x,y,,\n"
    )
    assert [each[1:] for each in read_by_hand(table)] == [
        ("a", "a2_denoiser", "loss", 3.5, "Well seen."),
        ("=b", "x", "y", 1.0, "Read by a person."),
    ]
    table.write_text("student,assignment,question,points\na,a2_denoiser,loss,good\n")
    with pytest.raises(InputError, match="line 2: points is 'good', not a number"):
        read_by_hand(table)
    table.write_text("student,assignment,question\na,a2_denoiser,loss\n")
    with pytest.raises(InputError, match="no column points"):
        read_by_hand(table)


def test_points_that_were_typed_and_do_not_count_yet_are_not_written_over(tmp_path):
    table = tmp_path / "to_read.csv"
    refuse_to_lose(table, [])  # it is not there yet
    table.write_text("student,assignment,question,points\na,a2_denoiser,loss,3\nb,a2_denoiser,loss,\n")
    with pytest.raises(InputError, match="1 of the points in it do not count yet, the first those of a; give it with"):
        refuse_to_lose(table, [give(2.0, student="b")])
    refuse_to_lose(table, [give(3.0)])


def test_a_damaged_line_is_named(tmp_path):
    (tmp_path / FILE).write_text('{"when": \n')
    with pytest.raises(InputError, match="line 1 is damaged"):
        read_corrections(tmp_path)
