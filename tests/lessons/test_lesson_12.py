"""Lesson 12: mistakes are named, the solutions are what rliable computes, and the projects' commands are commands."""

import itertools
import re

import numpy as np
import pytest
from rich.console import Console
from rliable import metrics

from polygrad_edu.checks import verdict
from polygrad_edu.presets import get_preset
from polygrad_edu.studies import seeds
from tests.lessons.test_lessons import LESSONS, cells, solutions


def best(at_most=lambda i, n, k: (i / n) ** k):
    def expected(returns, k):
        ordered = np.sort(returns)
        return (ordered * np.diff(at_most(np.arange(len(ordered) + 1), len(ordered), k))).sum()

    return expected


def best_sorting_in_place(returns, k):
    returns.sort()
    return best()(returns, k)


def without_repeats(returns, k):
    return np.mean([max(drawn) for drawn in itertools.combinations(returns, k)])


def middle(cut=lambda n: n // 4, order=np.sort, of=np.mean):
    def mean(returns):
        n = len(returns)
        return of(order(returns)[cut(n) : n - cut(n)])

    return mean


def middle_sorting_in_place(returns):
    returns.sort()
    return middle(order=lambda ordered: ordered)(returns)


def wins(tie):
    return lambda x, y: ((x[:, None] > y) + tie * (x[:, None] == y)).mean()


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("12/expected_best", lambda r, k: None, "expected_best is empty so far"),
        ("12/expected_best", lambda r, k: r, "one number"),
        ("12/expected_best", lambda r, k: r.max(), "nothing is chosen"),
        ("12/expected_best", best_sorting_in_place, "sort a copy"),
        ("12/expected_best", without_repeats, "repeats are allowed"),
        ("12/expected_best", lambda r, k: r.mean(), "one case of four"),
        ("12/expected_best", lambda r, k: best()(r, min(k, 2)), "nearly surely the best"),
        ("12/interquartile_mean", lambda r: ..., "interquartile_mean is empty so far"),
        ("12/interquartile_mean", np.sum, "any mean is 7"),
        ("12/interquartile_mean", np.mean, "the mean of all four"),
        ("12/interquartile_mean", middle_sorting_in_place, "sort a copy"),
        ("12/interquartile_mean", middle(order=lambda r: r), "whatever their order"),
        ("12/interquartile_mean", middle(cut=lambda n: -(-n // 4)), "rounded down, is nothing"),
        ("12/interquartile_mean", np.median, "rounded down, is nothing"),
        ("12/interquartile_mean", middle(cut=lambda n: int(n >= 4)), "two are cut at either end"),
        ("12/probability_of_improvement", lambda x, y: None, "probability_of_improvement is empty so far"),
        ("12/probability_of_improvement", lambda x, y: x[:, None] > y, "one number"),
        ("12/probability_of_improvement", lambda x, y: wins(0.5)(y, x), "which of the two is to win"),
        ("12/probability_of_improvement", lambda x, y: (x[:, None] > y).sum(), "in all six pairs"),
        ("12/probability_of_improvement", wins(0), "What do the ties"),
        ("12/probability_of_improvement", wins(1), "What do the ties"),
        (
            "12/probability_of_improvement",
            lambda x, y: np.sign(x.mean() - y.mean()) / 2 + 0.5,
            "Is each run compared with each?",
        ),
    ],
)
def test_wrong_answers_are_told_which_property_broke(exercise, wrong, words):
    told = verdict(exercise, wrong)
    assert told.startswith("Not yet: ")
    assert words in told


def test_right_answers_in_other_words_pass():
    def by_every_draw(returns, k):
        grids = np.meshgrid(*[returns] * min(k, 8))  # with more draws than that it hardly changes
        return float(np.max(grids, axis=0).mean()) if len(returns) ** min(k, 8) < 10_000 else None

    def by_probability(returns, k):
        values, counts = np.unique(returns, return_counts=True)
        reached = (counts.cumsum() / counts.sum()) ** k
        return float(values @ np.diff(reached, prepend=0))

    assert verdict("12/expected_best", by_probability) == "Right."
    assert by_every_draw(np.array([1.0, 2.0, 6.0]), 3) == pytest.approx(by_probability(np.array([1.0, 2.0, 6.0]), 3))
    assert verdict("12/interquartile_mean", lambda r: metrics.aggregate_iqm(np.asarray(r)[:, None])) == "Right."

    def by_hand(x, y):
        return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in x for b in y) / (len(x) * len(y))

    assert verdict("12/probability_of_improvement", by_hand) == "Right."


def test_the_solutions_are_what_rliable_computes():
    answers = {name: answer for name, (answer,) in solutions("12")}
    generator = np.random.default_rng(0)
    for n in range(1, 12):
        x, y = generator.integers(0, 9, n).astype(float), generator.integers(0, 9, 5).astype(float)
        assert answers["12/interquartile_mean"](x) == pytest.approx(metrics.aggregate_iqm(x[:, None]))
        theirs = metrics.probability_of_improvement(x[:, None], y[:, None])
        assert answers["12/probability_of_improvement"](x, y) == pytest.approx(theirs)
        draws = generator.choice(x, size=(20_000, 3)).max(axis=1)
        assert answers["12/expected_best"](x, 3) == pytest.approx(
            draws.mean(), abs=4 * draws.std() / 20_000**0.5 + 1e-9
        )


def test_every_project_begins_with_a_command_that_works():
    (path,) = [path for path in LESSONS if path.name.startswith("12")]
    (text,) = [source for _, source, _, _ in cells(path) if "## Open questions" in source]
    rows = re.findall(r"^\| \d+ \|.*$", text, re.M)
    assert len(rows) >= 8
    for row in rows:
        command = re.search(r"`polygrad-edu (.*?)`", row).group(1).split()
        name, *options = command
        if name == "error":
            assert options[0] == "data/hopper"  # which polygrad-edu dataset makes
            continue
        assert name == "train"
        preset = get_preset(options.pop(0) if not options[0].startswith("--") else "inverted-pendulum")
        named = dict(zip(options[::2], options[1::2], strict=True))
        settings = {
            key.removeprefix("--"): value for key, value in named.items() if key not in ("--seeds", "--minutes")
        }
        preset.with_overrides(settings)  # an InputError would name a setting that does not exist


def test_errors_are_quoted_as_they_are(tmp_path):
    (tmp_path / "my-seeds").mkdir()
    (tmp_path / "my-seeds" / "seed0").mkdir()
    several = seeds.SeveralSeeds("hopper-cpu", get_preset("hopper-cpu"), {}, range(2), "cpu")
    with pytest.raises(ValueError, match="is there already; choose another --out, or continue a seed with --resume"):
        seeds.train_seeds(several, tmp_path / "my-seeds", Console())
    with pytest.raises(IndexError, match="tuple index out of range"):
        metrics.probability_of_improvement(np.zeros(3), np.ones(3))
