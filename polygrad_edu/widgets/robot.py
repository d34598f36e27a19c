"""Robots for widgets: the camera's shapes as numbers, which the page turns into a picture.

A robot that moves in a plane is also described by its links, so that a page can pose it by itself.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np

from ..drawing.camera import Camera
from ..environments import get_simulator_state, set_simulator_state

SIZE = (200, 150)  # pixels of a picture


def drawn_robots(env: gymnasium.Env, states: np.ndarray) -> list[dict[str, Any]]:
    """Pictures for ``robots(...)`` of the page's script, one for each simulator state [N, S] of a MuJoCo task.

    Returns:
        For each state: its ``size``; ``shapes`` (red, green, blue, radius or null, x1, y1, x2, y2, ...), the furthest
        first; ``level`` of the ground, null unless the task is seen from the side; ``ticks`` on it, half a metre apart.
    """
    before = get_simulator_state(env)
    camera = Camera(env, *SIZE)
    pictures: list[dict[str, Any]] = []
    for state in states:
        camera.look(state)
        level, ticks = camera.ground() if camera.has_ground and camera.seen_from_side else (None, [])
        shapes: list[list[Any]] = []
        for shape in camera.shapes():
            radius = None if shape.radius is None else round(shape.radius, 1)
            shapes.append([*shape.colour, radius, *shape.points.ravel().round(1)])
        pictures.append({"size": list(SIZE), "level": level, "ticks": ticks, "shapes": shapes})
    set_simulator_state(env, before)
    return pictures


def planar_links(env: gymnasium.Env) -> list[dict[str, Any]]:
    """Links of a robot that moves in the x-z plane, a root first, for ``planar_robot.js``.

    Returns:
        For each link: its ``parent``'s place in the list, -1 for the root; ``at``, its origin in the parent; the
        ``anchor`` of its hinge and the ``sign`` of its angle; the two ``ends`` and the ``radius`` of its capsule. All
        are [x, z] in metres.
    """
    task: Any = env.unwrapped
    model = task.model
    plane = [0, 2]
    links: list[dict[str, Any]] = []
    for body in range(1, model.nbody):
        joint = model.body_jntadr[body] + model.body_jntnum[body] - 1  # the hinge; the root slides before it turns
        geom = model.body_geomadr[body]
        turned = np.zeros(3)
        mujoco.mju_rotVecQuat(turned, np.array([0.0, 0.0, model.geom_size[geom, 1]]), model.geom_quat[geom])
        ends = [model.geom_pos[geom] + turned, model.geom_pos[geom] - turned]
        links.append(
            {
                "parent": int(model.body_parentid[body]) - 1,
                "at": model.body_pos[body, plane].tolist() if body > 1 else [0.0, 0.0],
                "anchor": model.jnt_pos[joint, plane].tolist(),
                "sign": float(model.jnt_axis[joint, 1]),
                "ends": [end[plane].tolist() for end in ends],
                "radius": float(model.geom_size[geom, 0]),
            }
        )
    return links


def planar_segments(links: list[dict[str, Any]], positions: np.ndarray) -> np.ndarray:
    """Capsules' ends [N, L, 2, 2] in metres, the root at x = 0.

    Args:
        links: of :func:`planar_links`.
        positions: [N, 1+L] the root's height, then each link's angle.
    """
    origins: list[np.ndarray] = []
    angles: list[np.ndarray] = []
    segments: list[np.ndarray] = []
    for link, angle in zip(links, positions[:, 1:].T, strict=True):
        root = link["parent"] < 0
        before = np.zeros(len(positions)) if root else angles[link["parent"]]
        place = np.stack([np.zeros(len(positions)), positions[:, 0]], axis=1) if root else origins[link["parent"]]
        after = before + link["sign"] * angle
        anchor = np.array(link["anchor"])
        origin = place + _turned(np.array(link["at"]) + anchor, before) - _turned(anchor, after)
        origins.append(origin)
        angles.append(after)
        segments.append(np.stack([origin + _turned(np.array(end), after) for end in link["ends"]], axis=1))
    return np.stack(segments, axis=1)


def _turned(vector: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """A vector (x, z) turned about the y axis by each angle: [N, 2]."""
    x, z = vector
    return np.stack([x * np.cos(angles) + z * np.sin(angles), z * np.cos(angles) - x * np.sin(angles)], axis=1)
