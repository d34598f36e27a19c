"""Where the lessons and the shipped results lie: beside the package in a clone, inside it once it is installed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from ..runs.shipped import ShippedResult, load_result


def find_shared(folder: str) -> Path:
    """The folder ``notebooks`` or ``results``.

    Raises:
        ValueError: this installation has none.
    """
    package = Path(str(resources.files("polygrad_edu")))
    for place in (package / folder, package.parent / folder):
        if place.is_dir():
            return place
    raise ValueError(f"the {folder} are not part of this installation; run this in a clone of the repository")


def shipped(name: str) -> ShippedResult:
    """A trained run that comes with the course, for example ``hopper-cpu``.

    Raises:
        ValueError: there is none of that name; the message lists those there are.
    """
    results = find_shared("results")
    known = sorted(path.name for path in results.iterdir() if (path / "model.safetensors").exists())
    if name not in known:  # nor does a name such as ../mine lead anywhere else
        raise ValueError(f"no result {name!r} comes with the course; there are {', '.join(known)}")
    return load_result(results / name)
