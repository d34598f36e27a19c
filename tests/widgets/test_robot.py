"""Robots in widgets are drawn where the simulator has them."""

import numpy as np
import pytest

from polygrad_edu import environments
from polygrad_edu.widgets.robot import SIZE, drawn_robots


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
