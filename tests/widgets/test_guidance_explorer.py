"""The guidance explorer: how wide imagined actions are at each strength, and what it refuses."""

import math
import re

import numpy as np
import pytest

from polygrad_edu.widgets import GuidanceExplorer
from polygrad_edu.widgets.guidance_explorer import far_apart, guidance_frame
from polygrad_edu.widgets.guided_imagination import expected_curve

GUIDANCE = {
    "task": "point-mass",
    "rule": "gradient",
    "convention": "polygrad",
    "strength": 0.004,
    "sampling_steps": 16,
    "policy_std": 0.5,
    "seed": 0,
}


def test_what_is_drawn_begins_far_apart():
    crowd, corners = np.full((20, 2), 0.1) + np.linspace(0, 0.05, 40).reshape(20, 2), [[1, 0], [0, 1], [1, 1]]
    assert sorted(far_apart(np.concatenate([crowd, corners]), 4)) == [0, 20, 21, 22]


def spread(convention, factor):
    """Std of the standardised actions at this multiple of the strength that is right where the mean is at rest."""
    *_, right = expected_curve("point-mass", convention, 0.5, 16)
    settings = GUIDANCE | {"convention": convention, "strength": factor * right}
    return np.mean([guidance_frame(**(settings | {"seed": seed}))["strength"]["std"] for seed in (0, 1)])


def test_at_the_right_strength_imagined_actions_are_as_wide_as_the_policy():
    assert spread("polygrad", 0.25) > 1.25
    assert spread("polygrad", 1) == pytest.approx(1, abs=0.08)
    assert spread("polygrad", 4) < 0.8


@pytest.mark.parametrize("convention", ["diffuser", "policy-guided"])
def test_a_pull_that_fades_must_be_twice_as_strong_where_the_mean_moves(convention):
    assert spread(convention, 1) > 1.2
    assert spread(convention, 2) == pytest.approx(1, abs=0.08)
    assert spread(convention, 4) < 0.9


@pytest.mark.parametrize("task", ["point-mass", "hopper"])
@pytest.mark.parametrize("rule", ["fixed-noise", "sample", "ornstein-uhlenbeck"])
def test_rules_without_a_strength_stay_on_policy_and_near_the_simulator(task, rule):
    frame = guidance_frame(**(GUIDANCE | {"task": task, "rule": rule}))
    assert frame["strength"]["std"] == pytest.approx(1, abs=0.12)
    assert frame["strength"]["ks"] < 0.08
    assert frame["errors"][0] < 0.3
    assert np.sum(frame["histogram"]) * 8 / len(frame["histogram"]) == pytest.approx(1)
    assert frame["expected"] is None
    imagined, real = frame["paths"]["imagined"], frame["paths"]["real"]
    np.testing.assert_allclose(imagined[:, :, 0], real[:, :, 0], atol=1e-4)  # they start together


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strength": -0.1}, "the guidance strength must be a number from 0 to 100, not -0.1"),
        ({"strength": math.nan}, "not nan"),
        ({"strength": math.inf}, "not inf"),
        ({"strength": "much"}, "not 'much'"),
        ({"sampling_steps": 129}, "the sampling steps must be a whole number from 1 to 128, not 129"),
        ({"sampling_steps": 1.5}, "whole number"),
        ({"policy_std": 0.0}, "the policy's std must be a number from 0.01 to 10, not 0.0"),
        ({"seed": -1}, "the seed"),
        ({"rule": "langevin"}, "guidance rule 'langevin' is unknown; choose one of gradient"),
        ({"convention": "ours"}, "convention 'ours' is unknown; choose one of polygrad"),
        ({"convention": "diffuser", "strength": 90.0}, "the actions run away"),
        ({"task": "moon"}, "there is no playground 'moon'; choose point-mass or hopper"),
    ],
)
def test_the_explorer_refuses_bad_input_in_one_line(change, words):
    with pytest.raises(ValueError, match=re.escape(words)) as refused:
        guidance_frame(**(GUIDANCE | change))
    assert "\n" not in str(refused.value)
    if "task" not in change:
        assert words in GuidanceExplorer(**change).frame["error"]
