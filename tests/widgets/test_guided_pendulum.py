"""The guided pendulum: the package's staggered sampler beside Gymnasium's pendulum."""

import re

import numpy as np
import pytest

from polygrad_edu.widgets.guided_pendulum import RODS_AT, VISITS, expected_curve, page_settings, pendulum_frame

START = {"strength": 0.004, "delay": 0, "policy_std": 0.5, "seed": 0}


def spreads(delay, strength):
    """Std of the standardised actions with two draws of the noise."""
    return [pendulum_frame(strength, delay, 0.5, seed)["spread"]["std"] for seed in (0, 1)]


def test_one_after_the_other_the_actions_spread_as_if_the_policys_mean_stood_still():
    scales, expected = expected_curve(0.5)
    for place in (5, 18, 30):  # too weak, right, too strong
        # in the policy's std; all at once it is more than twice as far off where the pull is right
        assert np.mean(spreads(VISITS, scales[place])) == pytest.approx(expected[place], abs=0.1)


def test_all_at_once_the_same_strength_leaves_them_wider_and_the_model_further_from_the_truth():
    for seed in (0, 1):
        together, in_turn = (pendulum_frame(0.004, delay, 0.5, seed) for delay in (0, VISITS))
        assert together["spread"]["std"] > 1.2 * in_turn["spread"]["std"]
        assert together["error"] > 5 * in_turn["error"]
        assert together["text"].startswith("Too wide")


def test_the_stronger_the_pull_the_narrower_the_actions():
    found = [np.mean(spreads(2, strength)) for strength in (1e-4, 1e-3, 1e-2, 1e-1)]
    assert found == sorted(found, reverse=True)


def test_what_is_drawn_is_one_trajectory_from_a_real_state():
    frame = pendulum_frame(0.004, 2, 0.5, 0)
    assert np.shape(frame["rods"]["imagined"]) == np.shape(frame["rods"]["real"]) == (len(RODS_AT), 2)
    np.testing.assert_allclose(frame["rods"]["imagined"][0], frame["rods"]["real"][0], atol=1e-4)  # they start together
    np.testing.assert_allclose(np.linalg.norm(frame["rods"]["real"], axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(np.subtract(frame["actions"]["high"], frame["actions"]["low"]), 1.0, atol=1e-5)
    assert page_settings()["visits"] == VISITS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strength": 0.0}, "the guidance strength must be a number from 0.0001 to 0.1, not 0.0"),
        ({"delay": 0.5}, "the delay must be a whole number from 0 to 1000, not 0.5"),
        ({"policy_std": 0.4}, "the policy's std must be one of 0.2, 0.3, 0.5, 0.8, not 0.4"),
        ({"seed": -1}, "the seed must be a whole number from 0"),
    ],
)
def test_what_is_no_setting_is_refused(change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        pendulum_frame(**(START | change))
