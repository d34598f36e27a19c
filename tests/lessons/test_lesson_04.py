"""Lesson 4: the mistakes students make are named."""

import pytest
import torch

from polygrad_edu.checks import verdict


def in_place(trajectory, first):
    trajectory[:, 0, : first.shape[1]] = first
    return trajectory


def everywhere(trajectory, first):
    trajectory = trajectory.clone()
    trajectory[:, :, : first.shape[1]] = first[:, None]
    return trajectory


def rewards_too(trajectory, first):
    trajectory = trajectory.clone()
    trajectory[:, 0] = 0
    trajectory[:, 0, : first.shape[1]] = first
    return trajectory


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("04/with_first", lambda x, first: None, "with_first is empty so far"),
        ("04/with_first", in_place, "change a copy"),
        ("04/with_first", everywhere, "later ones should stay"),
        ("04/with_first", rewards_too, "not known: keep them"),
        ("04/with_first", lambda x, first: x.clone(), "should be the given one"),
        ("04/with_first", lambda x, first: torch.cat([first[:, None], x[:, 1:, :3]], 1), "the shape should stay"),
        ("04/error_by_step", lambda i, r, s: ..., "error_by_step is empty so far"),
        ("04/error_by_step", lambda i, r, s: (((i - r) / s) ** 2).mean(-1).mean(0), "would not care"),
        ("04/error_by_step", lambda i, r, s: (((i - r) / s) ** 2).sum(-1).median(0).values, "do not add them up"),
        ("04/error_by_step", lambda i, r, s: ((i - r) / s).abs().mean(-1).median(0).values, "squares is 5"),
        ("04/error_by_step", lambda i, r, s: ((i - r) ** 2 / s).mean(-1).median(0).values, "Divide before squaring"),
        ("04/error_by_step", lambda i, r, s: (((i - r) / s) ** 2).mean((1, 2)), "three numbers"),
        ("04/error_by_step", lambda i, r, s: (((i - r) / s) ** 2).median(0).values.mean(-1), "First the mean within"),
        (
            "04/error_by_step",
            lambda i, r, s: (((i - r) / s) ** 2).mean((-1, -2)).median().expand(i.shape[1]),
            "its own error",
        ),
    ],
)
def test_wrong_answers_are_told_which_property_broke(exercise, wrong, words):
    told = verdict(exercise, wrong)
    assert told.startswith("Not yet: ")
    assert words in told


def test_right_answers_in_other_words_pass():
    def with_cat(trajectory, first):
        row = torch.cat([first, trajectory[:, 0, first.shape[1] :]], dim=1)
        return torch.cat([row[:, None], trajectory[:, 1:]], dim=1)

    def with_loops(imagined, real, scale):
        columns = [((imagined[:, k] - real[:, k]) / scale).pow(2).mean(1) for k in range(imagined.shape[1])]
        return torch.stack([column.sort().values[(len(column) - 1) // 2] for column in columns])

    assert verdict("04/with_first", with_cat) == "Right."
    assert verdict("04/error_by_step", with_loops) == "Right."
