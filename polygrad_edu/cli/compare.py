"""The commands that compare world models, ``error`` and ``futures``, and ``dataset``, which makes data for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..files.input_error import InputError
from ..settings import IMAGINE_ONLY, LEARNED_WITH, WORLD_MODELS
from .command import expanded
from .options import Device, Json, choose_device, given, seed_option, varied, with_settings
from .progress import progress_lines
from .terminal import CommandConsole, answer

# Without an agent there is no critic, and a measurement leaves nothing out and compiles nothing.
IMAGINING = tuple(name for name in IMAGINE_ONLY if name not in ("advantage_scale", "explosion_factor", "compile"))
# The world model and its denoiser are chosen by --models.
LEARNING = tuple(name for name in LEARNED_WITH if name not in ("world_model", "denoiser"))
FUTURE_MODELS = ("polygrad", "polygrad-causal", "polygrad-delayed", *WORLD_MODELS[1:])
HIDDEN_WORLDS = ("windy-point-mass", "fork", "gusty-point-mass", "hidden-velocity-pendulum")
MODELS = ("polygrad", "polygrad-causal", "polygrad-delayed", "polygrad-transformer", *WORLD_MODELS[1:])


@with_settings(LEARNING + IMAGINING)
def error(
    source: Annotated[str, typer.Argument(help="A run directory, a dataset directory or a Minari dataset's name.")],
    models: Annotated[
        str,
        typer.Option(
            help=f"Comma-separated, or all: {', '.join(MODELS)}.", show_default="a run's own, or all for a dataset"
        ),
    ] = "",
    ahead: Annotated[int, typer.Option(help="Furthest step ahead that is measured.", min=1)] = 10,
    trajectories: Annotated[int, typer.Option(help="Trajectories imagined by each model.", min=2)] = 256,
    updates: Annotated[
        int | None, typer.Option(help="Of each model.", min=1, show_default="7 to 16 minutes' worth on one core")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="The same training for each model, in the processor's time.", min=0.01, show_default=False),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Training seeds of each model, from --seed on.", min=1)] = 1,
    policy: Annotated[
        Path | None,
        typer.Option(help="A run directory or policy file that acts.", show_default="the one that made the data"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory for models, table and figure.", show_default="runs/error-SOURCE")
    ] = None,
    seed: Annotated[int, seed_option("Of training, of starts and of imagination.")] = 0,
    device: Device = "auto",
    as_json: Json = False,
    **settings: str | None,
) -> None:
    """Imagined against simulated: how far world models go wrong, by the number of steps ahead.

    Imagines from real states that no model was trained on, plays the imagined
    actions in the simulator, and prints the median squared error of the
    observations (in units of their variance) beside the reward's and the
    ending's, how on-policy the actions are, and the seconds it took.

    Given a run, measures the run's own world model. Given a dataset, first
    trains each model on nine tenths of its episodes and keeps it in --out:
    asking again, say with --ahead 50 or --sampling-steps 128, trains nothing.
    """
    from ..measuring.comparison import ComparisonSettings, measure_all

    if source:
        source = str(expanded(Path(source)))  # a dataset's name stays as it is
    chosen = _names(models)
    directory = out or Path("runs") / f"error-{Path(source).resolve().name if Path(source).exists() else 'minari'}"
    console = CommandConsole(stderr=as_json)
    comparison = ComparisonSettings(
        source=source,
        out=directory,
        models=chosen,
        ahead=ahead,
        trajectories=trajectories,
        updates=updates,
        minutes=minutes,
        seeds=seeds,
        policy=policy,
        seed=seed,
        device=choose_device(device),
        overrides=given(settings),
    )
    with progress_lines() as on_progress:
        results = measure_all(comparison, on_progress)
    kept = f"Table and figure lie in {directory}: error.md, error.json and error.png."
    answer(console, (results.title(), *results.tables(), results.legend()), results.to_json(), kept)


@with_settings(LEARNING + IMAGINING)
def futures(
    world: Annotated[str, typer.Argument(help=f"The hidden world: {', '.join(HIDDEN_WORLDS)}.")] = HIDDEN_WORLDS[0],
    models: Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(FUTURE_MODELS)}.", show_default="all")] = "",
    minutes: Annotated[float, typer.Option(help="Training of each model, in the processor's time.", min=0)] = 1.5,
    updates: Annotated[
        int | None, typer.Option(help="Of each model, in place of the minutes.", min=1, show_default="by the minutes")
    ] = None,
    ahead: Annotated[int, typer.Option(help="Furthest step ahead that is measured.", min=5, max=15)] = 10,
    episodes: Annotated[int, typer.Option(help="To learn from, 16 steps each.", min=1)] = 20_000,
    starts: Annotated[int, typer.Option(help="First observations.", min=1)] = 20,
    per_start: Annotated[int, typer.Option(help="Futures from each of them, imagined and real.", min=2)] = 200,
    ask: Annotated[
        str,
        typer.Option(
            metavar="end,return",
            help="Ask for futures with a given end or return, or both, and measure how near the answers come.",
            show_default="what comes of itself is measured",
        ),
    ] = "",
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE,...",
            help="Measure the trained PolyGRAD models for each value of a setting of imagining.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory for table and figure.", show_default="runs/futures-WORLD")
    ] = None,
    seed: Annotated[int, seed_option("Of data, of training, of starts and of imagination.")] = 0,
    device: Device = "auto",
    as_json: Json = False,
    **settings: str | None,
) -> None:
    """Imagined futures against real ones, in a world where something is hidden.

    Trains each world model for the same time, imagines many futures from the
    same first observations, and runs the world as often from there. Prints
    the spread over the true spread by the number of steps ahead, the share of
    the hidden drift's variance that lies within a trajectory, and proper
    scores of the position.

    With --ask, the ends or the returns of real futures are given, and each
    model has to find a way there: PolyGRAD is conditioned on them, the others
    imagine as many candidates as they can in the same time.
    """
    from ..measuring.asked_futures import measure_asked
    from ..measuring.futures import FutureSettings, measure_futures

    directory = out or Path("runs") / f"futures-{world}"
    console = CommandConsole(stderr=as_json)
    comparison = FutureSettings(
        world=world,
        out=directory,
        models=_names(models),
        minutes=minutes,
        updates=updates,
        ahead=ahead,
        episodes=episodes,
        starts=starts,
        futures=per_start,
        seed=seed,
        device=choose_device(device),
        overrides=given(settings),
        vary=_of_imagining(varied("--vary", vary or [])),
    )
    asked = _names(ask)
    if asked and vary:
        raise InputError("--vary and --ask: give one of them")
    with progress_lines() as on_progress:
        results = measure_asked(comparison, asked, on_progress) if asked else measure_futures(comparison, on_progress)
    name = "asked" if asked else "futures"
    kept = f"Table and figure lie in {directory}: {name}.md, {name}.json and {name}.png."
    answer(console, (results.title(), results.table(), results.legend()), results.to_json(), kept)


def _names(text: str) -> list[str]:
    """Names between commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _of_imagining(chosen: dict[str, list[str]]) -> dict[str, list[str]]:
    """Values by the flat names of their settings.

    Raises:
        InputError: a setting changes more than what is imagined.
    """
    for name, values in chosen.items():
        if name.replace("-", "_") not in IMAGINING:
            text = f"{name}={','.join(values)}"
            raise InputError(
                f"--vary {text!r}: give NAME=VALUE,VALUE with a setting of imagining: {', '.join(IMAGINING)}"
            )
    return {name.replace("-", "_"): values for name, values in chosen.items()}


def dataset(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory to make.")],
    env_id: Annotated[str, typer.Option("--env-id", help="A Gymnasium task.")] = "Hopper-v5",
    steps: Annotated[int, typer.Option(help="Transitions to store.", min=300)] = 120_000,
    train_steps: Annotated[int, typer.Option(help="Steps that the trained policy has learned from.", min=0)] = 300_000,
    seed: Annotated[int, seed_option("Of every random draw: same seed, same data.")] = 0,
    as_json: Json = False,
) -> None:
    """Make a dataset to compare world models on, in Minari's format, with simulator states.

    Trains a policy with Stable-Baselines3's PPO and stores a third each of
    what it does untrained, half trained and trained. Takes about five minutes
    for Hopper-v5, Walker2d-v5 or HalfCheetah-v5.
    """
    from ..interop.make_dataset import collect_dataset

    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"{directory} is there already; choose a new directory")
    with progress_lines() as on_progress:
        summary = collect_dataset(directory, env_id, steps, train_steps, seed, on_progress)
    if as_json:
        print(json.dumps(summary))
    else:
        returns = ", ".join(f"{level} {value:.0f}" for level, value in summary["mean_returns"].items())
        print(f"{summary['steps']:,} steps of {env_id} lie in {directory}; mean returns: {returns}.")
