"""Make the README's moving picture: ``python book/moving_picture.py``, some seconds; the same seed, the same picture.

A Hopper's trajectory is denoised while its policy pulls the actions: Algorithm 1 with the paper's rule and all 128
steps. At the end the simulator plays the same actions.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from polygrad_edu import environments
from polygrad_edu.drawing import poses
from polygrad_edu.drawing.camera import MARK, Camera, Shape
from polygrad_edu.drawing.rendering import GROUND, INK, SKY
from polygrad_edu.guided_sampler import GuidedSampler
from polygrad_edu.settings import GuidanceSettings
from polygrad_edu.widgets.guided_imagination import Playground, load_playground

IMAGES = Path(__file__).parent / "images"

START = 218  # row of the 256 stored real states: the foot is about to touch the ground
SEED = 0
SCALE = 0.004  # of the guidance; at this scale the standardised actions of this policy have a std of 1
STEPS = 128
EVERY = 3  # reverse steps from one frame to the next
KNEE = 1  # index of the action that is drawn

MILLISECONDS_OF_NOISE = 1500
MILLISECONDS_OF_A_STEP = 70
MILLISECONDS_OF_THE_IMAGINED = 1600
MILLISECONDS_OF_THE_SIMULATED = 3200

# all sizes in pixels of the finished picture
WIDTH = 960
HEAD = 46
ROBOTS = 300
PLOT = 150
FINE = 3  # drawn this many times larger and shrunk, for smooth edges

PAPER = (255, 255, 255)
BAND = (205, 219, 236)
COLOURS = np.array([(52, 101, 170), (42, 157, 143), (233, 158, 58)])  # first, middle and last time point
MAX_ACTION = 1.6  # the plot reaches from minus to plus this


class Chain(NamedTuple):
    """A trajectory on its way from noise to motion, in the environment's units; N is STEPS + 1."""

    observations: np.ndarray  # [N, H, O]
    actions: np.ndarray  # [N, H, A]
    policy_mean: np.ndarray  # [N, H, A], at the states that the denoiser sees
    policy_std: np.ndarray  # [N, H, A]


@torch.no_grad()
def imagine(playground: Playground) -> Chain:
    """The whole reverse process from one real state."""
    diffusion, normaliser, policy = playground.diffusion, playground.normaliser, playground.policy
    walk = diffusion.schedule.walk(STEPS)
    guidance = GuidanceSettings(rule="gradient", scale=SCALE)
    sampler = GuidedSampler(diffusion, walk, guidance, normaliser)
    first = playground.observations[START : START + 1]  # [1, O]
    normed_first = normaliser.observations.normalise(first)
    states = sampler.chain(first, policy, playground.horizon, torch.Generator().manual_seed(SEED))
    frames = []
    for (trajectory, actions), visit in zip(states, [*walk, None], strict=True):  # after the last visit, none follows
        seen = trajectory
        if visit is not None:
            seen = diffusion.reconstruct(trajectory, visit.signal * actions, visit.step, normed_first)
        asked = policy(normaliser.denormalise_trajectory(seen)[0])
        now = normaliser.denormalise_trajectory(trajectory)[0]
        parts = (now, normaliser.actions.denormalise(actions), asked.mean, asked.stddev)
        frames.append([part[0].numpy() for part in parts])
    return Chain(*(np.stack(part) for part in zip(*frames, strict=True)))


def colour_at(share: float) -> tuple[int, int, int]:
    """Colour of a time point, 0 for the first and 1 for the last."""
    places = np.linspace(0, 1, len(COLOURS))
    red, green, blue = (round(np.interp(share, places, channel)) for channel in COLOURS.T)
    return red, green, blue


class Canvas:
    """One frame under the pen; takes pixels of the finished picture."""

    def __init__(self, width: int, height: int, colour: tuple[int, int, int]):
        self.image = Image.new("RGB", (width * FINE, height * FINE), colour)
        self.pen = ImageDraw.Draw(self.image)

    def box(self, left: float, top: float, right: float, bottom: float, colour: tuple[int, int, int]) -> None:
        self.pen.rectangle([left * FINE, top * FINE, right * FINE, bottom * FINE], fill=colour)

    def line(self, points: np.ndarray, width: float, colour: tuple[int, int, int], round_ends: bool = False) -> None:
        self.pen.line([tuple(point) for point in points * FINE], fill=colour, width=round(width * FINE))
        if round_ends:
            for point in points:
                self.dot(point, width / 2, colour)

    def area(self, points: np.ndarray, colour: tuple[int, int, int]) -> None:
        self.pen.polygon([tuple(point) for point in points * FINE], fill=colour)

    def dot(self, point: np.ndarray, radius: float, colour: tuple[int, int, int]) -> None:
        self.pen.ellipse([*((point - radius) * FINE), *((point + radius) * FINE)], fill=colour)

    def text(self, x: float, y: float, words: str, size: int, anchor: str = "lm") -> None:
        font = ImageFont.load_default(size * FINE)
        self.pen.text((x * FINE, y * FINE), words, fill=INK, font=font, anchor=anchor)

    def finished(self) -> Image.Image:
        return self.image.reduce(FINE)


class Film:
    """Draws the frames of a chain."""

    def __init__(self, playground: Playground, chain: Chain):
        self.env = playground.env
        self.state = playground.simulator_states[START]
        self.chain = chain
        self.camera = Camera(self.env, WIDTH, ROBOTS)
        horizon = playground.horizon
        self.places = WIDTH * (np.arange(horizon) + 0.75) / (horizon + 0.35)  # x of each time point
        self.colours = [colour_at(share) for share in np.linspace(0, 1, horizon)]

    def frame(self, step: int, text: str, simulated: np.ndarray | None = None) -> Image.Image:
        """The trajectory after ``step`` reverse steps, under the simulator's observations [H, O] where given."""
        canvas = Canvas(WIDTH, HEAD + ROBOTS + PLOT, SKY)
        self._draw_ground(canvas)
        for shapes, colour in zip(self._robots(self.chain.observations[step]), self.colours, strict=True):
            for shape in shapes:
                canvas.line(shape.points, 2 * shape.radius + 2.5, INK, round_ends=True)
                canvas.line(shape.points, 2 * shape.radius, colour, round_ends=True)
        if simulated is not None:
            for shapes in self._robots(simulated):
                self._draw_bones(canvas, shapes)
        self._draw_head(canvas, text, step / STEPS)
        self._draw_actions(canvas, step)
        return canvas.finished()

    def _robots(self, observations: np.ndarray) -> list[list[Shape]]:
        """The robot's solids at each time point, side by side."""
        robots = []
        states = poses.states_from_observations(self.env, self.state, observations)
        for state, place in zip(states, self.places, strict=True):
            self.camera.look(state)
            shift = np.array([place - WIDTH / 2, HEAD])
            robots.append([shape._replace(points=shape.points + shift) for shape in self.camera.shapes()])
        return robots

    def _draw_ground(self, canvas: Canvas) -> None:
        level = self.camera.ground()[0] + HEAD
        canvas.box(0, level, WIDTH, HEAD + ROBOTS, GROUND)
        canvas.line(np.array([[0, level], [WIDTH, level]]), 1.5, MARK)
        for i, place in enumerate(self.places):
            canvas.text(place, level + 40, f"+{i}" if i else "real", 15, "mm")

    def _draw_bones(self, canvas: Canvas, shapes: list[Shape]) -> None:
        for shape in shapes:
            canvas.line(shape.points, 2.5, PAPER)
        for shape in shapes:
            for point in shape.points:
                canvas.dot(point, 3, INK)
                canvas.dot(point, 2, PAPER)

    def _draw_head(self, canvas: Canvas, text: str, share: float) -> None:
        canvas.text(18, 26, text, 21)
        left, right = WIDTH - 198, WIDTH - 18
        canvas.line(np.array([[left, 26], [right, 26]]), 5, MARK, round_ends=True)
        if share:
            canvas.line(
                np.array([[left, 26], [left + share * (right - left), 26]]), 5, self.colours[0], round_ends=True
            )

    def _draw_actions(self, canvas: Canvas, step: int) -> None:
        """The knee's torque at each time point, and the policy there: its mean, and a std either way."""
        top = HEAD + ROBOTS
        half = (PLOT - 56) / 2
        middle = top + 40 + half
        canvas.box(0, top, WIDTH, top + PLOT, PAPER)
        canvas.text(18, top + 20, "Torque at the knee (dots), and what the policy would do in these states (band)", 15)

        def points(actions: np.ndarray) -> np.ndarray:
            y = middle - half * np.clip(actions / MAX_ACTION, -1, 1)
            return np.stack([self.places, y], axis=-1)

        mean = self.chain.policy_mean[step, :, KNEE]
        std = self.chain.policy_std[step, :, KNEE]
        means = points(mean)
        actions = points(self.chain.actions[step, :, KNEE])
        canvas.area(np.concatenate([points(mean + std), points(mean - std)[::-1]]), BAND)
        canvas.line(means, 1.5, self.colours[0])
        for ends, colour in zip(np.stack([means, actions], axis=1), self.colours, strict=True):
            canvas.line(ends, 1.5, MARK)
            canvas.dot(ends[1], 6, INK)
            canvas.dot(ends[1], 4.8, colour)


def frames_of(playground: Playground) -> tuple[list[Image.Image], list[int]]:
    """The frames, and how many milliseconds each of them stays."""
    chain = imagine(playground)
    film = Film(playground, chain)
    played = environments.replay_actions(playground.env, playground.simulator_states[START], chain.actions[-1])
    frames = [film.frame(0, "One real state, and nine that are noise")]
    milliseconds = [MILLISECONDS_OF_NOISE]
    for step in range(EVERY, STEPS, EVERY):
        frames.append(film.frame(step, f"Denoising, guided by the policy: step {step} of {STEPS}"))
        milliseconds.append(MILLISECONDS_OF_A_STEP)
    frames.append(film.frame(STEPS, "Imagined: nine steps ahead, written at once"))
    milliseconds.append(MILLISECONDS_OF_THE_IMAGINED)
    frames.append(film.frame(STEPS, "White: the simulator plays the same actions", played["observations"]))
    milliseconds.append(MILLISECONDS_OF_THE_SIMULATED)
    return frames, milliseconds


def main(path: Path) -> None:
    frames, milliseconds = frames_of(load_playground("hopper"))
    width, height = frames[0].size
    ends = Image.new("RGB", (width, 2 * height))
    ends.paste(frames[0])
    ends.paste(frames[-1], (0, height))
    palette = ends.quantize(128, dither=Image.Dither.NONE)  # one for all frames, so that no colour flickers
    small = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    small[0].save(path, save_all=True, append_images=small[1:], duration=milliseconds, loop=0, optimize=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES / "denoising_hopper.gif")
