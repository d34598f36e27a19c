"""Lesson 10: the mistakes students make are named."""

import pytest

from polygrad_edu.checks import verdict


def counted(steps, returns, level, evaluations):
    row = 0
    for i, value in enumerate(returns):
        row = row + 1 if value >= level else 0
        if row == evaluations:
            return steps[i - evaluations + 1]
    return None


def at_the_end_of_a_row(steps, returns, level, evaluations):
    row = 0
    for step, value in zip(steps, returns, strict=True):
        row = row + 1 if value >= level else 0
        if row == evaluations:
            return step
    return None


def not_in_a_row(steps, returns, level, evaluations):
    good = [step for step, value in zip(steps, returns, strict=True) if value >= level]
    return good[0] if len(good) >= evaluations else None


def stops_early(steps, returns, level, evaluations):
    for i in range(len(returns) - evaluations):
        if min(returns[i : i + evaluations]) >= level:
            return steps[i]
    return None


def more_than(steps, returns, level, evaluations):
    for i in range(len(returns) - evaluations + 1):
        if min(returns[i : i + evaluations]) > level:
            return steps[i]
    return None


def rate(preset, step, update, improvement):
    return preset.loop.env_steps * (
        step + preset.loop.updates_per_step * update + improvement / preset.loop.policy_update_every
    )


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("10/sustained", lambda s, r, level, n: None, "sustained is empty so far"),
        ("10/sustained", at_the_end_of_a_row, "the *first* of them"),
        ("10/sustained", not_in_a_row, "not two in a row"),
        ("10/sustained", stops_early, "do you stop too early?"),
        ("10/sustained", more_than, "the task says at least"),
        ("10/sustained", lambda *answer: counted(*answer) or -1, "the answer is None, not -1"),
        ("10/hours", lambda p, a, b, c: ..., "hours is empty so far"),
        ("10/hours", rate, "answer in seconds"),
        ("10/hours", lambda p, a, b, c: p.loop.env_steps * (a + b + c) / 3600, "2 hours"),
        (
            "10/hours",
            lambda p, a, b, c: rate(p, a, b, c * p.loop.policy_update_every**2) / 3600,
            "once in policy_update_every steps",
        ),
        ("10/hours", lambda p, a, b, c: p.loop.env_steps * max(a, p.loop.updates_per_step * b, c / 4) / 3600, "add up"),
    ],
)
def test_wrong_answers_are_told_which_property_broke(exercise, wrong, words):
    told = verdict(exercise, wrong)
    assert told.startswith("Not yet: ")
    assert words in told


def test_right_answers_in_other_words_pass():
    assert verdict("10/sustained", counted) == "Right."
    assert verdict("10/hours", lambda *answer: rate(*answer) / 60 / 60) == "Right."
