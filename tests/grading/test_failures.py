"""Errors of the other process: the same name and kind, and texts of limited length."""

import pytest

from polygrad_edu.grading.failures import MAX_MESSAGE, Failure, as_exception, describe


class Silent(Exception):
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "name", "text"),
    [
        (ZeroDivisionError("x"), "ZeroDivisionError", "x"),
        (SystemExit(2), "SystemExit", "2"),
        (Silent(), "Silent", ""),
        (ValueError("y" * 9_000), "ValueError", "y" * MAX_MESSAGE),
    ],
)
def test_an_error_is_told_by_name_and_text(error, name, text):
    assert describe(error) == (name, text)


@pytest.mark.parametrize("name", ["KeyError", "UnicodeDecodeError", "SystemExit", "print", "Odd"])
def test_it_is_raised_again_under_its_name_and_never_ends_the_grader(name):
    error = as_exception(Failure(name, "words"))
    assert type(error).__name__ == name
    assert str(error) == "words"
    assert isinstance(error, Exception)
    assert isinstance(error, KeyError) == (name == "KeyError")
