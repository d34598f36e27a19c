"""Lesson 8: the folded solutions are right, the mistakes students make are named."""

import pytest

from polygrad_edu.checks import verdict
from tests.lessons.test_lessons import solutions


def each_step_alone(env_step, made, prefill, pretrain, per_step):
    return pretrain if env_step == prefill else int(per_step)


def forgets_what_was_made(env_step, made, prefill, pretrain, per_step):
    return pretrain + int((env_step - prefill) * per_step)


def with_fractions(env_step, made, prefill, pretrain, per_step):
    return pretrain + (env_step - prefill) * per_step - made


def without_the_beginning(env_step, made, prefill, pretrain, per_step):
    return int(env_step * per_step) - made


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("08/updates_due", lambda *a: None, "updates_due is empty so far"),
        ("08/updates_due", each_step_alone, "must add up from step to step"),
        ("08/updates_due", forgets_what_was_made, "not due again"),
        ("08/updates_due", with_fractions, "only whole ones can be made"),
        ("08/updates_due", without_the_beginning, "you find 500 due"),
        ("08/window_starts", lambda n, f, h: ..., "window_starts is empty so far"),
        ("08/window_starts", lambda n, f, h: list(range(n)), "into the unknown"),
        ("08/window_starts", lambda n, f, h: list(range(max(0, n - h))), "all that a window from step 4 needs"),
        ("08/window_starts", lambda n, f, h: list(range(max(0, n - h + 1))), "in an episode of 9 steps that fell"),
        ("08/window_starts", lambda n, f, h: list(range(n + 1)), "outside the episode"),
        ("08/window_starts", lambda n, f, h: 1 / 0, "your code stopped with ZeroDivisionError"),
        ("08/reported", lambda s, r: ..., "reported is empty so far"),
        ("08/reported", lambda s, r: s.mean(1).max(), "the very episodes that chose"),
        ("08/reported", lambda s, r: r.mean(1).max(), "choose by the report episodes"),
        ("08/reported", lambda s, r: s.max(), "a single lucky episode"),
        ("08/reported", lambda s, r: r.mean(), "is not its mean"),
        ("08/reported", lambda s, r: r[s.max(1).values.argmax()].mean(), "chose the one lucky episode"),
        ("08/reported", lambda s, r: r.mean(1), "a single number"),
    ],
)
def test_wrong_answers_are_told_which_property_broke(exercise, wrong, words):
    told = verdict(exercise, wrong)
    assert told.startswith("Not yet: ")
    assert words in told


def test_right_answers_in_other_words_pass():
    assert verdict("08/window_starts", lambda n, f, h: [i for i in range(n) if f or i + h <= n]) == "Right."
    assert verdict("08/reported", lambda s, r: r.mean(1)[s.sum(1).argmax()]) == "Right."


def test_the_folded_solutions_are_found():
    assert [exercise for exercise, _ in solutions("08")] == ["08/updates_due", "08/window_starts", "08/reported"]
