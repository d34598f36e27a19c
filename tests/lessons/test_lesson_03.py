"""Lesson 3: the folded solutions are right, the mistakes students make are named."""

import math

import pytest
import torch

from polygrad_edu.checks import verdict
from tests.lessons.test_lessons import solutions


def features(step, frequencies, unit, turn=2 * math.pi, sines_first=True):
    t = unit * step[:, None].float()
    waves = [(turn * t * frequencies).sin(), (turn * t * frequencies).cos()]
    return torch.cat([t, *(waves if sines_first else waves[::-1])], dim=1)


def shown(trajectory, actions, alpha_bar, noise, size, columns=None, scale=None, action_noise=0.0):
    alpha_bar = alpha_bar[:, None, None]
    noisy = alpha_bar.sqrt() * trajectory + (1 - alpha_bar).sqrt() * noise
    columns = size if columns is None else columns
    noisy[:, 0, :columns] = trajectory[:, 0, :columns]
    scale = alpha_bar.sqrt() if scale is None else scale(alpha_bar)
    return noisy, scale * actions + action_noise


def in_place(answer, trajectory, size):
    answer[:, 0, :size] = trajectory[:, 0, :size]
    return (answer - trajectory).square().mean()


def overwrites(trajectory, actions, alpha_bar, noise, size):
    trajectory += noise
    return trajectory, actions


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("03/step_features", lambda s, f, u: None, "step_features is empty so far"),
        ("03/step_features", lambda s, f, u: [s], "not a list"),
        ("03/step_features", lambda s, f, u: features(s, f, u)[:, 1:], "should be (4, 7)"),
        ("03/step_features", lambda s, f, u: features(s, f, u, sines_first=False), "sines come first"),
        ("03/step_features", lambda s, f, u: features(s, f, u, turn=1), "How long is a whole way round"),
        ("03/step_features", lambda s, f, u: features(s, f, 1.0), "in units of 0.0156"),
        (
            "03/step_features",
            lambda s, f, u: torch.cat([u * s[:, None], features(s, f, 1.0)[:, 1:]], dim=1),
            "does the unit reach the waves",
        ),
        ("03/denoiser_input", lambda *given: None, "denoiser_input is empty so far"),
        ("03/denoiser_input", lambda x, a, s, e, size: x, "two things"),
        ("03/denoiser_input", overwrites, "came back changed"),
        ("03/denoiser_input", lambda x, a, s, e, size: shown(x, a, s**2, e, size), "not noised as in lesson 2"),
        ("03/denoiser_input", lambda *given: shown(*given, columns=0), "there is noise on it"),
        ("03/denoiser_input", lambda *given: shown(*given, columns=6), "not the reward and the ending"),
        ("03/denoiser_input", lambda *given: shown(*given, action_noise=0.5), "more than scaled"),
        ("03/denoiser_input", lambda *given: shown(*given, scale=lambda s: s), "a share of the *variance*"),
        ("03/denoiser_input", lambda *given: shown(*given, scale=lambda s: 1.0 + 0 * s), "the same should be left"),
        ("03/denoising_loss", lambda a, x, size: None, "denoising_loss is empty so far"),
        ("03/denoising_loss", lambda a, x, size: (a - x).square(), "a loss is one number"),
        ("03/denoising_loss", lambda a, x, size: (a - x).square().mean() + 1, "for a perfect answer"),
        ("03/denoising_loss", in_place, "came back changed"),
        ("03/denoising_loss", lambda a, x, size: (a - x).square().mean(), "should cost nothing"),
        ("03/denoising_loss", lambda a, x, size: (a - x)[:, 1:].square().mean(), "the first time point are not given"),
        ("03/denoising_loss", lambda a, x, size: 0 * (a - x).mean(), "the first time point are not given"),
        ("03/denoising_loss", lambda a, x, size: in_place(a.clone(), x, size) * 2, "should be 4 / 30"),
    ],
)
def test_wrong_answers_are_told_which_property_broke(exercise, wrong, words):
    told = verdict(exercise, wrong)
    assert told.startswith("Not yet: ")
    assert words in told


def test_right_answers_in_other_words_pass():
    assert verdict("03/step_features", features) == "Right."
    assert verdict("03/denoiser_input", shown) == "Right."
    assert verdict("03/denoising_loss", lambda a, x, size: in_place(a.clone(), x, size)) == "Right."


def test_the_folded_solutions_are_found():
    assert [exercise for exercise, _ in solutions("03")] == [
        "03/step_features",
        "03/denoiser_input",
        "03/denoising_loss",
    ]
