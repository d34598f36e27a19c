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


def record(late=False, one_flag=False, lost_start=False, **other):
    """The exercise's function with some of its bugs, or with another."""

    def recording(env, act, replay, n_steps):
        observation, _ = env.reset(seed=0)
        for _ in range(n_steps - other.get("too_few", 0)):
            action = act(observation)
            after, reward, terminal, truncated, _ = env.step(action)
            cut = truncated and not other.get("no_cuts")
            fell = terminal or truncated if one_flag else terminal and not (truncated and other.get("cut_first"))
            if not (other.get("unstored") and (terminal or truncated)):
                replay.add(after if late else observation, action, other.get("paid", reward), fell, cut)
            observation = after
            if terminal or (truncated and not other.get("falls_only")):
                following, _ = env.reset()
                observation = observation if lost_start else following

    return recording


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
        ("08/record", record(late=True, one_flag=True, lost_start=True), "what was seen *after* its action"),
        ("08/record", record(late=True), "what was seen *after* its action"),
        ("08/record", record(one_flag=True, lost_start=True), "answers observation 3"),
        ("08/record", record(one_flag=True), "its last row says that it fell"),
        ("08/record", record(cut_first=True), "whatever the clock says"),
        ("08/record", record(no_cuts=True), "no row says so"),
        ("08/record", record(falls_only=True), "without a reset"),
        ("08/record", record(too_few=1), "9 steps were asked for"),
        ("08/record", record(unstored=True), "each is worth a row"),
        ("08/record", record(paid=1.0), "The rewards, equal to the actions here"),
        ("08/record", lambda *given: ..., "stepped 0 times"),
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
    assert verdict("08/record", record()) == "Right."
    assert verdict("08/reported", lambda s, r: r.mean(1)[s.sum(1).argmax()]) == "Right."


def test_the_folded_solutions_are_found():
    names = ["08/updates_due", "08/window_starts", "08/record", "08/reported"]
    assert [exercise for exercise, _ in solutions("08")] == names
