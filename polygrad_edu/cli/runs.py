"""What is done with a run that is there: ``evaluate``, ``video`` and ``export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .options import InputError, Json, RunDirectory, checked


def evaluate(
    run: RunDirectory,
    episodes: Annotated[int, typer.Option(help="Episodes to play.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="Of the first episode; default: as in result.json.", min=0)] = 2_000_000,
    as_json: Json = False,
) -> None:
    """Play the kept policy in the real simulator and report its return."""
    from .. import environments
    from ..runs.checkpoint import load_checkpoint
    from ..tasks.published_returns import reference_sentence

    loop, _ = checked(load_checkpoint, run)
    returns = environments.evaluate(loop.make_env, loop.best_policy, episodes, seed)
    answer = {
        "run": str(run), "env_id": loop.preset.env_id, "env_steps": loop.env_step, "episodes": episodes,
        "return_mean": float(returns.mean()), "return_std": float(returns.std()),
        "return_min": float(returns.min()), "return_max": float(returns.max()),
    }  # fmt: skip
    if as_json:
        print(json.dumps(answer))
    else:
        print(
            f"{answer['env_id']}: return {returns.mean():.1f} ± {returns.std():.1f} over {episodes} episodes "
            f"(from {returns.min():.1f} to {returns.max():.1f}), the policy kept from {loop.env_step:,} steps. "
            + reference_sentence(loop.preset.env_id)
        )


def video(
    run: RunDirectory,
    out: Annotated[Path | None, typer.Option(help="File to write.", show_default="RUN/video.mp4")] = None,
    renderer: Annotated[str, typer.Option(help="drawn (needs no OpenGL) or mujoco (MuJoCo's own).")] = "drawn",
    seed: Annotated[int, typer.Option(help="Of the shown trajectories.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Write a video: imagined above, the same actions simulated below, then the trained agent."""
    from ..runs.checkpoint import load_checkpoint
    from ..runs.video import make_video

    if renderer not in ("drawn", "mujoco"):
        raise InputError(f"renderer {renderer!r} is unknown; choose drawn or mujoco")
    loop, _ = checked(load_checkpoint, run)
    path = out or run / "video.mp4"
    if path.suffix != ".mp4" or not path.parent.is_dir():
        raise InputError(f"{path} must be an .mp4 file in a directory that is there")
    make_video(loop, path, renderer, seed)
    print(json.dumps({"video": str(path)}) if as_json else f"The video lies in {path}.")


def export(
    run: RunDirectory,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory, for example results/NAME.")],
    as_json: Json = False,
) -> None:
    """Keep what matters of a finished run: its settings, curve, result, and small weights to imagine with."""
    from ..runs.shipped import export_result

    checked(export_result, run, directory)
    size = sum(path.stat().st_size for path in directory.iterdir())
    told = f"{run} is kept in {directory}, {size / 2**20:.1f} MiB."
    print(json.dumps({"directory": str(directory), "bytes": size}) if as_json else told)
