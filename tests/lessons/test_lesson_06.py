"""Lesson 6: the mistakes students make are named."""

import numpy as np
import pytest
import torch

from polygrad_edu.checks import verdict
from polygrad_edu.guidance_theory import langevin_scale


def step(**wrong):
    """A guided step with something done wrongly."""

    def guided_step(x, a, clean_of, score, scale, posterior_mean, noise_x, noise_a):
        clean = clean_of(x, a)
        states = {"noisy": x, "mean": posterior_mean(clean, x)}.get(wrong.get("at"), clean)
        move = scale * score(states, a)
        if wrong.get("order"):
            clean = clean_of(x, a + move)
        guided = a - move if wrong.get("away") else a + move if wrong.get("noise") == "x" else a + move + noise_a
        mean = clean if wrong.get("jump") else posterior_mean(clean, x)
        return mean if wrong.get("noise") == "a" else mean + noise_x, guided

    return guided_step


def score_after_noise(x, a, clean_of, score, scale, posterior_mean, noise_x, noise_a):
    clean, moved = clean_of(x, a), a + 0.5
    return posterior_mean(clean, x) + noise_x, moved + scale * score(clean, moved) + noise_a


def unscaled(x, a, clean_of, score, scale, posterior_mean, noise_x, noise_a):
    clean = clean_of(x, a)
    return posterior_mean(clean, x) + noise_x, a + score(clean, a) + noise_a


def spread(square=True, pull=True, in_order=True):
    def spread_after(scales, noise_stds, policy_std, start_std):
        steps = list(zip(scales, noise_stds, strict=True))
        variance = start_std**2
        for scale, noise_std in steps if in_order else reversed(steps):
            contraction = 1 - scale / policy_std ** (2 if pull else 1)
            variance = contraction**2 * variance + noise_std**2
        return variance**0.5 if square else variance

    return spread_after


def keeping(noise_std, policy_std):
    return policy_std**2 - policy_std * (policy_std**2 - noise_std**2) ** 0.5


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("06/guided_step", lambda *given: None, "guided_step is empty so far"),
        ("06/guided_step", lambda x, a, *rest: a, "two things come back"),
        ("06/guided_step", lambda x, a, *rest: (x, a), "denoiser was never asked"),
        ("06/guided_step", lambda x, a, clean_of, *rest: (clean_of(x, a), a), "score was never asked for"),
        ("06/guided_step", step(at="noisy"), "asked in the noisy states"),
        ("06/guided_step", step(at="mean"), "asked at the step's mean"),
        ("06/guided_step", step(order=True), "before they were moved"),
        ("06/guided_step", score_after_noise, "about the actions as they were"),
        ("06/guided_step", step(away=True), "moved away from the policy"),
        ("06/guided_step", unscaled, "should move by 1"),
        ("06/guided_step", step(jump=True), "where posterior_mean leads"),
        ("06/guided_step", step(noise="a"), "the states' noise should come on top"),
        ("06/guided_step", step(noise="x"), "the actions' noise should come on top"),
        ("06/spread_after", lambda scales, noises, p, s: ..., "spread_after is empty so far"),
        ("06/spread_after", spread(square=False), "without a step nothing changes"),
        ("06/spread_after", lambda scales, noises, p, s: s + sum(noises), "squares that add up"),
        ("06/spread_after", spread(pull=False), "halves each distance"),
        ("06/spread_after", spread(in_order=False), "belong to the first step"),
        ("06/spread_after", lambda scales, noises, p, s: (s**2 + sum(n**2 for n in noises)) ** 0.5, "2 becomes 1"),
        ("06/keeping_scale", lambda s, sigma: None, "keeping_scale is empty so far"),
        ("06/keeping_scale", lambda s, sigma: [s, sigma], "a scale is one number"),
        ("06/keeping_scale", lambda s, sigma: s**2 / 2, "Langevin's half itself"),
        ("06/keeping_scale", lambda s, sigma: s**2, "by the *square* of that"),
        ("06/keeping_scale", lambda s, sigma: s * sigma, "not standard deviations"),
        ("06/keeping_scale", lambda s, sigma: keeping(s, sigma) / sigma**2, "you were asked for the scale"),
        ("06/keeping_scale", lambda s, sigma: sigma**2 * keeping(s, 1), "s^2 / sigma^2, not against 1"),
        ("06/keeping_scale", lambda s, sigma: 2 * sigma**2 - keeping(s, sigma), "Take the gentler"),
        ("06/keeping_scale", lambda s, sigma: 2 * keeping(s, sigma), "makes of a spread of 0.5 one of 0.424"),
        ("06/effect", lambda noise, following: ..., "effect is empty so far"),
        ("06/effect", lambda noise, following: noise * following, "one number"),
        ("06/effect", lambda noise, following: np.corrcoef(noise, following)[0, 1], "an effect of 0.7"),
        ("06/effect", lambda noise, following: torch.cov(torch.stack([noise, following]))[0, 1], "per unit"),
        ("06/effect", lambda noise, following: (noise * following).mean() / (noise**2).mean(), "constants added"),
        ("06/effect", lambda noise, following: following.std() / noise.std(), "knows nothing about"),
        (
            "06/effect",
            lambda noise, following: 0.49 * torch.cov(torch.stack([noise, following]))[0, 1] / following.var(),
            "what causes",
        ),
    ],
)
def test_wrong_answers_are_told_which_property_broke(exercise, wrong, words):
    told = verdict(exercise, wrong)
    assert told.startswith("Not yet: ")
    assert words in told


def test_right_answers_in_other_words_pass():
    def all_at_once(scales, noise_stds, policy_std, start_std):
        left = [*np.cumprod(1 - np.array(scales[::-1]) / policy_std**2)[::-1], 1.0]  # of each noise at the end
        return float(np.linalg.norm(np.array([start_std, *noise_stds]) * left))

    assert verdict("06/guided_step", step()) == "Right."
    assert verdict("06/spread_after", all_at_once) == "Right."
    assert verdict("06/keeping_scale", keeping) == "Right."
    assert verdict("06/keeping_scale", langevin_scale) == "Right."
    assert verdict("06/effect", lambda noise, following: np.polyfit(noise, following, 1)[0]) == "Right."
