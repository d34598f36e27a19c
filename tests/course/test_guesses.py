"""Guesses: what counts as one, where it is kept, and how it is scored."""

import json
import math

import pytest

from polygrad_edu.course.guesses import points, predict, reveal, scorecard


@pytest.fixture(autouse=True)
def book(tmp_path, monkeypatch):
    path = tmp_path / "guesses.json"
    monkeypatch.setenv("POLYGRAD_GUESSES", str(path))
    return path


def printed(capsys):
    return capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("guess", "choices", "words"),
    [
        (..., (), "Write your guess in place of the dots and run this cell again; then read on."),
        (..., ("up", "down"), "The choices: up, down."),
        ("left", ("up", "down"), "'left' is none of the choices: up, down."),
        ("many", (), "This question asks for a number, not 'many'."),
        (True, (), "not True"),
        (math.nan, (), "not nan"),
    ],
)
def test_what_is_no_guess_is_not_noted(book, capsys, guess, choices, words):
    predict("02/half", guess, choices)
    assert words in printed(capsys)
    assert not book.exists()


def test_a_guess_is_kept_until_it_is_compared_and_both_stay(book, capsys):
    predict("02/half", 50)
    assert printed(capsys) == "Noted: 50. Now see what happens."
    reveal("02/half", 64.0)
    assert printed(capsys).startswith("You guessed 50; it is 64. Near.")
    assert json.loads(book.read_text())["02/half"] == {"guess": 50, "actual": 64.0, "points": points(50, 64.0)}
    predict("02/half", 64)  # a second guess is a new one
    assert json.loads(book.read_text())["02/half"] == {"guess": 64}


def test_without_a_guess_the_result_is_told_and_nothing_is_kept(book, capsys):
    reveal("02/half", "up")
    assert "It is up. (No guess of yours was noted" in printed(capsys)
    assert not book.exists()


@pytest.mark.parametrize(
    ("guess", "actual", "expected"),
    [
        ("up", "up", 1),
        ("up", "down", 0),
        (3, 3.0, 1),
        (0, 0, 1),
        (100, 10, 0),
        (1000, 10, 0),
        (-3, 3, 0),
        (0, 3, 0),
        (math.sqrt(10), 1, 0.5),
        (1, math.sqrt(10), 0.5),
    ],
)
def test_points_fall_with_the_factor_that_a_guess_is_off_by(guess, actual, expected):
    assert points(guess, actual) == pytest.approx(expected)


def test_the_scorecard_adds_up_what_was_compared(capsys):
    scorecard()
    assert "No guesses have been noted yet" in printed(capsys)
    for key, guess, actual in (("02/b", 3, 3), ("01/a", "up", "down"), ("03/c", 1, None)):
        predict(key, guess, ("up", "down") if guess == "up" else ())
        if actual is not None:
            reveal(key, actual)
    capsys.readouterr()
    scorecard()
    lines = printed(capsys).splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["01/a", "02/b"]
    assert lines[-1].strip() == "1.0 points for 2 guesses"


@pytest.mark.parametrize("content", ["{", "[]", '{"02/half": 3}'])
def test_a_book_that_was_edited_into_something_else_stops_no_lesson(book, capsys, content):
    book.write_text(content)
    reveal("02/half", 3)
    scorecard()
    assert "No guesses have been noted yet" in printed(capsys)
    predict("02/half", 3)
    assert json.loads(book.read_text())["02/half"] == {"guess": 3}
