"""Imagined or real: the simulated curve is the simulator's, and the models differ as they should."""

import re

import numpy as np
import pytest
import torch

from polygrad_edu import environments
from polygrad_edu.course import shipped
from polygrad_edu.widgets import ImaginedOrReal
from tests.support.frozen_widgets import check_frozen


@pytest.fixture(scope="module")
def comparison():
    return ImaginedOrReal()


def test_the_simulated_curve_is_the_simulators_and_both_start_together(comparison):
    comparison.move(model="16 visits", channel="forward speed", ahead=9, seed=3)
    data, hopper = comparison.frame["data"], shipped("hopper-cpu")
    row = int(np.random.default_rng(3).integers(len(hopper.observations)))
    first = hopper.observations[row : row + 1]
    imagined = hopper.loop.world_model.imagine(first, hopper.loop.best_policy, 10, torch.Generator().manual_seed(3))
    real = environments.replay_actions(
        hopper.loop.make_env(), hopper.simulator_states[row].numpy(), imagined.actions[0].detach().numpy()
    )
    np.testing.assert_allclose(data["curves"]["imagined"], imagined.observations[0, :, 5].detach(), atol=1e-3)
    np.testing.assert_allclose(data["curves"]["real"], real["observations"][:, 5], atol=1e-3)
    assert data["curves"]["imagined"][0] == pytest.approx(data["curves"]["real"][0], abs=1e-3)
    scale = hopper.loop.world_model.normaliser.observations.scale.numpy()
    error = (((imagined.observations[0, 9].detach().numpy() - real["observations"][9]) / scale) ** 2).mean()
    assert data["errors"]["own"][9] == pytest.approx(error, rel=1e-3)
    assert f"off by {error:.2g}" in data["text"]


def test_the_ways_of_asking_differ_as_they_should(comparison):
    typical = {}
    for model in ("16 visits", "16 visits, no noise, with inertia", "128 visits"):
        comparison.move(model=model, ahead=9, seed=3)
        typical[model] = comparison.frame["data"]["errors"]["typical"][-1]
    assert typical["16 visits, no noise, with inertia"] < typical["16 visits"]
    assert typical["128 visits"] < typical["16 visits"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ahead": 10}, "the step must be a whole number from 0 to 9, not 10"),
        ({"seed": -1}, "the seed must be a whole number"),
        ({"model": "moon"}, "there is no world model 'moon'; choose one of 16 visits"),
        ({"channel": "mood"}, "there is no observation 'mood'; choose one of height"),
    ],
)
def test_the_comparison_refuses_bad_input_in_one_line(comparison, change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        comparison.compute(**({"model": "16 visits", "channel": "height", "ahead": 3, "seed": 0} | change))


def test_only_one_tasks_models_are_compared():
    results = {"hopper": shipped("hopper-cpu"), "pendulum": shipped("inverted-pendulum")}
    with pytest.raises(ValueError, match="only world models of one task can be compared, not of Hopper-v5, Inverted"):
        ImaginedOrReal(results)
    alone = ImaginedOrReal({"mine": results["pendulum"]})
    assert [control["values"] for control in alone.controls if control["name"] == "model"] == [("mine",)]
    assert alone.frame["error"] is None
    (picture,) = alone.frame["data"]["robots"]["real"]
    assert picture["level"] is None  # a pendulum on a rail stands on no ground


def test_at_every_grid_point_the_frozen_frame_is_the_live_one():
    check_frozen(ImaginedOrReal, {"model": ["16 visits", "128 visits"], "ahead": [0, 9], "seed": [1, 3]})
