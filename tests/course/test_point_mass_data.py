"""The windows of the point mass that assignment 2 is learned and graded on."""

import numpy as np
import pytest
import torch

from polygrad_edu.course.point_mass_data import ALPHAS, _units, left_unexplained, point_mass_windows
from polygrad_edu.tasks.point_mass import PointMass


def test_point_mass_windows_are_what_the_simulator_does():
    units, windows = _units(), point_mass_windows(300, seed=3)
    states, rewards, ends = units.denormalise_trajectory(windows.trajectory)
    forces = units.actions.denormalise(windows.actions)
    env, inside = PointMass(), 0
    for row in range(40):
        env.reset(seed=0)
        env.state = states[row, 0].double().numpy()
        for t in range(windows.real.shape[1] - 1):
            if not windows.real[row, t]:
                break
            observation, reward, terminal, _, _ = env.step(forces[row, t].numpy())
            assert rewards[row, t] == pytest.approx(reward, abs=1e-4)
            assert bool(ends[row, t] > 0.5) == terminal
            assert terminal == (not windows.real[row, t + 1])
            if not terminal:
                assert np.allclose(observation, states[row, t + 1], atol=1e-4)
                inside += 1
    assert inside > 150


def test_point_mass_windows_are_the_same_for_a_seed_and_in_the_same_units_for_all():
    first, again, other = (point_mass_windows(50, seed) for seed in (1, 1, 2))
    assert torch.equal(first.trajectory, again.trajectory)
    assert not torch.equal(first.trajectory, other.trajectory)
    many = torch.cat([point_mass_windows(800, seed).trajectory[..., :4].flatten(0, 1) for seed in (5, 6)])
    assert torch.allclose(many.mean(0), torch.zeros(4), atol=0.25)
    assert torch.allclose(many.std(0), torch.ones(4), atol=0.25)


def test_left_unexplained_is_one_for_the_mean_and_zero_for_the_truth():
    data = point_mass_windows(200, seed=4)
    later = data.trajectory[:, 1:, :4][data.real[:, 1:]]

    def mean(noisy, actions, step, first):
        return torch.full_like(noisy, later.mean().item())

    def truth(noisy, actions, step, first):
        return data.trajectory

    assert left_unexplained(mean, data, len(ALPHAS) - 1, seed=0) == pytest.approx(1, abs=1e-3)
    assert left_unexplained(truth, data, 3, seed=0) == 0
