"""The commands that share runs: ``push`` to the Hugging Face hub and ``pull`` from it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from .options import Json, RunDirectory

Repository = Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A repository on the Hugging Face hub.")]


def push(
    run: RunDirectory,
    repository: Repository,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository that only you can read.")] = False,
    as_json: Json = False,
) -> None:
    """Share a finished run, or what export made of one, on the Hugging Face hub.

    The repository is made where it is not there yet, and gets a card that
    says what was learned and how. A run goes with its checkpoint, so others
    can train on; polygrad-edu export makes something smaller. Needs the
    package's extra hub, and a token: hf auth login.
    """
    from ..interop import hub

    address = hub.push(run, repository, private)
    print(json.dumps({"address": address}) if as_json else f"{run} lies at {address}.")


def pull(
    repository: Repository,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory, for example runs/NAME.")],
    revision: Annotated[str, typer.Option(help="A branch, tag or commit of the repository.")] = "main",
    as_json: Json = False,
) -> None:
    """Fetch a run or a result that was shared on the Hugging Face hub.

    Only the files that a run is made of are taken, and DIR appears only when
    they could be loaded; no code of others is run. Needs the package's
    extra hub.
    """
    from ..interop import hub

    names = hub.pull(repository, directory, revision)
    if as_json:
        print(json.dumps({"directory": str(directory), "files": names}))
    elif "model.safetensors" in names:
        print(f"{directory} holds the result of {repository}; imagine with polygrad_edu.runs.shipped.load_result.")
    else:
        command = shlex.join(["polygrad-edu", "evaluate", str(directory)])
        print(f"{directory} holds the run of {repository}; go on with: {command}")
