"""The commands of studies: ``sweep`` trains many runs as one study, ``report`` says what it found."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..files.input_error import InputError
from ..settings import SETTINGS
from .options import Device, Json, check_last_seed, choose_device, given, seed_option, varied, with_settings
from .terminal import CommandConsole

if TYPE_CHECKING:
    from ..studies.study import Study

OutOption = Annotated[
    Path | None, typer.Option(help="The study's folder.", metavar="DIR", show_default="studies/PRESETS")
]


@with_settings(SETTINGS)
def sweep(
    presets: Annotated[list[str] | None, typer.Argument(metavar="PRESET...", help="One or more; see train.")] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Seeds for each, from --seed on.", min=1, max=10_000, show_default="5")
    ] = None,
    seed: Annotated[int | None, seed_option("The first of them.", show_default="0")] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SETTING=VALUE,...", help="Try each value; several --set: all combinations."),
    ] = None,
    out: OutOption = None,
    engine: Annotated[str, typer.Option(help="processes on this machine, or ray: a Ray cluster.")] = "processes",
    jobs: Annotated[
        int | None, typer.Option(help="Trials at a time.", min=1, show_default="a core each; the cluster's room")
    ] = None,
    address: Annotated[
        str, typer.Option(help="Of the Ray cluster: HOST:PORT or auto.", show_default="one is started here")
    ] = "",
    minutes: Annotated[
        float, typer.Option("--slice", help="Ray: minutes of training between two hand-backs to DIR.", min=0)
    ] = 1.0,
    gpus: Annotated[
        float | None,
        typer.Option(help="Ray: GPUs for each trial, 0.5 for two on one.", min=0, show_default="1 on cuda"),
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
    **settings: str | None,
) -> None:
    """Train seeds x presets x settings as one study.

    Every trial is an ordinary run directory in DIR/trials, which evaluate,
    video, error and train --resume take. A study can be stopped at any moment;
    started again with the same words, or with --out DIR alone, it goes on. It
    ends with DIR/report.md. Any setting of the presets can be fixed by name or
    varied with --set, for example:

    polygrad-edu sweep inverted-pendulum hopper-cpu --seeds 5
    --set guidance=fixed-noise,gradient --env-steps 2000 --jobs 2
    """
    from ..studies.processes import Processes
    from ..studies.ray_cluster import RayCluster, connect
    from ..studies.run_study import lock, run_study
    from ..studies.study import start_study

    device = _asked_device(engine, address, gpus, device)
    directory, study = _study(presets or [], seed, seeds, given(settings), vary or [], device, out)
    cores = os.cpu_count() or 1
    console = CommandConsole(stderr=as_json, going_on=f"the study goes on in {directory}")
    if engine == "ray":
        connect(address or os.environ.get("RAY_ADDRESS", ""), jobs or cores)
    else:
        choose_device(study.device)  # an error if it is not there
    start_study(directory, study)
    with lock(directory) as held:
        if engine == "ray":
            wanted = float(study.device == "cuda") if gpus is None else gpus
            trainer = RayCluster(jobs or 0, minutes, directory / "ray.log", wanted)
        else:
            trainer = Processes(jobs or (cores if study.device == "cpu" else 1), keep_open=(held.fileno(),))
        stopped = f"Stopped. Go on with: polygrad-edu sweep --out {shlex.quote(str(directory))}"
        try:
            answer = run_study(directory, study, trainer, console)
        except KeyboardInterrupt:
            console.print(stopped, soft_wrap=True, highlight=False)
            raise
        answer["report"] = None
        if answer["finished"]:
            from ..studies.report import write_report

            answer["report"] = str(write_report(directory, study))
    _tell(answer, as_json, console)


def _asked_device(engine: str, address: str, gpus: float | None, device: str) -> str:
    """The device that an engine's trials compute on; ``auto`` where it is decided by what the study was begun with.

    Raises:
        InputError: no such engine or device, or options of the other engine.
    """
    if engine not in ("processes", "ray"):
        raise InputError(f"engine {engine!r} is unknown; choose processes or ray")
    if engine == "ray":  # the machine that drives a cluster may lack what the others have
        return device if device != "auto" else "cuda" if gpus else "cpu"
    if address or gpus is not None:
        raise InputError("--address and --gpus go with --engine ray")
    return device if device == "auto" else choose_device(device)


def _tell(answer: dict[str, Any], as_json: bool, console: CommandConsole) -> None:
    """Print what came of a study.

    Raises:
        FailedRunsError: some of its trials failed.
    """
    from ..studies.seeds import FailedRunsError

    if as_json:
        print(json.dumps(answer))
    elif answer["report"]:
        finished = f"{answer['finished']} of {len(answer['trials'])} trials are finished"
        console.print(f"{finished}; the report lies in {answer['report']}.", soft_wrap=True, highlight=False)
    if answer["failed"]:
        row = next(row for row in answer["trials"] if row["state"] == "failed")
        raise FailedRunsError(
            f"{answer['failed']} of {len(answer['trials'])} trials failed, {row['name']} with: {row['why']}"
        )


def _study(
    presets: list[str],
    seed: int | None,
    seeds: int | None,
    fixed: dict[str, str],
    vary: list[str],
    device: str,
    out: Path | None,
) -> tuple[Path, Study]:
    """The folder and the study that were asked for: a new one, or one to go on with."""
    from ..studies.study import check_folder, make_study, read_study

    if not presets:
        if out is None:
            raise InputError("name one or more presets to train, or with --out DIR a study to go on with")
        if fixed or vary or seeds is not None or seed is not None:
            raise InputError("a study keeps its seeds and settings; leave them out, or name its presets as well")
        return out, read_study(out)
    directory = out or Path("studies") / "+".join(presets)
    if device == "auto":
        stored = (directory / "study.json").is_file()
        device = read_study(directory).device if stored else choose_device(device)
    first = seed or 0
    check_last_seed("--seeds", seeds or 5, first)
    study = make_study(presets, range(first, first + (seeds or 5)), fixed, varied("--set", vary), device)
    check_folder(directory, study)
    return directory, study


def report(
    directory: Annotated[Path, typer.Argument(metavar="STUDY", help="A study's folder, as made by sweep.")],
    as_json: Json = False,
) -> None:
    """Say what a study found so far, and write its report anew.

    DIR/report.md has interquartile means with bootstrap intervals, learning
    curves, performance profiles, the probability that one variant does better
    than another, and for each trial the command that repeats it.
    """
    from ..files.safe_files import read_json
    from ..studies.report import write_report
    from ..studies.study import read_study

    path = write_report(directory, read_study(directory))
    if as_json:
        print(json.dumps(read_json(directory / "report.json") | {"report": str(path)}))
    else:
        print(f"The report lies in {path}.")
