"""The camera: where it looks from, what it keeps in the picture, and the shapes it sees."""

import numpy as np
import pytest

from polygrad_edu import environments
from polygrad_edu.drawing.camera import Camera, _convex_hull

SIZE = (320, 240)


def looking(env_id):
    env = environments.make(env_id)
    env.reset(seed=0)
    return Camera(env, *SIZE), environments.get_simulator_state(env)


@pytest.mark.parametrize(
    ("env_id", "from_side", "followed", "up"),
    [
        ("Hopper-v5", True, [0], (0, 0, 1)),
        ("InvertedPendulum-v5", True, [], (0, 0, 1)),
        ("Reacher-v5", False, [], (0, 1, 0)),
        ("Ant-v5", False, [0, 1], (-0.17, 0.3, 0.94)),
    ],
)
def test_it_looks_from_where_a_task_moves(env_id, from_side, followed, up):
    camera, _ = looking(env_id)
    assert camera.seen_from_side == from_side
    assert camera.followed == followed
    assert camera.up.tolist() == list(up)


def test_metres_become_pixels_without_perspective():
    camera, state = looking("Hopper-v5")
    camera.look(state)
    middle = np.array(SIZE) / 2
    one_metre = np.array([camera.scale, 0])
    np.testing.assert_allclose(camera.to_pixels(camera.centre), middle)
    np.testing.assert_allclose(camera.to_pixels(camera.centre + camera.right), middle + one_metre)
    np.testing.assert_allclose(camera.to_pixels(camera.centre + camera.up), middle - one_metre[::-1])
    np.testing.assert_allclose(camera.to_pixels(camera.centre + 9 * camera.depth), middle)


def test_a_robot_that_travels_is_followed_and_the_ticks_show_it():
    camera, state = looking("Hopper-v5")
    camera.look(state)
    shapes, (level, ticks) = camera.shapes(), camera.ground()
    assert np.diff(ticks) == pytest.approx(camera.scale / 2)  # half a metre
    away = state.copy()
    away[1] += 20.1  # x, after the time
    camera.look(away)
    for before, after in zip(shapes, camera.shapes(), strict=True):
        np.testing.assert_allclose(after.points, before.points, atol=1e-6)
    moved_level, moved_ticks = camera.ground()
    assert moved_level == pytest.approx(level)
    shift = (np.array(ticks)[0] - np.array(moved_ticks)) / camera.scale % 0.5
    np.testing.assert_allclose(shift, 0.1, atol=1e-6)


def test_shapes_come_from_the_furthest_on_without_the_ground():
    camera, state = looking("Ant-v5")
    camera.look(state)
    shapes = camera.shapes()
    task = camera.env.unwrapped
    assert len(shapes) == task.model.ngeom - 1
    depths = np.sort([task.data.geom_xpos[i] @ camera.depth for i in camera.moving])
    (torso,) = (i for i in camera.moving if task.model.geom_bodyid[i] == 1 and task.model.geom_type[i] == 2)
    place = int(np.searchsorted(depths, task.data.geom_xpos[torso] @ camera.depth))
    np.testing.assert_allclose(shapes[place].points[0], camera.to_pixels(task.data.geom_xpos[torso]))


def test_a_hull_goes_once_around_all_points():
    random = np.random.default_rng(0)
    corners = np.array([[0.0, 0], [4, 0], [5, 3], [1, 4]])
    weights = random.dirichlet(np.ones(4), 30)
    hull = _convex_hull(random.permutation(np.concatenate([corners, weights @ corners])))
    assert len(hull) == 4
    assert {tuple(point) for point in hull} == {tuple(point) for point in corners}
    sides = np.roll(hull, -1, axis=0) - hull
    following = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0]
    assert (np.sign(turns) == np.sign(turns[0])).all()
