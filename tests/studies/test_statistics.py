"""Statistics over seeds, against numbers worked out by hand."""

import gymnasium
import numpy as np
import pytest

from polygrad_edu import environments
from polygrad_edu.presets import get_preset
from polygrad_edu.studies.statistics import (
    Scale,
    find_scale,
    interquartile_mean,
    learning_curve,
    performance_profile,
    probability_of_improvement,
    random_return,
)


def test_the_interquartile_mean_is_that_of_the_middle_half():
    scores = np.array([[-1000.0, 1, 2, 3], [4, 5, 6, 1000]])  # the middle half: 2, 3, 4, 5
    mean = interquartile_mean(scores)
    assert mean.value == 3.5
    assert mean.low <= 3.5 <= mean.high
    assert interquartile_mean(np.full((5, 2), 7.0)) == (7, 7, 7)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    draws = np.random.default_rng(0)
    intervals = [interquartile_mean(draws.normal(size=(20, 1))) for _ in range(20)]
    assert sum(low <= 0 <= high for _, low, high in intervals) >= 16  # 19 expected
    narrow, wide = interquartile_mean(draws.normal(size=(100, 1))), interquartile_mean(draws.normal(size=(10, 1)))
    assert narrow.high - narrow.low < wide.high - wide.low


def test_a_learning_curve_is_the_interquartile_mean_at_each_evaluation():
    returns = np.arange(8.0)[:, None] * [1, 10] + [0, 100]
    value, low, high = learning_curve(returns)
    assert value.tolist() == [3.5, 135]
    assert (low <= value).all()
    assert (value <= high).all()


def test_a_profile_is_the_share_of_runs_above_each_level():
    share, low, high = performance_profile(np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([0.0, 0.1, 0.25, 0.4]))
    assert share.tolist() == [1, 0.75, 0.5, 0]
    assert (low <= share).all()
    assert (share <= high).all()


@pytest.mark.parametrize(
    ("better", "worse", "chance"), [([5, 6, 7], [1, 2, 3], 1), ([1, 2], [1, 2], 0.5), ([1, 4], [2, 3], 0.5)]
)
def test_the_probability_of_improvement_counts_pairs(better, worse, chance):
    columns = [np.array(scores, dtype=float)[:, None] for scores in (better, worse)]
    assert probability_of_improvement(*columns).value == chance
    assert probability_of_improvement(*columns[::-1]).value == 1 - chance


def test_intervals_are_the_same_each_time_and_draw_from_nobody_elses_numbers():
    scores = np.random.default_rng(1).normal(size=(5, 3))
    np.random.seed(3)  # noqa: NPY002
    first = interquartile_mean(scores)
    drawn = np.random.random()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    assert np.random.random() == drawn  # noqa: NPY002
    assert interquartile_mean(scores) == first


def test_random_actions_reach_what_they_do_in_the_environment():
    """Played here one by one, with a generator of our own: the same distribution, not the same draws."""
    preset, returns = get_preset("pendulum"), []
    draws = np.random.default_rng(0)
    for episode in range(20):
        env = environments.make(preset.task.env_id, preset.task.action_scale)
        env.reset(seed=episode)
        total, done = 0.0, False
        while not done:
            _, reward, terminal, truncated, _ = env.step(draws.uniform(-1, 1, 1).astype(np.float32))
            total, done = total + reward, terminal or truncated
        returns.append(total)
        env.close()
    standard_error = np.std(returns) / np.sqrt(20)
    assert abs(random_return(preset) - np.mean(returns)) < 4 * np.sqrt(2) * standard_error
    assert random_return(preset) == random_return(preset)


@pytest.mark.parametrize(
    ("preset", "best", "goal", "source"),
    [
        ("inverted-pendulum", 5, gymnasium.spec("InvertedPendulum-v5").reward_threshold, "Gymnasium's own threshold"),
        ("walker2d-cpu", 5, 4933, "TRPO on Walker2d-v3"),
        ("pendulum", -200, -200, "the best trial of this study"),
    ],
)
def test_a_scale_names_its_goal_and_where_it_comes_from(preset, best, goal, source):
    scale = find_scale(get_preset(preset), best)
    assert scale.goal == goal
    assert source in scale.source
    assert scale.score(np.array([scale.random, scale.goal])) == pytest.approx([0, 1])


def test_a_task_on_which_nothing_beat_random_actions_still_has_a_scale():
    scale = find_scale(get_preset("pendulum"), -5000)
    assert scale.goal == scale.random + 1
    assert Scale("x", -10, 10, "").score(np.array([0, 20])).tolist() == [0.5, 1.5]
