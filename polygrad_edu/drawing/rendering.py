"""Rendering: simulator states as pictures, without OpenGL.

A task's solids are drawn as flat shapes, without perspective. That needs nothing but Pillow, so it works on any
machine; MuJoCo's own renderer can be chosen where OpenGL is installed.
"""

from __future__ import annotations

import os
from typing import Any

import gymnasium
import mujoco
import numpy as np
from PIL import Image, ImageDraw

from ..environments import get_simulator_state, is_mujoco, set_simulator_state
from ..files.input_error import InputError
from ..tasks.hidden_worlds import HiddenWorld
from ..tasks.point_mass import PointMass
from ..tasks.wrappers import remembering
from .camera import BODY_COLOURS, MARK, Camera, Shape

SKY = (238, 243, 248)
GROUND = (214, 206, 190)
INK = (45, 55, 72)
OVERSAMPLING = 2  # drawn larger and shrunk, for smooth edges


def draw_states(
    env: gymnasium.Env, states: np.ndarray, width: int = 320, height: int = 240, renderer: str = "drawn"
) -> list[np.ndarray]:
    """Draw one uint8 frame [height, width, 3] for each simulator state of ``states`` [N, S].

    Args:
        env: the task; it keeps its own state.
        states: of :func:`..environments.get_simulator_state`.
        width, height: of a frame, in pixels.
        renderer: ``drawn`` needs no OpenGL; ``mujoco`` is MuJoCo's own.

    Raises:
        InputError: unknown renderer.
        OSError: OpenGL is missing.
    """
    if renderer not in ("drawn", "mujoco"):
        raise InputError(f"renderer {renderer!r} is unknown; choose drawn or mujoco")
    if isinstance(env.unwrapped, PointMass | HiddenWorld):
        return [_draw_point_mass(state[:2], env.unwrapped.arena, width, height) for state in states]
    if type(env.unwrapped).__name__ == "PendulumEnv":
        return [_draw_pendulum(state[0], width, height) for state in states]
    if not is_mujoco(env):
        shown = remembering(env)  # its last numbers are what the task shows
        numbers = states if shown is None else states[:, -len(shown.shown) :]
        return [_draw_numbers(row, width, height) for row in numbers]
    before = get_simulator_state(env)
    try:
        if renderer == "mujoco":
            return _render_with_opengl(env, states, width, height)
        camera = Camera(env, width * OVERSAMPLING, height * OVERSAMPLING)
        return [_draw_robot(camera, state) for state in states]
    finally:
        set_simulator_state(env, before)


def _draw_robot(camera: Camera, state: np.ndarray) -> np.ndarray:
    camera.look(state)
    image = Image.new("RGB", (camera.width, camera.height), SKY)
    draw = ImageDraw.Draw(image)
    if camera.has_ground and camera.seen_from_side:
        _draw_ground(draw, camera)
    elif camera.has_ground and camera.followed:
        _draw_grid(draw, camera)
    for shape in camera.shapes():
        _draw_shape(draw, shape)
    return _shrunk(image)


def _draw_ground(draw: ImageDraw.ImageDraw, camera: Camera) -> None:
    level, ticks = camera.ground()
    if level >= camera.height:
        return
    draw.rectangle([0, level, camera.width, camera.height], fill=GROUND)
    for x in ticks:
        draw.line([x, level, x - 8, level + 16], fill=MARK, width=3)
    draw.line([0, level, camera.width, level], fill=MARK, width=3)


def _draw_grid(draw: ImageDraw.ImageDraw, camera: Camera) -> None:
    """Draw the ground from above or obliquely, in squares of half a metre, up to a horizon behind the robot."""
    draw.rectangle([0, 0, camera.width, camera.height], fill=GROUND)
    below = np.array([*camera.centre[:2], camera.floor])
    reach = camera.width / camera.scale  # metres, beyond the picture's edge
    for axis in (0, 1):
        for mark in np.arange(np.ceil(2 * (below[axis] - reach)), 2 * (below[axis] + reach)) / 2:
            ends = np.stack([below, below])  # [2, 3]
            ends[:, axis] = mark
            ends[:, 1 - axis] += (-reach, reach)
            draw.line([tuple(point) for point in camera.to_pixels(ends)], fill=MARK, width=2)
    if camera.up[2] > 0:
        _, level = camera.to_pixels(below)
        draw.rectangle([0, 0, camera.width, level - 0.15 * camera.height], fill=SKY)


def _draw_shape(draw: ImageDraw.ImageDraw, shape: Shape) -> None:
    if shape.radius is None:
        draw.polygon([tuple(point) for point in shape.points], fill=shape.colour, outline=INK)
        return
    for grown, fill in ((2.5, INK), (0.0, shape.colour)):  # the outline is a larger shape below
        _rounded_line(draw, shape.points, shape.radius + grown, fill)


def _rounded_line(draw: ImageDraw.ImageDraw, ends: np.ndarray, radius: float, fill: tuple[int, int, int]) -> None:
    draw.line([tuple(point) for point in ends], fill=fill, width=round(2 * radius))
    for x, y in ends:
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill)


def _draw_pendulum(angle: float, width: int, height: int) -> np.ndarray:
    """Draw Gymnasium's Pendulum: a rod of one metre, its angle counted from upright."""
    width *= OVERSAMPLING
    height *= OVERSAMPLING
    image = Image.new("RGB", (width, height), SKY)
    draw = ImageDraw.Draw(image)
    pivot = np.array([width / 2, height / 2])
    tip = pivot + 0.38 * height * np.array([-np.sin(angle), -np.cos(angle)])
    for grown, fill in ((2.5, INK), (0.0, BODY_COLOURS[2])):
        _rounded_line(draw, np.stack([pivot, tip]), 0.035 * height + grown, fill)
    _rounded_line(draw, np.stack([pivot, pivot]), 0.015 * height, INK)
    return _shrunk(image)


def _draw_numbers(numbers: np.ndarray, width: int, height: int) -> np.ndarray:
    """Draw the state of any other task: a bar up or down for each number, with large numbers compressed."""
    width *= OVERSAMPLING
    height *= OVERSAMPLING
    image = Image.new("RGB", (width, height), SKY)
    draw = ImageDraw.Draw(image)
    wide = width / len(numbers)  # pixels per bar
    middle = height / 2
    for i, number in enumerate(np.tanh(numbers / 2)):
        ends = sorted((middle, middle - 0.45 * height * number))
        draw.rectangle([(i + 0.15) * wide, ends[0], (i + 0.85) * wide, ends[1]], fill=BODY_COLOURS[i % 4], outline=INK)
    draw.line([0, middle, width, middle], fill=INK, width=2)
    return _shrunk(image)


def _draw_point_mass(position: np.ndarray, arena: float, width: int, height: int) -> np.ndarray:
    """Draw the mass in its square arena, from above, ``arena`` being half a side."""
    width *= OVERSAMPLING
    height *= OVERSAMPLING
    image = Image.new("RGB", (width, height), SKY)
    draw = ImageDraw.Draw(image)
    half = 0.45 * min(width, height)
    unit = half / arena  # pixels per metre
    left = width / 2 - half
    top = height / 2 - half
    draw.rectangle([left, top, width - left, height - top], fill=GROUND, outline=INK, width=3)
    x = width / 2 + unit * position[0]
    y = height / 2 - unit * position[1]
    for radius, fill in ((0.07 * half + 2.5, INK), (0.07 * half, BODY_COLOURS[0])):
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill)
    return _shrunk(image)


def _shrunk(image: Image.Image) -> np.ndarray:
    """Frame of the asked size, with smooth edges."""
    return np.asarray(image.reduce(OVERSAMPLING))


def _render_with_opengl(env: gymnasium.Env, states: np.ndarray, width: int, height: int) -> list[np.ndarray]:
    """Frames of MuJoCo's own renderer."""
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
