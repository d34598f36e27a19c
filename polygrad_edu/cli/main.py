"""The command line: ``polygrad-edu COMMAND``, of which ``train`` is the first and ``--help`` names them all."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .. import __version__
from ..measuring.doctor import examine
from ..presets import PRESETS, get_preset
from ..settings import SETTINGS
from . import bench, compare, course, runs, share, sweep
from .doctor import reproduce as repeat_golden_run
from .options import Device, InputError, Json, WandbProject, checked, choose_device, with_settings

app = typer.Typer(
    help="PolyGRAD, as a course you can run: learn a MuJoCo task inside a world model's imagination.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DEFAULT_PRESET = "inverted-pendulum"


@app.command()
@with_settings(SETTINGS)
def train(
    preset: Annotated[str, typer.Argument(help=f"One of {', '.join(PRESETS)}.", show_default=DEFAULT_PRESET)] = "",
    seed: Annotated[int, typer.Option(help="Of every random draw: same seed, same run.", min=0)] = 0,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Directory to make.", show_default="runs/PRESET-seedSEED")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Continue this run; keeps its settings.")] = None,
    seeds: Annotated[int, typer.Option(help="Train this many seeds side by side, from --seed on.", min=1)] = 1,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after a slice of time; --resume goes on.", min=0, show_default="none")
    ] = None,
    detect_anomaly: Annotated[bool, typer.Option(help="Find the line whose gradient becomes nan; slow.")] = False,
    wandb: WandbProject = "",
    attended: Annotated[
        bool, typer.Option("--attended", help="Save and stop when standard input ends: for whoever starts this run.")
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
    from ..runs.supervised import Attendant
    from ..runs.training import continue_run, start_run
    from ..studies.seeds import train_seeds

    overrides = {name: value for name, value in settings.items() if value is not None}
    console = Console(stderr=as_json)
    device = choose_device(device)
    if wandb:
        checked(check_wandb)  # before anything is written
    if resume is not None:
        if preset or seed or out or seeds > 1:
            raise InputError("--resume takes the preset, the seed and the directory from the run; leave them out")
        if unknown := sorted(set(overrides) - {"env_steps"}):
            raise InputError(f"a resumed run keeps its settings; only --env-steps may change, not {', '.join(unknown)}")
        training = checked(continue_run, resume, device, overrides)
    else:
        name = preset or DEFAULT_PRESET
        chosen = checked(checked(get_preset, name).with_overrides, overrides)
        if device == "cpu" and f"{name}-cpu" in PRESETS:
            console.print(f"{name} has full-size networks, for a GPU; {name}-cpu is made for a CPU.", soft_wrap=True)
        if seeds > 1:
            for option, given in (
                ("minutes", minutes is not None),
                ("detect-anomaly", detect_anomaly),
                ("attended", attended),
            ):
                if given:
                    raise InputError(
                        f"--{option} is for one seed; each of several can be continued with --resume DIR/seedN"
                    )
            if wandb:  # each seed is a process and a run of its own
                os.environ["POLYGRAD_EDU_WANDB"] = wandb
            directory = out or _free_directory(name, seed, "seeds")
            every = range(seed, seed + seeds)
            result = checked(train_seeds, name, chosen, overrides, every, directory, device, console)
            returns = ", ".join(f"{value:.0f}" for value in result["returns"])
            console.print(f"Returns {returns}; median {result['return_median']:.0f}. The runs lie in {directory}.")
            if as_json:
                print(json.dumps(result))
            return
        training = checked(start_run, out or _free_directory(name, seed), name, chosen, seed, device)
    if wandb:
        checked(training.curves.use_wandb, wandb, training.preset_name, training.loop.seed, training.loop.preset)
    attendant = Attendant() if attended else None
    result = checked(training.run, console, math.inf if minutes is None else minutes, detect_anomaly, attendant)
    if as_json:
        print(json.dumps(result))


def _free_directory(name: str, seed: int, kind: str = "seed") -> Path:
    """runs/NAME-seedSEED, or the first such name with a number that is not taken."""
    base = Path("runs") / f"{name}-{kind}{seed}"
    candidates = [base, *(base.with_name(f"{base.name}-{i}") for i in range(2, 1000))]
    return next(path for path in candidates if not path.exists())


app.command()(runs.evaluate)
app.command()(runs.video)
app.command()(runs.export)
app.command()(compare.error)
app.command()(compare.dataset)
app.command()(bench.bench)
app.command()(sweep.sweep)
app.command()(sweep.report)
app.command()(share.push)
app.command()(share.pull)
app.add_typer(course.course, name="course")


@app.command()
def doctor(
    reproduce: Annotated[bool, typer.Option(help="Repeat a run of half a minute and compare its numbers.")] = False,
    as_json: Json = False,
) -> None:
    """Check this machine: versions, device, rendering, video, lessons; each trouble with its remedy."""
    if reproduce:
        raise typer.Exit(repeat_golden_run(as_json))
    checks = examine()
    if as_json:
        print(json.dumps({"version": __version__, "checks": [check._asdict() for check in checks]}))
    else:
        for check in checks:
            mark = "ok  " if check.ok else "MISS" if check.needed else "note"
            print(f"{mark}  {check.name:<18} {check.found}")
            if not check.ok:
                print(f"{'':24} {check.remedy}")
    if any(check.needed and not check.ok for check in checks):
        raise typer.Exit(1)


@app.command()
def lab(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the lessons go.")] = Path("polygrad-lessons"),
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    start: Annotated[bool, typer.Option(help="Start JupyterLab after copying.")] = True,
) -> None:
    """Copy the lessons to DIR and open JupyterLab there. Your own changed copies are never overwritten."""
    from ..course.paths import find_shared

    source = checked(find_shared, "notebooks")
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; name a directory for the lessons")
    copied = kept = 0
    for lesson in sorted(source.glob("*.ipynb")):  # the assignments are handed out by the course commands
        target = directory / lesson.relative_to(source)
        if target.exists():
            kept += 1
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(lesson, target)
        copied += 1
    print(f"{copied} lessons copied to {directory}" + (f", {kept} already there left as they are." if kept else "."))
    if start:
        options = [] if browser else ["--no-browser"]
        raise typer.Exit(subprocess.call([sys.executable, "-m", "jupyter", "lab", *options], cwd=directory))


def main() -> None:
    """Entry point: bad input ends with one line and status 2, a failure while running with one line and 1."""
    from ..imagination_loop import NotFiniteError
    from ..studies.seeds import FailedRunsError

    try:
        status = app(standalone_mode=False) or 0
    except (InputError, typer.TyperException) as error:
        message = str(error) if isinstance(error, InputError) else error.format_message()
        if message:
            print(f"polygrad-edu: {' '.join(message.split())}", file=sys.stderr)
        status = 2
    except (NotFiniteError, FailedRunsError, OSError) as error:
        print(f"polygrad-edu: {' '.join(str(error).split())}", file=sys.stderr)
        status = 1
    except (KeyboardInterrupt, typer.Abort):
        print("polygrad-edu: stopped", file=sys.stderr)
        status = 130
    sys.exit(status)
