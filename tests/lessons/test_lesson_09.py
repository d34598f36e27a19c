"""Lesson 9: the mistakes students make are named."""

import numpy as np
import pytest
import torch

from polygrad_edu.checks import verdict
from polygrad_edu.world_model_error import interval
from tests.lessons.test_lessons import solutions


def errors(squared=lambda d, std: ((d / std) ** 2).mean(-1), middle=np.median, runs=None):
    """An answer to 9.1 with one of its parts replaced."""

    def by_horizon(imagined, real, terminals, std):
        off = squared(imagined - real, std)  # [N, H]
        over = np.maximum.accumulate(terminals, axis=1)
        before = np.concatenate([np.zeros_like(over[:, :1]), over[:, :-1]], axis=1)
        counted = (runs or (lambda terminals, over, before: before == 0))(terminals, over, before)
        return np.array([middle(off[counted[:, h], h]) for h in range(off.shape[1])])

    return by_horizon


def shifted(terminals, over, before):
    return np.concatenate([np.zeros_like(terminals[:, :1]), terminals[:, :-1]], axis=1) == 0


def ended_count_as_right(imagined, real, terminals, std):
    over = np.maximum.accumulate(terminals, axis=1)
    before = np.concatenate([np.zeros_like(over[:, :1]), over[:, :-1]], axis=1)
    return np.median(np.where(before == 0, (((imagined - real) / std) ** 2).mean(-1), 0), axis=0)


def resampled(size=None, replace=True, ends=(2.5, 97.5), resamples=1000, statistic=None):
    def bootstrap(values, asked, generator):
        n = size or len(values)
        computed = statistic or asked
        again = [computed(generator.choice(values, size=n, replace=replace)) for _ in range(resamples)]
        return tuple(np.percentile(again, ends))

    return bootstrap


def in_place(say, actions, t, push=1.0):
    before = say(actions)
    actions[:, t] += push
    return (say(actions) - before).square().mean(dim=(0, 2)).sqrt()


def moved(of=lambda d: d.square().mean(dim=(0, 2)).sqrt(), where=lambda t: t, push=None):
    def movement(say, actions, t, pushed_by=1.0):
        pushed = actions.clone()
        pushed[:, where(t)] += pushed_by if push is None else push
        return of(say(pushed) - say(actions))

    return movement


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("09/error_by_horizon", lambda *answer: None, "error_by_horizon is empty so far"),
        ("09/error_by_horizon", lambda i, r, t, s: 0.0, "four errors"),
        ("09/error_by_horizon", errors(lambda d, std: ((d / std) ** 2).sum(-1)), "average the squares"),
        ("09/error_by_horizon", errors(lambda d, std: (d**2).mean(-1)), "exactly one std"),
        ("09/error_by_horizon", errors(lambda d, std: np.abs(d / std).mean(-1)), "it is a square"),
        ("09/error_by_horizon", errors(middle=np.mean), "the median is 0"),
        ("09/error_by_horizon", errors(runs=lambda t, over, before: np.ones_like(t) == 1), "two repeated rows"),
        ("09/error_by_horizon", ended_count_as_right, "left out, not counted as 0"),
        ("09/error_by_horizon", errors(runs=shifted), "is still over at time 3"),
        ("09/error_by_horizon", errors(runs=lambda t, over, before: over == 0), "does exist and counts"),
        ("09/bootstrap_interval", lambda *answer: ..., "bootstrap_interval is empty so far"),
        ("09/bootstrap_interval", lambda v, s, g: s(v), "two ends"),
        ("09/bootstrap_interval", resampled(ends=(97.5, 2.5)), "the low end comes first"),
        ("09/bootstrap_interval", resampled(replace=False), "*with* replacement"),
        ("09/bootstrap_interval", lambda v, s, g: tuple(np.percentile(v, (2.5, 97.5))), "as large as the sample"),
        ("09/bootstrap_interval", resampled(size=1), "as large as the sample"),
        ("09/bootstrap_interval", resampled(ends=(5, 95)), "left out on either side"),
        ("09/bootstrap_interval", resampled(ends=(0, 100)), "left out on either side"),
        ("09/bootstrap_interval", resampled(statistic=np.mean), "given statistic"),
        ("09/moved", lambda *answer: None, "moved is empty so far"),
        ("09/moved", in_place, "push a copy"),
        ("09/moved", moved(lambda d: d.square().mean().sqrt()), "five movements"),
        ("09/moved", moved(push=0.0), "nothing moves at all"),
        ("09/moved", moved(where=lambda t: slice(None)), "push time 2 alone"),
        ("09/moved", moved(where=lambda t: t - 1), "push time 2 alone"),
        ("09/moved", moved(lambda d: d.square().mean(dim=(0, 2))), "a root is missing"),
        ("09/moved", moved(lambda d: d.abs().mean(dim=(0, 2))), "root of their mean square"),
        ("09/moved", moved(lambda d: d.mean(dim=0).square().mean(dim=-1).sqrt()), "must not cancel"),
        ("09/moved", moved(push=1.0), "is `push` used?"),
    ],
)
def test_wrong_answers_are_told_which_property_broke(exercise, wrong, words):
    told = verdict(exercise, wrong)
    assert told.startswith("Not yet: ")
    assert words in told


def test_right_answers_in_other_words_pass():
    def by_rows(imagined, real, terminals, std):
        values = [[] for _ in range(real.shape[1])]
        for dreamt, true, ends in zip(imagined, real, terminals, strict=True):
            last = np.flatnonzero(ends)[0] if ends.any() else len(ends) - 1
            for h in range(last + 1):
                values[h].append(np.mean(((dreamt[h] - true[h]) / std) ** 2))
        return [float(np.median(row)) for row in values]

    def by_matrix(values, statistic, generator):
        drawn = generator.integers(len(values), size=(2000, len(values)))
        return np.quantile([statistic(row) for row in values[drawn]], [0.025, 0.975])

    def by_mask(say, actions, t, push=1.0):
        mask = torch.zeros_like(actions)
        mask[:, t] = 1
        return (say(actions + push * mask) - say(actions)).pow(2).transpose(0, 1).flatten(1).mean(dim=1) ** 0.5

    for exercise, answer in (("error_by_horizon", by_rows), ("bootstrap_interval", by_matrix), ("moved", by_mask)):
        assert verdict(f"09/{exercise}", answer) == "Right."


def test_the_solutions_are_what_the_package_computes():
    """On made-up trajectories of which some end, by the package's own way of masking and resampling."""
    answers = dict(solutions("09"))
    generator = np.random.default_rng(0)
    imagined, real = generator.normal(size=(2, 50, 8, 3))
    terminals = (generator.random((50, 8)) < 0.1).astype(float)
    std = np.array([0.5, 1.0, 2.0])
    (by_horizon,), (bootstrap,) = answers["09/error_by_horizon"], answers["09/bootstrap_interval"]
    squared = (((imagined - real) / std) ** 2).mean(axis=-1)
    found = by_horizon(imagined, real, terminals, std)
    for h in range(1, 8):
        runs = np.maximum.accumulate(terminals, axis=1)[:, h - 1] == 0
        assert found[h] == pytest.approx(interval(squared[runs, h], np.median).value)
        package = interval(squared[runs, h], np.mean, resamples=4000)
        ends = bootstrap(squared[runs, h], np.mean, np.random.default_rng(h), 4000)
        np.testing.assert_allclose(ends, [package.low, package.high], rtol=0.05)
