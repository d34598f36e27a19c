"""The world on a line and the parts that assignment 5 is learned and graded on."""

import numpy as np
import pytest
import torch

from polygrad_edu.course.loop_parts import LineWorld, Plan, make_parts


def test_line_world_follows_its_equation_and_ends_beyond_its_edge():
    env = LineWorld(edge=1.0)
    (x,), _ = env.reset(seed=1)
    for step in range(1, 26):
        observation, reward, terminal, truncated, _ = env.step(np.array([0.5]))
        x = 0.9 * x + 0.15
        assert observation[0] == pytest.approx(x, abs=1e-5)
        assert reward == pytest.approx(-abs(x), abs=1e-5)
        assert (terminal, truncated) == (abs(x) > 1, step == 25)
        if terminal:
            break
    assert terminal  # it settles at 1.5
    assert LineWorld(pays=1.0).step(np.array([0.0]))[1] == 1.0


def test_parts_are_the_same_for_the_same_seed():
    plan = Plan(20, 10, 0, 1.0, 1, 4)
    first, again, other = (make_parts(LineWorld(), plan, seed, width=16) for seed in (0, 0, 1))
    states = torch.zeros(1, 1)
    assert torch.equal(first.actor_critic.policy(states).mean, again.actor_critic.policy(states).mean)
    assert not torch.equal(first.actor_critic.policy(states).mean, other.actor_critic.policy(states).mean)
    for left, right in zip(first.world_model.network.parameters(), again.world_model.network.parameters(), strict=True):
        assert torch.equal(left, right)
