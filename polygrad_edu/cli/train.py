"""The command ``train``: a new run, a run to go on with, or several seeds side by side."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Annotated

import typer

from ..files.input_error import InputError
from ..presets import PRESETS, get_preset
from ..settings import SETTINGS
from .options import Device, Json, check_last_seed, choose_device, given, seed_option, with_settings
from .progress import progress_lines
from .terminal import CommandConsole, told_when_closed

DEFAULT_PRESET = "inverted-pendulum"


@with_settings(SETTINGS)
def train(
    preset: Annotated[str, typer.Argument(help=f"One of {', '.join(PRESETS)}.", show_default=DEFAULT_PRESET)] = "",
    seed: Annotated[int, seed_option("Of every random draw: same seed, same run.")] = 0,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Directory to make.", show_default="runs/PRESET-seedSEED")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Continue this run; keeps its settings.")] = None,
    seeds: Annotated[int, typer.Option(help="Train this many seeds side by side, from --seed on.", min=1)] = 1,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after a slice of time; --resume goes on.", min=0, show_default="none")
    ] = None,
    detect_anomaly: Annotated[bool, typer.Option(help="Find the line whose gradient becomes nan; slow.")] = False,
    wandb: Annotated[
        str,
        typer.Option(
            help="Also draw the curves in this project on Weights & Biases; WANDB_MODE=offline keeps them here.",
            metavar="PROJECT",
            show_default="not used",
        ),
    ] = "",
    supervised: Annotated[
        bool,
        typer.Option(
            "--supervised", help="Save and stop when standard input ends: for a program that starts this run."
        ),
    ] = False,
    as_json: Json = False,
    **settings: str | None,
) -> None:
    """Train a policy in imagination.

    Shows the return, the world model's loss, how on-policy the imagined
    actions are (their standard deviation in units of the policy's: 1 is
    right) and the time left. Any setting of the preset can be changed by
    name, for example:

    polygrad-edu train hopper-cpu --horizon 20 --guidance gradient

    Where TensorBoard is installed, tensorboard --logdir runs shows the
    curves of every run.
    """
    from ..runs.curves import check_wandb
    from ..runs.supervised import Supervision
    from ..runs.training import continue_run, start_run
    from ..studies.seeds import SeveralSeeds, train_seeds

    check_last_seed("--seeds", seeds, seed)
    overrides = given(settings)
    console = CommandConsole(stderr=as_json)
    device = choose_device(device)
    if wandb:
        check_wandb()  # before anything is written
    if resume is not None:
        if preset or seed or out or seeds > 1:
            raise InputError("--resume takes the preset, the seed and the directory from the run; leave them out")
        if unknown := sorted(set(overrides) - {"env_steps"}):
            raise InputError(f"a resumed run keeps its settings; only --env-steps may change, not {', '.join(unknown)}")
        training = continue_run(resume, device, overrides)
    else:
        name = preset or DEFAULT_PRESET
        chosen = get_preset(name).with_overrides(overrides)
        if device == "cpu" and f"{name}-cpu" in PRESETS:
            console.print(f"{name} has full-size networks, for a GPU; {name}-cpu is made for a CPU.", soft_wrap=True)
        if seeds > 1:
            _check_for_several(minutes, detect_anomaly, supervised)
            directory = out or _free_directory(name, "seeds", seed)
            several = SeveralSeeds(name, chosen, overrides, range(seed, seed + seeds), device, wandb)
            console = CommandConsole(stderr=as_json, going_on=f"the runs go on in {directory}")
            result = train_seeds(several, directory, console)
            returns = ", ".join(f"{value:.0f}" for value in result["returns"])
            said = f"Returns {returns}; median {result['return_median']:.0f}. The runs lie in {directory}."
            console.print(said, soft_wrap=True)
            if as_json:
                print(json.dumps(result))
            return
        resume = out or _free_directory(name, "seed", seed)
        with progress_lines() as on_progress:
            training = start_run(resume, name, chosen, seed, device, on_progress)
    if wandb:
        training.curves.use_wandb(wandb, training.preset_name, training.loop.seed, training.loop.preset)
    supervision = Supervision() if supervised else None
    with told_when_closed(f"Stopped. Go on with: {_resume_command(resume)}"):
        result = training.run(console, math.inf if minutes is None else minutes, detect_anomaly, supervision)
    with told_when_closed(f"The run lies in {resume}."):
        if as_json:
            print(json.dumps(result))


def _resume_command(run: Path) -> str:
    return f"polygrad-edu train --resume {shlex.quote(str(run))}"


def _check_for_several(minutes: float | None, detect_anomaly: bool, supervised: bool) -> None:
    """Refuse options that make sense for one seed only.

    Raises:
        InputError: one of them was given.
    """
    for option, is_given in (
        ("minutes", minutes is not None),
        ("detect-anomaly", detect_anomaly),
        ("supervised", supervised),
    ):
        if is_given:
            raise InputError(f"--{option} is for one seed; each of several can be continued with --resume DIR/seedN")


def _free_directory(preset: str, kind: str, seed: int) -> Path:
    """Path ``runs/PRESET-KINDSEED``, or the first such path with a number after it that is not taken."""
    base = Path("runs") / f"{preset}-{kind}{seed}"
    candidates = [base, *(base.with_name(f"{base.name}-{i}") for i in range(2, 1000))]
    return next(path for path in candidates if not path.exists())
