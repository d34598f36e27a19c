"""Lesson 11: the mistakes students make are named."""

from itertools import pairwise
from statistics import mean, median
from time import perf_counter

import pytest

from polygrad_edu.checks import verdict


def stopwatch(warm="ab", restart="each", turns=True, dropped=0):
    """The exercise's function with some of its bugs, or with another."""

    def in_turn(work_a, work_b, rounds, clock):
        works = {"a": work_a, "b": work_b}
        seconds = {"a": [], "b": []}
        for name in warm:
            works[name]()
        order = "ab" * rounds if turns else "a" * rounds + "b" * rounds
        begin = clock()
        for name in order:
            if restart == "each" or (restart == "round" and name == "a"):
                begin = clock()
            works[name]()
            seconds[name].append(clock() - begin)
        return seconds["a"][dropped:], seconds["b"][dropped:]

    return in_turn


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
        ("11/in_turn", lambda a, b, n, clock: None, "in_turn is empty so far"),
        ("11/in_turn", lambda a, b, n, clock: 2.0, "two lists come back"),
        ("11/in_turn", lambda a, b, n, clock: ([2.0] * n, [1.0] * n), "neither of the two works was ever called"),
        ("11/in_turn", stopwatch(warm="", restart="", turns=False), "the stopwatch runs on"),
        ("11/in_turn", stopwatch(restart="round"), "A's seconds are in it"),
        ("11/in_turn", stopwatch(warm=""), "the first call of A sets things up"),
        ("11/in_turn", stopwatch(warm="a"), "the first call of B sets things up"),
        ("11/in_turn", stopwatch(turns=False), "came in the order AAABBB"),
        ("11/in_turn", stopwatch(warm="", dropped=1), "3 rounds make 3 numbers of A, not 2"),
        ("11/in_turn", lambda a, b, n, clock: stopwatch()(a, b, n, perf_counter), "by the clock that was handed in"),
        ("11/in_turn", lambda a, b, n, clock: stopwatch()(a, b, n, clock)[::-1], "A takes 2 s and B 1 s in each round"),
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
    assert verdict("11/in_turn", stopwatch()) == "Right."
    assert verdict("11/in_turn", lambda a, b, n, clock: stopwatch(warm="", dropped=1)(a, b, n + 1, clock)) == "Right."
    ratios = "11/speed_up", lambda a, b: sorted(x / y for x, y in zip(a, b, strict=True))[len(a) // 2]
    assert verdict(*ratios) == "Right."
