"""Robots in widgets are drawn where the simulator has them."""

import numpy as np
import pytest

from polygrad_edu import environments
from polygrad_edu.widgets.robot import SIZE, drawn_robots, planar_links, planar_segments


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


def test_a_planar_robot_is_posed_by_its_links_as_the_simulator_poses_it():
    env = environments.make("Hopper-v5")
    env.reset(seed=0)
    task = env.unwrapped
    links = planar_links(env)
    assert [link["parent"] for link in links] == [-1, 0, 1, 2]  # torso, thigh, leg, foot
    poses = np.random.default_rng(0).uniform(-1, 1, (5, 6))
    found = planar_segments(links, poses[:, 1:])
    for pose, segments in zip(poses, found, strict=True):
        task.set_state(np.r_[0.0, pose[1:]], np.zeros(6))
        for geom, ends in enumerate(segments, start=1):
            axis = task.data.geom_xmat[geom].reshape(3, 3)[:, 2] * task.model.geom_size[geom, 1]
            wanted = [(task.data.geom_xpos[geom] + side * axis)[[0, 2]] for side in (1, -1)]
            np.testing.assert_allclose(ends, wanted, atol=1e-9)
            assert links[geom - 1]["radius"] == task.model.geom_size[geom, 0]
