"""Paths of lessons, shipped results and pages: beside the package in a clone, inside it once it is installed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from ..files.input_error import InputError
from ..runs.shipped import ShippedResult, load_result


def find_shared(folder: str) -> Path:
    """Path of the folder ``notebooks``, ``results`` or ``book``; the last holds only some pages once installed.

    Raises:
        InputError: this installation has no such folder.
    """
    package = Path(str(resources.files("polygrad_edu")))
    for place in (package / folder, package.parent / folder):
        if place.is_dir():
            return place
    raise InputError(f"the {folder} are not part of this installation; run this in a clone of the repository")


def shipped(name: str) -> ShippedResult:
    """Load a trained run that comes with the course, for example ``hopper-cpu``.

    Raises:
        InputError: there is no run of that name; the message lists the names there are.
    """
    results = find_shared("results")
    known = sorted(path.name for path in results.iterdir() if (path / "model.safetensors").exists())
    if name not in known:  # so a name such as ../mine leads nowhere else
        raise InputError(f"no result {name!r} comes with the course; there are {', '.join(known)}")
    return load_result(results / name)
