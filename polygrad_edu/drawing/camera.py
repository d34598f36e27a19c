"""Camera: project the solids of a MuJoCo task to lines and polygons in pixels.

It needs no OpenGL and no picture library: :mod:`polygrad_edu.drawing.rendering` fills the shapes, and widgets draw them
in a page.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import mujoco
import numpy as np

from ..environments import set_simulator_state

PLANE, SPHERE, CAPSULE, CYLINDER = (
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{name}")) for name in ("PLANE", "SPHERE", "CAPSULE", "CYLINDER")
)
MARK = (176, 166, 146)
BODY_COLOURS = ((72, 129, 186), (221, 139, 72), (186, 98, 112), (110, 166, 104))


class Shape(NamedTuple):
    """Projection of a solid: a line with round ends of ``radius`` pixels, or a polygon if that is None."""

    points: np.ndarray  # [N, 2] pixels
    radius: float | None
    colour: tuple[int, int, int]


class Camera:
    """View of a MuJoCo task from far away, without perspective.

    It looks along y at robots that move in the x-z plane, from above at flat ones, and from the side and a little above
    at free ones. The scale is fixed; the view follows a robot that travels.

    Args:
        env: the task.
        width, height: of the picture, in pixels.
    """

    def __init__(self, env: gymnasium.Env, width: int, height: int):
        task: Any = env.unwrapped
        model = task.model
        self.env = env
        self.model = model
        self.data = task.data
        self.width = width
        self.height = height
        plane = model.geom_type == PLANE
        self.has_ground = bool(plane.any())
        # parts fixed to the world (arenas, rails) say nothing about the robot's size
        self.moving = [i for i in range(model.ngeom) if model.body_weldid[model.geom_bodyid[i]] != 0]
        joints = model.jnt_type
        slides = [i for i in range(model.njnt) if joints[i] == mujoco.mjtJoint.mjJNT_SLIDE and not model.jnt_limited[i]]
        free = bool((joints == mujoco.mjtJoint.mjJNT_FREE).any())
        # the horizontal axes (0 for x, 1 for y) that the robot can travel along without end
        self.followed = [axis for axis in (0, 1) if free or any(abs(model.jnt_axis[i, axis]) > 0.5 for i in slides)]
        hinges = [model.jnt_axis[i] for i in range(model.njnt) if joints[i] == mujoco.mjtJoint.mjJNT_HINGE]
        flat = bool(hinges) and all(abs(axis[2]) > 0.9 for axis in hinges)
        self.right, self.up = _picture_axes(flat, free)
        self.seen_from_side = not flat and not free
        self.depth = np.cross(self.right, self.up)  # towards the viewer
        # framed by the model's rest pose, so that every picture of a task has the same scale
        rest = mujoco.MjData(model)
        mujoco.mj_forward(model, rest)
        points = rest.geom_xpos[self.moving]
        reach = model.geom_rbound[self.moving].max()
        self.centre = rest.xpos[1].copy() if flat else points.mean(axis=0)
        offsets = (points - self.centre) @ np.stack([self.right, self.up], axis=1)  # [G, 2]
        self.scale = 0.4 * self.height / (np.abs(offsets).max() + reach)  # pixels per metre
        # a cart, the first body, on a limited rail stays in the picture to the rail's ends
        slide = int(mujoco.mjtJoint.mjJNT_SLIDE)
        on_cart = (joints == slide) & (model.jnt_limited != 0) & (model.jnt_bodyid == 1)
        if on_cart.any() and not flat:
            self.scale = min(self.scale, 0.48 * self.width / (np.abs(model.jnt_range[on_cart]).max() + reach))
        if self.has_ground:
            self.floor = rest.geom_xpos[plane, 2].max()
            if not flat:  # the ground lies low in the picture: robots jump and flip
                self.centre[2] = max(self.centre[2], self.floor + 0.3 * self.height / self.scale)
        self.colours = _colours(model, self.moving)

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Project points [..., 3] in metres to [..., 2] in pixels."""
        offset = points - self.centre
        x = self.width / 2 + self.scale * (offset @ self.right)
        y = self.height / 2 - self.scale * (offset @ self.up)
        return np.stack([x, y], axis=-1)

    def look(self, state: np.ndarray) -> None:
        """Set the simulator to ``state`` and follow the robot there."""
        set_simulator_state(self.env, state)
        self.centre[self.followed] = self.data.geom_xpos[self.moving].mean(axis=0)[self.followed]

    def shapes(self) -> list[Shape]:
        """Projections of the solids, the furthest first."""
        positions = self.data.geom_xpos
        order = sorted(range(self.model.ngeom), key=lambda i: positions[i] @ self.depth)
        return [self._shape(i) for i in order if self.model.geom_type[i] != PLANE and self.model.geom_rgba[i, 3] > 0]

    def ground(self) -> tuple[float, list[float]]:
        """Level of the ground seen from the side, and the places of its ticks, in pixels.

        The ticks stand half a metre apart and show how far the robot went.
        """
        _, level = self.to_pixels(np.array([*self.centre[:2], self.floor]))
        half = self.width / 2 / self.scale + 0.5
        ticks = np.arange(np.ceil(2 * (self.centre[0] - half)), 2 * (self.centre[0] + half)) / 2
        return float(level), [float(self.to_pixels(np.array([tick, *self.centre[1:]]))[0]) for tick in ticks]

    def _shape(self, geom: int) -> Shape:
        """Projection of one solid."""
        kind = int(self.model.geom_type[geom])
        size = self.model.geom_size[geom]
        position = self.data.geom_xpos[geom]
        rotation = self.data.geom_xmat[geom].reshape(3, 3)
        colour = self.colours.get(geom, MARK)
        if kind in (SPHERE, CAPSULE):
            half = rotation[:, 2] * (size[1] if kind == CAPSULE else 0.0)
            ends = self.to_pixels(np.stack([position - half, position + half]))
            return Shape(ends, max(size[0] * self.scale, 2.0), colour)
        # boxes, cylinders and all others: the outline of their corners
        extent = np.array([size[0], size[0], size[1]]) if kind == CYLINDER else size
        signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
        corners = self.to_pixels(position + (signs * extent) @ rotation.T)  # [8, 2]
        return Shape(_convex_hull(corners), None, colour)


def _picture_axes(flat: bool, free: bool) -> tuple[np.ndarray, np.ndarray]:
    """The directions [3] that lead right and up in the picture, of robots in a plane or free in space."""
    if free and not flat:
        return np.array([0.87, 0.5, 0]), np.array([-0.17, 0.3, 0.94])
    return np.array([1.0, 0, 0]), np.array([0, 1.0, 0]) if flat else np.array([0, 0, 1.0])


def _colours(model: Any, geoms: list[int]) -> dict[int, tuple[int, int, int]]:
    """A colour for each of these solids; those that have the same one in the model have the same one here."""
    _, kinds = np.unique(model.geom_rgba[geoms], axis=0, return_inverse=True)
    return {geom: BODY_COLOURS[kind % len(BODY_COLOURS)] for geom, kind in zip(geoms, kinds.ravel(), strict=True)}


def _convex_hull(points: np.ndarray) -> np.ndarray:
    """Corners of the smallest convex polygon around ``points`` [N, 2], in order (gift wrapping by angle)."""
    start = points[np.lexsort((points[:, 1], points[:, 0]))[0]]
    hull = [start]
    direction = 0.0
    for _ in range(len(points)):
        offset = points - hull[-1]
        distance = np.hypot(*offset.T)
        turn = np.mod(np.arctan2(offset[:, 1], offset[:, 0]) + np.pi / 2 - direction, 2 * np.pi)
        turn[turn > 2 * np.pi - 1e-9] = 0.0
        turn[distance < 1e-9] = np.inf
        chosen = np.lexsort((-distance, turn.round(9)))[0]
        if not np.isfinite(turn[chosen]) or np.hypot(*(points[chosen] - start)) < 1e-9:
            break
        direction += turn[chosen]
        hull.append(points[chosen])
    return np.array(hull)
