"""A drawn robot for a widget: the camera's shapes as numbers that the page turns into a picture."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from ..drawing.camera import Camera
from ..environments import get_simulator_state, set_simulator_state

SIZE = (200, 150)  # pixels of a picture


def drawn_robots(env: gymnasium.Env, states: np.ndarray) -> list[dict[str, Any]]:
    """What ``robots(...)`` of the page's script draws, for each simulator state of ``states`` [N, S] of a MuJoCo task.

    ``shapes`` are (red, green, blue, radius or null, x1, y1, x2, y2, ...), the furthest first; ``level`` is that of the
    ground, with ``ticks`` half a metre apart, null where the task is not seen from the side.
    """
    before, camera = get_simulator_state(env), Camera(env, *SIZE)
    pictures = []
    for state in states:
        camera.look(state)
        level, ticks = camera.ground() if camera.has_ground and camera.seen_from_side else (None, [])
        shapes = [
            [*shape.colour, None if shape.radius is None else round(shape.radius, 1), *shape.points.ravel().round(1)]
            for shape in camera.shapes()
        ]
        pictures.append({"size": list(SIZE), "level": level, "ticks": ticks, "shapes": shapes})
    set_simulator_state(env, before)
    return pictures
