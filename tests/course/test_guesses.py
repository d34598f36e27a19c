"""Guesses: what counts as one, that the first counts, and what the scorecard makes of them."""

import json
import math

import pytest

from polygrad_edu.course import guesses
from polygrad_edu.course.guesses import compare, give_up, lock, objection, readable, scorecard, settled
from polygrad_edu.course.scoring import points


@pytest.fixture(autouse=True)
def book(tmp_path, monkeypatch):
    path = tmp_path / "guesses.json"
    monkeypatch.setenv("POLYGRAD_GUESSES", str(path))
    return path


@pytest.mark.parametrize(
    ("guess", "rest", "words"),
    [
        ("left", {"choices": ("up", "down")}, "'left' is none of the choices: up, down."),
        ("many", {}, "This question asks for a number, not 'many'."),
        (True, {}, "not True"),
        (math.nan, {}, "not nan"),
        (1.5, {"between": (0, 1)}, "a number from 0 to 1, not 1.5"),
        (0.5, {"sure": 101}, "sure is a percentage, 0 to 100, not 101"),
        (0.5, {"sure": "very"}, "not 'very'"),
    ],
)
def test_what_is_no_guess_is_told_why(guess, rest, words):
    assert words in objection(guess, **rest)


def test_a_guess_to_which_there_is_no_objection():
    assert objection("up", ("up", "down"), sure=50) is None
    assert objection(0, between=(0, 1)) is None


def test_the_first_guess_counts(book):
    assert lock("02/half", 50) == "Noted: 50. Now see what happens."
    assert compare("02/half", 64.0) == "You guessed 50; it is 64. Near."
    assert lock("02/half", 64) == "Your first guess counts: 50."
    assert compare("02/half", 64.0) == "You guessed 50; it is 64. Near."
    assert json.loads(book.read_text())["02/half"] == {"guess": 50, "actual": 64.0, "points": points(50, 64.0)}


@pytest.mark.parametrize("see", [give_up, lambda key: compare(key, 64)])
def test_a_guess_after_the_answer_was_seen_is_late_and_scores_nothing(see, capsys):
    assert not settled("02/half")
    see("02/half")
    assert settled("02/half")
    assert "counts as late" in lock("02/half", 64)
    assert compare("02/half", 64) == "You guessed 64; it is 64. It came late, and scores nothing."
    scorecard()
    first, total = capsys.readouterr().out.splitlines()
    assert first.endswith("late")
    assert total.strip() == "0.0 points for 1 guesses"


def test_giving_up_after_a_guess_leaves_the_guess():
    lock("02/half", 50)
    assert give_up("02/half") == "Your first guess counts: 50."
    assert compare("02/half", 50) == "You guessed 50; it is 50. Right."


def test_a_guess_is_judged_by_the_range_that_was_offered():
    lock("02/share", 0.5, between=(0, 1))
    assert compare("02/share", 0.913).endswith("it is 0.913. Off; worth a moment's thought why.")
    lock("02/nothing", 0.01, between=(0, 1))
    assert compare("02/nothing", 0.0).endswith("it is 0. Right.")


@pytest.mark.parametrize(("value", "words"), [(44000.0, "44,000"), (0.6812, "0.681"), (999, "999"), ("up", "up")])
def test_numbers_are_written_for_readers(value, words):
    assert readable(value) == words


def test_the_scorecard_adds_up_what_was_compared_and_tells_what_was_not_guessed(capsys):
    scorecard()
    assert "No guesses have been compared yet" in capsys.readouterr().out
    lock("02/b", 3, sure=75)
    lock("01/a", "up")
    lock("03/c", 1)
    give_up("03/d")
    compare("02/b", 3)
    compare("01/a", "down")
    scorecard()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["01/a", "02/b"]
    assert [line.strip() for line in lines[2:4]] == ["1.0 points for 2 guesses", "1 answers seen without a guess"]
    assert lines[4] == "75% sure: 1 of 1 near (100%)"


@pytest.mark.parametrize("content", ["{", "[]", '{"02/half": 3}'])
def test_a_book_that_was_edited_into_something_else_stops_no_lesson(book, content):
    book.write_text(content)
    scorecard()
    assert guesses.noted("02/half") == {}
    lock("02/half", 3)
    assert json.loads(book.read_text())["02/half"] == {"guess": 3}
