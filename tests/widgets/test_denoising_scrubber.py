"""The denoising scrubber shows the package's own chain, from noise to motion."""

import re

import numpy as np
import pytest
import torch

from polygrad_edu.guided_sampler import GuidedSampler
from polygrad_edu.settings import GuidanceSettings
from polygrad_edu.widgets import DenoisingScrubber
from polygrad_edu.widgets.denoising_scrubber import POLICY_STD, VISITS, scrubber_frame
from polygrad_edu.widgets.guided_imagination import load_playground
from tests.support.frozen_widgets import check_frozen


@pytest.mark.parametrize("task", ["point-mass", "hopper"])
def test_the_scrubber_shows_the_packages_own_chain(task):
    playground = load_playground(task)
    generator = torch.Generator().manual_seed(2)
    row = torch.randint(len(playground.observations), (1,), generator=generator)
    walk = playground.diffusion.schedule.walk(VISITS)
    sampler = GuidedSampler(playground.diffusion, walk, GuidanceSettings(rule="fixed-noise"), playground.normaliser)
    policy = playground.policy_with(POLICY_STD[task])
    imagined = sampler.sample(playground.observations[row], policy, playground.horizon, generator)
    last = scrubber_frame(task, VISITS, 2)
    assert torch.equal(last["channel"]["now"], imagined.observations[0, :, 0])
    assert torch.equal(last["rewards"]["now"], imagined.rewards[0])
    assert torch.equal(last["actions"]["now"], imagined.actions[0, :, 0])
    assert torch.equal(last["channel"]["now"], last["channel"]["final"])


def test_noise_turns_into_motion_and_the_denoiser_is_ahead_of_it():
    texts = [scrubber_frame("hopper", k, 2)["text"] for k in range(VISITS)]
    away = [re.findall(r"([\d.]+) of the data's std|is ([\d.]+) away", text) for text in texts]
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


@pytest.mark.parametrize(
    ("arguments", "grid"), [((), {"visit": [0, 5, 16], "seed": [2, 3]}), (("hopper",), {"visit": [0, 16]})]
)
def test_at_every_grid_point_the_frozen_frame_is_the_live_one(arguments, grid):
    check_frozen(lambda: DenoisingScrubber(*arguments), grid)
