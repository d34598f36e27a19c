"""Guided imagination in the widgets: each convention's weights, and the spread that is expected of them."""

import numpy as np
import pytest
import torch

from polygrad_edu import guidance_theory
from polygrad_edu.guided_sampler import GuidedSampler
from polygrad_edu.settings import RULES, GuidanceSettings
from polygrad_edu.widgets.guided_imagination import (
    CONVENTIONS,
    ConventionalSampler,
    expected_std,
    load_playground,
    step_weights,
)


@pytest.mark.parametrize("rule", RULES)
def test_the_walk_of_the_papers_convention_is_the_packages_sampler(rule):
    playground = load_playground("point-mass")
    diffusion, guidance = playground.diffusion, GuidanceSettings(rule=rule)
    ours, theirs = (
        sampler.sample(
            playground.observations[:6],
            playground.policy_with(0.5),
            playground.horizon,
            torch.Generator().manual_seed(3),
        )
        for sampler in (
            ConventionalSampler(playground, guidance, "polygrad", 16),
            GuidedSampler(diffusion, diffusion.schedule.walk(16), guidance, playground.normaliser),
        )
    )
    torch.testing.assert_close(ours.observations, theirs.observations, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.actions, theirs.actions, rtol=0, atol=1e-5)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_weights_are_those_of_the_convention(convention):
    diffusion = load_playground("point-mass").diffusion
    weights = torch.tensor(step_weights(convention, diffusion))
    if convention == "polygrad":
        assert weights.tolist() == [0.0] + [1.0] * 127
    elif convention == "diffuser":
        torch.testing.assert_close(weights, diffusion.schedule.posterior_variance)
    else:
        assert weights[0] == 0
        assert 0 < weights[1] < weights[64] < weights[127] < 1.05


def test_expected_spread_is_the_closed_form_where_there_is_one():
    playground = load_playground("point-mass")
    schedule, units = playground.diffusion.schedule, playground.normaliser.actions.scale.double()
    for scale in (1e-3, 1e-2):
        by_unit = [guidance_theory.chain_std(scale, schedule, 0.5, unit, unit) / 0.5 for unit in units.tolist()]
        expected = expected_std(playground, "polygrad", torch.tensor([scale]), 0.5, 16, clip=False).item()
        assert expected == pytest.approx(np.sqrt(np.mean(np.square(by_unit))), rel=0.06)  # 800 numbers were drawn
