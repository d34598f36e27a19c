"""Rendering: simulator states as pictures, without OpenGL.

A task's solids are drawn as flat shapes, seen along one direction without perspective. That needs nothing but
Pillow, so it works on any machine; MuJoCo's own renderer is there for those where OpenGL is.
"""

from __future__ import annotations

import os
from typing import Any

import gymnasium
import mujoco
import numpy as np
from PIL import Image, ImageDraw

from .environments import get_simulator_state, is_mujoco, set_simulator_state

PLANE, SPHERE, CAPSULE, CYLINDER = (
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{name}")) for name in ("PLANE", "SPHERE", "CAPSULE", "CYLINDER")
)
SKY, GROUND, MARK, INK = (238, 243, 248), (214, 206, 190), (176, 166, 146), (45, 55, 72)
BODY_COLOURS = ((72, 129, 186), (221, 139, 72), (186, 98, 112), (110, 166, 104))
OVERSAMPLING = 2  # drawn larger and shrunk, for smooth edges


def draw_states(
    env: gymnasium.Env, states: np.ndarray, width: int = 320, height: int = 240, renderer: str = "drawn"
) -> list[np.ndarray]:
    """One uint8 frame [height, width, 3] for each simulator state of ``states`` [N, S].

    Args:
        renderer: ``drawn`` needs no OpenGL; ``mujoco`` is MuJoCo's own.

    Raises:
        ValueError: unknown renderer.
        OSError: OpenGL is missing.
    """
    if renderer not in ("drawn", "mujoco"):
        raise ValueError(f"renderer {renderer!r} is unknown; choose drawn or mujoco")
    if not is_mujoco(env):
        return [_draw_pendulum(state[0], width, height) for state in states]
    before = get_simulator_state(env)
    try:
        if renderer == "mujoco":
            return _render_with_opengl(env, states, width, height)
        camera = Camera(env, width, height)
        return [camera.draw(state) for state in states]
    finally:
        set_simulator_state(env, before)


class Camera:
    """Looks at a MuJoCo task from far away.

    Along y for what moves in the x-z plane, from above for what lies flat, and from the side and a little above
    for what moves freely. The picture keeps its scale; it follows a robot that travels.
    """

    def __init__(self, env: gymnasium.Env, width: int, height: int):
        task: Any = env.unwrapped
        self.env, self.model, self.data = env, task.model, task.data
        self.width, self.height = width * OVERSAMPLING, height * OVERSAMPLING
        model = self.model
        plane = model.geom_type == PLANE
        self.has_ground = bool(plane.any())
        # what is fixed to the world (arenas, rails) says nothing about the robot's size
        self.moving = [i for i in range(model.ngeom) if model.body_weldid[model.geom_bodyid[i]] != 0]
        joints = model.jnt_type
        slides = [i for i in range(model.njnt) if joints[i] == mujoco.mjtJoint.mjJNT_SLIDE and not model.jnt_limited[i]]
        free = bool((joints == mujoco.mjtJoint.mjJNT_FREE).any())
        # the horizontal axes (0 for x, 1 for y) that the robot can travel along without end
        self.followed = [axis for axis in (0, 1) if free or any(abs(model.jnt_axis[i, axis]) > 0.5 for i in slides)]
        hinges = [model.jnt_axis[i] for i in range(model.njnt) if joints[i] == mujoco.mjtJoint.mjJNT_HINGE]
        flat = bool(hinges) and all(abs(axis[2]) > 0.9 for axis in hinges)
        if flat:
            self.right, self.up = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
        elif free:
            self.right, self.up = np.array([0.87, 0.5, 0]), np.array([-0.17, 0.3, 0.94])
        else:
            self.right, self.up = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
        self.seen_from_side = not flat and not free
        self.depth = np.cross(self.right, self.up)  # towards the viewer
        # framed by the model's rest pose, so that every picture of a task has the same scale
        rest = mujoco.MjData(model)
        mujoco.mj_forward(model, rest)
        points, reach = rest.geom_xpos[self.moving], model.geom_rbound[self.moving].max()
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
        # what the model colours alike has one colour here
        _, kinds = np.unique(model.geom_rgba[self.moving], axis=0, return_inverse=True)
        palette = [BODY_COLOURS[kind % len(BODY_COLOURS)] for kind in kinds.ravel()]
        self.colours = dict(zip(self.moving, palette, strict=True))

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """[..., 3] in metres to [..., 2] in pixels."""
        offset = points - self.centre
        x = self.width / 2 + self.scale * (offset @ self.right)
        y = self.height / 2 - self.scale * (offset @ self.up)
        return np.stack([x, y], axis=-1)

    def draw(self, state: np.ndarray) -> np.ndarray:
        set_simulator_state(self.env, state)
        self.centre[self.followed] = self.data.geom_xpos[self.moving].mean(axis=0)[self.followed]
        image = Image.new("RGB", (self.width, self.height), SKY)
        draw = ImageDraw.Draw(image)
        if self.has_ground and self.seen_from_side:
            self._draw_ground(draw)
        elif self.has_ground and self.followed:
            self._draw_grid(draw)
        positions = self.data.geom_xpos
        for geom in sorted(range(self.model.ngeom), key=lambda i: positions[i] @ self.depth):
            if self.model.geom_type[geom] != PLANE and self.model.geom_rgba[geom, 3] > 0:
                self._draw_geom(draw, geom)
        return _shrunk(image)

    def _draw_ground(self, draw: ImageDraw.ImageDraw) -> None:
        """The ground from the side, with a tick each half metre: they show how far the robot went."""
        _, level = self.to_pixels(np.array([*self.centre[:2], self.floor]))
        if level >= self.height:
            return
        draw.rectangle([0, level, self.width, self.height], fill=GROUND)
        half = self.width / 2 / self.scale + 0.5
        for tick in np.arange(np.ceil(2 * (self.centre[0] - half)), 2 * (self.centre[0] + half)) / 2:
            x, _ = self.to_pixels(np.array([tick, *self.centre[1:]]))
            draw.line([x, level, x - 8, level + 16], fill=MARK, width=3)
        draw.line([0, level, self.width, level], fill=MARK, width=3)

    def _draw_grid(self, draw: ImageDraw.ImageDraw) -> None:
        """The ground from above or obliquely, as squares of half a metre, up to a horizon behind the robot."""
        draw.rectangle([0, 0, self.width, self.height], fill=GROUND)
        below = np.array([*self.centre[:2], self.floor])
        reach = self.width / self.scale  # metres, beyond the picture's edge
        for axis in (0, 1):
            for mark in np.arange(np.ceil(2 * (below[axis] - reach)), 2 * (below[axis] + reach)) / 2:
                ends = np.stack([below, below])  # [2, 3]
                ends[:, axis] = mark
                ends[:, 1 - axis] += (-reach, reach)
                draw.line([tuple(point) for point in self.to_pixels(ends)], fill=MARK, width=2)
        if self.up[2] > 0:
            _, level = self.to_pixels(below)
            draw.rectangle([0, 0, self.width, level - 0.15 * self.height], fill=SKY)

    def _draw_geom(self, draw: ImageDraw.ImageDraw, geom: int) -> None:
        kind, size = int(self.model.geom_type[geom]), self.model.geom_size[geom]
        position, rotation = self.data.geom_xpos[geom], self.data.geom_xmat[geom].reshape(3, 3)
        colour = self.colours.get(geom, MARK)
        if kind in (SPHERE, CAPSULE):
            half = rotation[:, 2] * (size[1] if kind == CAPSULE else 0.0)
            ends = self.to_pixels(np.stack([position - half, position + half]))
            radius = max(size[0] * self.scale, 2.0)
            for grown, fill in ((2.5, INK), (0.0, colour)):  # the outline is a larger shape below
                _rounded_line(draw, ends, radius + grown, fill)
            return
        # boxes, cylinders and whatever else: the outline of its corners
        extent = np.array([size[0], size[0], size[1]]) if kind == CYLINDER else size
        signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
        corners = self.to_pixels(position + (signs * extent) @ rotation.T)  # [8, 2]
        draw.polygon([tuple(point) for point in _convex_hull(corners)], fill=colour, outline=INK)


def _rounded_line(draw: ImageDraw.ImageDraw, ends: np.ndarray, radius: float, fill: tuple[int, int, int]) -> None:
    draw.line([tuple(point) for point in ends], fill=fill, width=round(2 * radius))
    for x, y in ends:
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill)


def _convex_hull(points: np.ndarray) -> np.ndarray:
    """Corners of the smallest convex polygon around ``points`` [N, 2], in order (gift wrapping by angle)."""
    start = points[np.lexsort((points[:, 1], points[:, 0]))[0]]
    hull, direction = [start], 0.0
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


def _draw_pendulum(angle: float, width: int, height: int) -> np.ndarray:
    """Gymnasium's Pendulum: a rod of one metre, its angle counted from upright."""
    width, height = width * OVERSAMPLING, height * OVERSAMPLING
    image = Image.new("RGB", (width, height), SKY)
    draw = ImageDraw.Draw(image)
    pivot = np.array([width / 2, height / 2])
    tip = pivot + 0.38 * height * np.array([-np.sin(angle), -np.cos(angle)])
    for grown, fill in ((2.5, INK), (0.0, BODY_COLOURS[2])):
        _rounded_line(draw, np.stack([pivot, tip]), 0.035 * height + grown, fill)
    _rounded_line(draw, np.stack([pivot, pivot]), 0.015 * height, INK)
    return _shrunk(image)


def _shrunk(image: Image.Image) -> np.ndarray:
    return np.asarray(image.reduce(OVERSAMPLING))


def _render_with_opengl(env: gymnasium.Env, states: np.ndarray, width: int, height: int) -> list[np.ndarray]:
    task: Any = env.unwrapped
    try:
        renderer = mujoco.Renderer(task.model, height, width)
    except Exception as error:  # MuJoCo raises whatever the missing library happens to cause
        raise OSError(
            f"MuJoCo's renderer does not start here (MUJOCO_GL={os.environ.get('MUJOCO_GL', '')!r}, "
            f"{type(error).__name__}); use the renderer drawn, or install OpenGL (see polygrad-edu doctor)"
        ) from None
    with renderer:
        frames = []
        for state in states:
            set_simulator_state(env, state)
            camera = "track" if mujoco.mj_name2id(task.model, mujoco.mjtObj.mjOBJ_CAMERA, "track") >= 0 else -1
            renderer.update_scene(task.data, camera)
            frames.append(renderer.render())
        return frames
