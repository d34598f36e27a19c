"""Options that several commands share: a run, the device, the answer as JSON, and the settings of a preset."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..files.input_error import InputError
from ..settings import MAX_SEED, SETTINGS, Setting

RunDirectory = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, as written by train.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as one JSON object.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, or auto (cuda where there is one).")]

MAX_EPISODE_SEED = 2**32 - 1  # of an episode: some tasks draw from NumPy's older generators, which end there
METAVARS = {int: "INTEGER", float: "NUMBER", bool: "true|false", str: "TEXT"}


def seed_option(help: str, show_default: bool | str = True, max_seed: int = MAX_SEED) -> Any:
    """An option that takes a seed from 0 to ``max_seed``."""
    return typer.Option(help=help, show_default=show_default, min=0, max=max_seed)


def check_last_seed(option: str, count: int, first: int, max_seed: int = MAX_SEED) -> None:
    """Refuse several seeds of which the last is out of range.

    Args:
        option: that says how many there are.

    Raises:
        InputError: naming the last one.
    """
    if (last := first + count - 1) > max_seed:
        raise InputError(f"{option} {count} from --seed {first} on ends at {last}; a seed must be at most {max_seed:,}")


def choose_device(name: str) -> str:
    """The device called ``name``; ``auto`` is cuda where there is one.

    Raises:
        InputError: the name is unknown, or there is no such device here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu" or (name == "cuda" and torch.cuda.is_available()):
        return name
    if name == "cuda":
        raise InputError("there is no CUDA device here; use --device cpu (polygrad-edu doctor says what torch sees)")
    raise InputError(f"device {name!r} is unknown; choose cpu, cuda or auto")


def with_settings(names: Iterable[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command that takes ``**settings`` an option for each of these settings of a preset.

    The command gets each as text, or None where it was not given; :func:`given` leaves those out.
    """
    options = [_parameter(SETTINGS[name]) for name in names]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [parameter for name, parameter in signature.parameters.items() if name != "settings"]
        # typer reads both of these
        command.__signature__ = signature.replace(parameters=own + options)
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in own + options}
        return command

    return decorate


def _parameter(setting: Setting) -> inspect.Parameter:
    """A keyword parameter whose option shows the setting's help and default, in a panel for each concept.

    The value stays text: the settings check it themselves, and say what would be right.
    """
    default = str(setting.default).lower() if setting.kind is bool else setting.default
    option = typer.Option(
        help=f"{setting.help} (full size: {default})",
        metavar="NAME" if setting.choices else METAVARS[setting.kind],  # the help lists the choices
        rich_help_panel=f"Settings: {setting.group.replace('_', ' ')}",
    )
    annotation = Annotated[str | None, option]
    return inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def given(settings: Mapping[str, str | None]) -> dict[str, str]:
    """Those of a command's settings that were given."""
    return {name: value for name, value in settings.items() if value is not None}


def varied(option: str, texts: list[str]) -> dict[str, list[str]]:
    """``["horizon=10,20"]`` as ``{"horizon": ["10", "20"]}``.

    Args:
        option: that the texts were given to.

    Raises:
        InputError: a text has another form, or names a setting that another one names.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        listed = [value.strip() for value in values.split(",")]
        if not name or not all(listed):
            raise InputError(f"{option} takes SETTING=VALUE,VALUE,... and not {text!r}")
        if name in found:
            raise InputError(f"{option} names {name} twice; give all its values at once")
        found[name.strip()] = listed
    return found
