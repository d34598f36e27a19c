"""What the commands share: common options, the settings of a preset as options, and how bad input is told."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..settings import SETTINGS

RunDirectory = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, as written by train.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as one JSON object.")]
WandbProject = Annotated[
    str,
    typer.Option(
        "--wandb",
        help="Also draw the curves in this project on Weights & Biases; WANDB_MODE=offline keeps them here.",
        metavar="PROJECT",
        envvar="POLYGRAD_EDU_WANDB",  # by which each of several seeds, a process of its own, learns of it
        show_default="not used",
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, or auto (cuda where there is one).")]


class InputError(Exception):
    """Bad input: one line that says what was wrong and what would be right. Exit status 2."""


def checked(read: Callable[..., Any], *arguments: Any) -> Any:
    """Call ``read``; its ValueError is about the user's input, so show it as one line."""
    try:
        return read(*arguments)
    except ValueError as error:
        raise InputError(str(error)) from None


def choose_device(name: str) -> str:
    """``auto`` to the best there is; a device that is not there is an error."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu" or (name == "cuda" and torch.cuda.is_available()):
        return name
    if name == "cuda":
        raise InputError("there is no CUDA device here; use --device cpu (polygrad-edu doctor says what torch sees)")
    raise InputError(f"device {name!r} is unknown; choose cpu, cuda or auto")


def with_settings(names: Iterable[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command that takes ``**settings`` an option for each of these settings of a preset."""
    fields = {name: SETTINGS[name] for name in names}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        return _with_options(command, fields)

    return decorate


def _with_options(command: Callable[..., None], fields: dict[str, Any]) -> Callable[..., None]:
    kinds = {"int": "INTEGER", "float": "NUMBER", "bool": "true|false", "str": "TEXT"}
    options = []
    for name, field in fields.items():
        shown = f"{field.metadata['help']} (full size: {field.default})"
        option = typer.Option(help=shown, metavar=kinds[field.type], rich_help_panel="Settings of the preset")
        annotation = Annotated[str | None, option]
        options.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    signature = inspect.signature(command, eval_str=True)
    own = [parameter for name, parameter in signature.parameters.items() if name != "settings"]
    command.__signature__ = signature.replace(parameters=own + options)
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in own + options}
    return command
