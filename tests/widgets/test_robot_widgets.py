"""The denoising scrubber and imagined-or-real: pure functions, what they refuse, frozen frames, drawn robots."""

import itertools
import json
import re

import numpy as np
import pytest
import torch

from polygrad_edu import environments
from polygrad_edu.course import shipped
from polygrad_edu.score_guidance import Guidance
from polygrad_edu.widgets import DenoisingScrubber, ImaginedOrReal
from polygrad_edu.widgets.denoising_scrubber import POLICY_STD, VISITS, scrubber_frame
from polygrad_edu.widgets.guided_imagination import load_playground
from polygrad_edu.widgets.robot import SIZE, drawn_robots


@pytest.mark.parametrize("task", ["point-mass", "hopper"])
def test_the_scrubber_shows_the_packages_own_chain(task):
    playground = load_playground(task)
    generator = torch.Generator().manual_seed(2)
    row = torch.randint(len(playground.observations), (1,), generator=generator)
    imagined = playground.diffusion.imagine(
        playground.observations[row], playground.policy_with(POLICY_STD[task]), playground.normaliser,
        Guidance(rule="fixed-noise"), playground.horizon, VISITS, generator,
    )  # fmt: skip
    last = scrubber_frame(task, VISITS, 2)
    assert torch.equal(last["channel"]["now"], imagined.observations[0, :, 0])
    assert torch.equal(last["rewards"]["now"], imagined.rewards[0])
    assert torch.equal(last["actions"]["now"], imagined.actions[0, :, 0])
    assert torch.equal(last["channel"]["now"], last["channel"]["final"])


def test_noise_turns_into_motion_and_the_denoiser_is_ahead_of_it():
    away = [re.findall(r"([\d.]+) of the data's std|is ([\d.]+) away", scrubber_frame("hopper", k, 2)["text"]) for k in
            range(VISITS)]  # fmt: skip
    now, seen = (np.array([float(found[i][i]) for found in away]) for i in (0, 1))
    assert now[0] > 1
    assert now[-1] < 0.2 * now[0]
    assert (seen[:8] < now[:8]).all()
    spread = [np.abs(np.diff(scrubber_frame("hopper", k, 2)["channel"]["now"])).mean() for k in (0, VISITS)]
    assert spread[0] > 5 * spread[1]


@pytest.mark.parametrize("visit", [-1, VISITS + 1, 1.5, float("nan")])
def test_the_scrubber_refuses_a_visit_outside_the_chain(visit):
    with pytest.raises(ValueError, match="the visit must be a whole number from 0 to 16"):
        scrubber_frame("point-mass", visit, 0)
    assert "the visit must be" in DenoisingScrubber(visit=visit).frame["error"]
    with pytest.raises(ValueError, match="there is no playground 'moon'"):
        DenoisingScrubber("moon")


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


GRIDS = [
    (lambda: DenoisingScrubber(), {"visit": [0, 5, 16], "seed": [2, 3]}),
    (lambda: DenoisingScrubber("hopper"), {"visit": [0, 16]}),
    (ImaginedOrReal, {"model": ["16 visits", "128 visits"], "ahead": [0, 9], "seed": [1, 3]}),
]


@pytest.mark.parametrize(("make", "grid"), GRIDS)
def test_at_every_grid_point_the_frozen_frame_is_the_live_one(make, grid):
    frozen, live = make().freeze(grid), make()
    for values in itertools.product(*grid.values()):
        state = dict(zip(grid, values, strict=True))
        live.move(**state)
        assert live.frame["error"] is None
        assert json.dumps(frozen.frozen_frame(**state)) == json.dumps(live.frame["data"]), state


def test_a_robot_is_drawn_where_the_simulator_has_it():
    env = environments.make("Hopper-v5")
    env.reset(seed=0)
    state = environments.get_simulator_state(env)
    (picture,) = drawn_robots(env, state[None])
    assert picture["size"] == list(SIZE)
    assert len(picture["shapes"]) == 4  # torso, thigh, leg, foot
    lowest = max(y + shape[3] for shape in picture["shapes"] for y in shape[5::2])
    assert lowest == pytest.approx(picture["level"], abs=4)  # it stands on the ground
    assert np.array_equal(environments.get_simulator_state(env), state)  # and is left as it was
