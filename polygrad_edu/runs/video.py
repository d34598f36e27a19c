"""Videos: imagined trajectories, the same actions in the simulator, and an episode of the policy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from .. import environments
from ..drawing import poses
from ..drawing.rendering import INK, draw_states
from ..files.input_error import InputError
from ..files.safe_files import one_line
from ..imagination_loop import REPORT_SEED, ImaginationLoop

VIDEO = "video.mp4"  # in the run directory
NO_VIDEO = "no_video.txt"  # there in its place: why a finished run has none
FRAMES_PER_SECOND = 30
HOLD = 3  # frames for which each time point of a trajectory is shown
EPISODE_FRAMES = 300  # at most, of the agent's episode


def with_caption(frame: np.ndarray, text: str) -> np.ndarray:
    """The frame with a band of text above it: [height + band, width, 3]."""
    band = max(18, frame.shape[0] // 11)
    image = Image.new("RGB", (frame.shape[1], band), (255, 255, 255))
    ImageDraw.Draw(image).text(
        (6, band / 2), text, fill=INK, font=ImageFont.load_default(size=0.62 * band), anchor="lm"
    )
    return np.concatenate([np.asarray(image), frame])


def stack_frames(top: list[np.ndarray], bottom: list[np.ndarray]) -> list[np.ndarray]:
    """Two films of equal length and width, one above the other."""
    if len(top) != len(bottom):
        raise ValueError(f"the films must be of equal length, not {len(top)} and {len(bottom)} frames")
    return [
        np.concatenate([a, np.full((2, a.shape[1], 3), INK, np.uint8), b]) for a, b in zip(top, bottom, strict=True)
    ]


def write_video(path: Path, frames: list[np.ndarray], fps: int = FRAMES_PER_SECOND) -> None:
    """Write frames [height, width, 3] as mp4, whole or not at all; odd sizes are padded by a pixel for the codec.

    Raises:
        OSError: there is no ffmpeg, or it could not write.
    """
    if not frames:
        raise ValueError("a video needs at least one frame")
    # here and not above: a machine that only trains can do without them and the notebook packages they bring
    import imageio_ffmpeg
    import mediapy

    path = Path(path)
    height, width = frames[0].shape[:2]
    margin = ((0, height % 2), (0, width % 2), (0, 0))
    partial = path.with_name(f".{path.stem}.partial.mp4")
    try:
        mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())
        mediapy.write_video(partial, [np.pad(frame, margin, mode="edge") for frame in frames], fps=fps)
        partial.replace(path)
    except RuntimeError as error:  # with ffmpeg's output, which is long
        raise OSError(f"{path} could not be written: {one_line(error)}") from None
    finally:
        partial.unlink(missing_ok=True)


def imagined_and_real_video(
    env: gymnasium.Env, segments: list[dict[str, np.ndarray]], episode: np.ndarray, path: Path, renderer: str = "drawn"
) -> None:
    """Write imagined trajectories above what the simulator does, then the agent's real episode.

    Args:
        segments: each with ``imagined_states`` and ``real_states`` [H, S], and ``real_terminals`` [H].
        episode: states [N, S] of the trained agent.
    """
    frames: list[np.ndarray] = []
    for segment in segments:
        ended = np.concatenate([[0], segment["real_terminals"][:-1]]).astype(bool)
        imagined = [
            with_caption(frame, "imagined by the world model")
            for frame in draw_states(env, segment["imagined_states"], renderer=renderer)
        ]
        real = [
            with_caption(frame, "same actions in the simulator" + (" - ended" if over else ""))
            for frame, over in zip(draw_states(env, segment["real_states"], renderer=renderer), ended, strict=True)
        ]
        frames += [frame for frame in stack_frames(imagined, real) for _ in range(HOLD)]
    shown = np.arange(0, len(episode), max(1, -(-len(episode) // EPISODE_FRAMES)))
    agent = [
        with_caption(frame, f"the trained agent, step {step} of {len(episode) - 1}")
        for step, frame in zip(shown, draw_states(env, episode[shown], renderer=renderer), strict=True)
    ]
    height = max(frame.shape[0] for frame in frames + agent)
    write_video(path, [_padded(frame, height) for frame in frames + agent])


def _padded(frame: np.ndarray, height: int) -> np.ndarray:
    """The frame in the middle of a taller one."""
    above = (height - frame.shape[0]) // 2
    margin = ((above, height - frame.shape[0] - above), (0, 0), (0, 0))
    return np.pad(frame, margin, constant_values=255)


def make_video(
    loop: ImaginationLoop, path: Path, renderer: str = "drawn", seed: int = 0, n_trajectories: int = 6
) -> None:
    """Write a run's video: imagined above, the same actions simulated below, then an episode of the best policy.

    Raises:
        InputError: the task cannot be drawn, or there is nothing to imagine from yet.
        OSError: ffmpeg or OpenGL is missing, or the disk is full.
    """
    if not loop.replay.n_starts:
        raise InputError(f"no episode has the {loop.replay.horizon} steps yet that imagining starts from")
    generator = torch.Generator(loop.device).manual_seed(seed)
    with contextlib.closing(loop.make_env()) as env:
        first = loop.replay.sample(n_trajectories, generator)
        imagined = loop.imagine_from(first.first_observations, generator)
        segments = []
        for i, row in enumerate(first.first_indices.tolist()):
            state = loop.replay.simulator_states[row].numpy()
            real = environments.replay_actions(env, state, imagined.actions[i].cpu().numpy())
            observations = imagined.observations[i].cpu().numpy()
            segments.append(
                {
                    "imagined_states": poses.states_from_observations(env, state, observations),
                    "real_states": real["states"],
                    "real_terminals": real["terminals"],
                }
            )
        episode = environments.play_episode(env, loop.best_policy, REPORT_SEED, loop.device)
        imagined_and_real_video(env, segments, episode, path, renderer)


def try_to_film(make: Callable[[], None]) -> str:
    """Make a film that nothing depends on; returns the reason in one line if that fails, else nothing.

    A task may be drawn by anybody's code, so any error counts: a film never ends a run.
    """
    try:
        make()
    except (InputError, OSError) as error:
        return one_line(error)
    except Exception as error:
        return f"{type(error).__name__}: {one_line(error)}"
    return ""
