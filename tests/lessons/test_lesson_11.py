"""Lesson 11: the mistakes students make are named."""

from itertools import pairwise
from statistics import mean, median

import pytest

from polygrad_edu.checks import verdict


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("11/operations_of", lambda s, b: None, "operations_of is empty so far"),
        ("11/operations_of", lambda s, b: sum(b * x * y for x, y in pairwise(s)), "an addition"),
        ("11/operations_of", lambda s, b: sum(2 * b * x * x for x in s[:-1]), "from 5 to 3"),
        ("11/operations_of", lambda s, b: sum(2 * x * y for x, y in pairwise(s)), "twice as many rows"),
        ("11/operations_of", lambda s, b: 2 * b * s[0] * s[-1], "two layers together"),
        ("11/speed_up", lambda a, b: median(b) / median(a), "upside down"),
        ("11/speed_up", lambda a, b: median(a) - median(b), "you say 1.0"),
        ("11/speed_up", lambda a, b: mean(x / y for x, y in zip(a, b, strict=True)), "it should not decide"),
        ("11/speed_up", lambda a, b: sum(a) / sum(b), "it should not decide"),
        ("11/speed_up", lambda a, b: min(a) / max(b), "slower and slower"),
        ("11/speed_up", lambda a, b: median(a) / median(b), "compare within each round"),
        ("11/speed_up", lambda a, b: min(a) / min(b), "compare within each round"),
        ("11/amdahl", lambda p, s: p * s, "nothing changes"),
        ("11/amdahl", lambda p, s: s, "nothing changes"),
        ("11/amdahl", lambda p, s: (1 - p) + p / s, "everything becomes 5 times"),
        ("11/amdahl", lambda p, s: (1 - p) + p * s, "with half of the time gone"),
    ],
)
def test_wrong_answers_are_told_which_property_broke(exercise, wrong, words):
    told = verdict(exercise, wrong)
    assert told.startswith("Not yet: ")
    assert words in told


def test_right_answers_in_other_words_pass():
    assert verdict("11/amdahl", lambda p, s: s / (s * (1 - p) + p)) == "Right."
    ratios = "11/speed_up", lambda a, b: sorted(x / y for x, y in zip(a, b, strict=True))[len(a) // 2]
    assert verdict(*ratios) == "Right."
