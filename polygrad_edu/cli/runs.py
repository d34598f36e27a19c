"""The commands for a run that is there: ``evaluate``, ``video`` and ``export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..files.input_error import InputError
from .options import MAX_EPISODE_SEED, Json, RunDirectory, check_last_seed, seed_option


def evaluate(
    run: RunDirectory,
    episodes: Annotated[int, typer.Option(help="Episodes to play.", min=1)] = 20,
    seed: Annotated[
        int, seed_option("Of the first episode; default: as in result.json.", max_seed=MAX_EPISODE_SEED)
    ] = 2_000_000,
    as_json: Json = False,
) -> None:
    """Play the kept policy in the real simulator and report its return."""
    from .. import environments
    from ..runs.checkpoint import load_checkpoint
    from ..tasks.published_returns import reference_sentence

    check_last_seed("--episodes", episodes, seed, MAX_EPISODE_SEED)
    loop, _ = load_checkpoint(run)
    env_id = loop.preset.task.env_id
    returns = environments.evaluate(loop.make_env, loop.best_policy, episodes, seed)
    if as_json:
        answer = {
            "run": str(run),
            "env_id": env_id,
            "env_steps": loop.env_step,
            "episodes": episodes,
            "return_mean": float(returns.mean()),
            "return_std": float(returns.std()),
            "return_min": float(returns.min()),
            "return_max": float(returns.max()),
        }
        print(json.dumps(answer))
    else:
        print(
            f"{env_id}: return {returns.mean():.1f} ± {returns.std():.1f} over {episodes} episodes "
            f"(from {returns.min():.1f} to {returns.max():.1f}), the policy kept from {loop.env_step:,} steps. "
            f"{reference_sentence(env_id)}"
        )


def video(
    run: RunDirectory,
    out: Annotated[Path | None, typer.Option(help="File to write.", show_default="RUN/video.mp4")] = None,
    renderer: Annotated[str, typer.Option(help="drawn (needs no OpenGL) or mujoco (MuJoCo's own).")] = "drawn",
    seed: Annotated[int, seed_option("Of the shown trajectories.")] = 0,
    as_json: Json = False,
) -> None:
    """Write a video: imagined above, the same actions simulated below, then the trained agent."""
    from ..runs.checkpoint import load_checkpoint
    from ..runs.video import make_video

    if renderer not in ("drawn", "mujoco"):
        raise InputError(f"renderer {renderer!r} is unknown; choose drawn or mujoco")
    loop, _ = load_checkpoint(run)
    path = out or run / "video.mp4"
    if path.suffix != ".mp4" or not path.parent.is_dir():
        raise InputError(f"{path} must be an .mp4 file in a directory that is there")
    make_video(loop, path, renderer, seed)
    print(json.dumps({"video": str(path)}) if as_json else f"The video lies in {path}.")


def export(
    run: RunDirectory,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory, for example results/NAME.")],
    browser: Annotated[
        bool, typer.Option("--browser", help="Only one small file, with which a web page imagines.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Keep what matters of a finished run: its settings, curve, result, and small weights to imagine with.

    With --browser, write the averaged world model and the policy in 16 bits,
    for imagination.js: DIR/imagination.safetensors. RUN may also be what
    export made of a run.
    """
    from ..runs.browser_export import export_for_browser
    from ..runs.shipped import export_result

    (export_for_browser if browser else export_result)(run, directory)
    size = sum(path.stat().st_size for path in directory.iterdir())
    if as_json:
        print(json.dumps({"directory": str(directory), "bytes": size}))
    else:
        print(f"{run} is kept in {directory}, {size / 2**20:.1f} MiB.")
