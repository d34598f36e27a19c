"""Times of lessons: what a header promises is read, and one that misleads is named."""

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from polygrad_edu.course.lesson_times import complaint, is_off, promised_seconds
from tests.lessons.test_lessons import NOTEBOOKS


def headed(text):
    return new_notebook(cells=[new_markdown_cell(f"# 9 · A lesson\n\n**Takes** about 40 minutes to read, {text}.")])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15 seconds of it computing on two CPU cores", 15),
        ("one minute of it computing, on two CPU cores", 60),
        ("two minutes\nof it computing", 120),
        ("half a minute of it computing", 30),
        ("1.5 minutes of it computing", 90),
        ("and nothing to compute", None),
    ],
)
def test_the_seconds_of_computing_are_read_from_the_header(text, seconds):
    assert promised_seconds(headed(text)) == seconds


def test_a_notebook_without_cells_promises_nothing():
    assert promised_seconds(new_notebook()) is None


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("[0-9]*.ipynb")), ids=lambda path: path.name)
def test_every_lesson_promises_at_most_two_minutes_as_the_readme_says(path):
    assert 1 <= promised_seconds(nbformat.read(path, as_version=4)) <= 120


@pytest.mark.parametrize(
    ("promised", "measured", "off"),
    [
        (60, 89, False),
        (60, 91, True),  # too little was promised
        (60, 41, False),
        (60, 39, True),  # too much
        (10, 29, False),  # a reader hardly notices either
        (10, 31, True),
        (31, 10, True),
        (40, 29, False),
    ],
)
def test_a_header_is_off_by_more_than_half_as_much_again(promised, measured, off):
    assert is_off(promised, measured) == off


def test_what_is_wrong_is_said_in_one_line():
    times = {"02_noise": (5, 7), "03_denoise": (30, 90), "08_loop": (60, 20)}
    said = complaint(times, all_of_them=True)
    assert said == "03_denoise took 90 s and its header says 30; 08_loop took 20 s and its header says 60"


def test_all_lessons_together_take_twelve_minutes_at_most():
    lessons = {f"{number:02}": (60, 85) for number in range(9)}
    assert complaint(lessons, all_of_them=True) == "all together took 765 s and may take 720"
    assert complaint(lessons, all_of_them=False) == ""
    assert complaint({"00": (60, 80), "01": (60, 50)}, all_of_them=True) == ""
