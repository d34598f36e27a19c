"""Robots for widgets: the camera's shapes as numbers, which the page turns into a picture."""

from __future__ import annotations

from typing import Any

import gymnasium
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
