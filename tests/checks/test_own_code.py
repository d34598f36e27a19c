"""The student's functions at work: called once they are right, kept for later lessons, set aside if wrong."""

import numpy as np
import pytest
import torch

from polygrad_edu.checks import own_code
from polygrad_edu.checks.own_code import IN_THE_LOOP, PLACES, check, mine_or, use, use_mine, whose_code
from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.noise_schedule import NoiseSchedule
from polygrad_edu.presets import get_preset
from tests.lessons.test_lessons import LESSONS, exercises, solutions

TINY = {
    "env_steps": "60", "prefill_steps": "40", "pretrain_updates": "5", "width": "16", "depth": "1", "batch_size": "16",
    "imagined_trajectories": "16", "policy_width": "16", "eval_every": "30", "eval_episodes": "1",
}  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder of one's own, and the package as it was afterwards."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for exercise in PLACES:
        use(exercise, None)


def solution(exercise):
    """The folded solution of a lesson, and its text."""
    lesson = exercise.partition("/")[0]
    (function,) = dict(solutions(lesson))[exercise]
    (path,) = [path for path in LESSONS if path.name.startswith(f"{lesson}_")]
    (text,) = [text for name, _, _, text, _ in exercises(path) if name == exercise]
    return function, text


def trained():
    loop = ImaginationLoop(get_preset("inverted-pendulum").with_overrides(**TINY), seed=3)
    for _ in loop.steps():
        pass
    return loop.actor_critic.policy.mean(torch.zeros(1, 4))


def test_the_training_calls_every_function_that_the_student_wrote_and_learns_the_same():
    before = trained()
    calls = dict.fromkeys(IN_THE_LOOP, 0)

    def counted(exercise, function):
        def call(*arguments):
            calls[exercise] += 1
            return function(*arguments)

        return call

    for exercise in calls:
        check(exercise, counted(exercise, solution(exercise)[0]))
    calls |= dict.fromkeys(calls, 0)  # what the checks called does not count
    assert torch.allclose(trained(), before, atol=1e-4)
    assert all(count > 0 for count in calls.values()), calls
    assert calls["08/updates_due"] == 21  # once for each real step from the last random one on
    for exercise in PLACES:
        use(exercise, None)
    assert torch.equal(trained(), before)


def test_a_film_is_credited_to_whoever_wrote_the_code_that_runs():
    assert whose_code() == "trained by the package's code alone"
    for exercise in ("02/posterior", "04/with_first", "13/kalman_update"):  # the last is no part of the loop
        check(exercise, solution(exercise)[0])
    assert whose_code() == f"trained by your code, in 2 of {len(IN_THE_LOOP)} parts"


def test_a_right_function_is_kept_and_found_by_a_later_lesson(elsewhere, capsys):
    path = elsewhere / "my_code" / "02_noised.py"
    source = elsewhere / "cell.py"
    source.write_text(
        "def noised(x_0, alpha_bar, noise):\n    return alpha_bar**0.5 * x_0 + (1 - alpha_bar)**0.5 * noise\n"
    )
    names = {}
    exec(compile(source.read_text(), str(source), "exec"), names)
    check("02/noised", names["noised"])
    told = capsys.readouterr().out
    assert told == (
        "Right. From here on NoiseSchedule.add_noise runs your code, and use_mine() brings it to later lessons, "
        "from my_code/02_noised.py.\n"
    )
    assert path.read_text() == f"{own_code.IMPORTS}\n\n{source.read_text()}"
    use("02/noised", None)
    own = NoiseSchedule.add_noise
    use_mine()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(IN_THE_LOOP)
    assert lines[0].split() == ["02/noised", "NoiseSchedule.add_noise", "yours"]
    assert lines[1].endswith("the package's (yours is not written yet)")
    assert NoiseSchedule.add_noise is not own


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def noised(x_0, alpha_bar, noise):\n    return noise\n", "Not yet: with alpha_bar = 1 nothing is hidden"),
        ("def noise(", "SyntaxError"),
        ("x = 1\n", "KeyError"),
        ("def noised(x_0, alpha_bar, noise):\n    return helper(x_0)\n", "NameError"),
    ],
)
def test_a_kept_function_that_is_no_longer_right_is_set_aside_and_told_why(elsewhere, capsys, text, words):
    (elsewhere / "my_code").mkdir()
    (elsewhere / "my_code" / "02_noised.py").write_text(text)
    own = NoiseSchedule.add_noise
    use_mine()
    first = capsys.readouterr().out.splitlines()[0]
    assert "the package's (my_code/02_noised.py: " in first
    assert words in first
    assert NoiseSchedule.add_noise is own


def test_a_wrong_answer_changes_nothing(elsewhere, capsys):
    own = NoiseSchedule.add_noise
    check("02/noised", lambda x, a, e: e)
    assert capsys.readouterr().out.startswith("Not yet: ")
    assert NoiseSchedule.add_noise is own
    assert list(elsewhere.iterdir()) == []


def test_a_function_without_lines_works_in_its_lesson_only(capsys):
    check("02/noised", eval("lambda x, a, e: a**0.5 * x + (1 - a)**0.5 * e"))
    assert "in this lesson only: its lines are not to be found" in capsys.readouterr().out


def test_an_exercise_without_a_place_in_the_package_is_only_judged(capsys):
    check("08/reported", solution("08/reported")[0])
    assert capsys.readouterr().out == "Right.\n"


def test_the_places_are_there():
    for exercise, place in own_code.PLACES.items():
        assert callable(getattr(place.owner, place.name)), exercise


def test_the_next_cells_call_what_is_right_and_say_whose_it_is(capsys):
    right, wrong = (lambda F: np.abs(np.linalg.eigvals(F)).max()), (lambda F: np.linalg.eigvals(F).max())
    assert mine_or("01/growth", right, wrong) is right
    assert capsys.readouterr().out == "01/growth: yours\n"
    assert mine_or("01/growth", wrong, right) is right
    assert capsys.readouterr().out == "01/growth: the lesson's own (yours is not right yet)\n"
