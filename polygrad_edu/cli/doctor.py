"""The command ``doctor``: is everything here that the course needs, and does this machine get the same numbers?"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from .. import __version__
from .options import Json
from .progress import progress_lines


def doctor(
    reproduce: Annotated[bool, typer.Option(help="Repeat a run of half a minute and compare its numbers.")] = False,
    as_json: Json = False,
) -> None:
    """Check this machine: versions, device, simulator, drawing and video; each trouble with its remedy."""
    from ..measuring.doctor import examine

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


def repeat_golden_run(as_json: bool) -> int:
    """Repeat the golden run with one thread and print how it compares; returns the exit status."""
    from ..measuring.golden_run import compare, golden_run, read_golden

    stored = read_golden()
    with progress_lines() as on_progress:
        run = golden_run(on_progress=on_progress)
    same, well, lines = compare(run, stored)
    if as_json:
        print(json.dumps({"same_bits": same, "in_band": well, **run, "band": stored["band"]}))
    else:
        print("\n".join(lines))
        print(_verdict(same, well, run, stored["golden"]["machine"]))
    return int(not well)


def _verdict(same: bool, well: bool, run: dict[str, Any], stored_machine: dict[str, Any]) -> str:
    """A sentence on how the numbers agree, and what differs between the two machines."""
    different = "; ".join(
        f"{name} {value}, stored {stored_machine[name]}"
        for name, value in run["machine"].items()
        if value != stored_machine[name]
    )
    if same:
        return f"Every bit as stored ({run['digest']})."
    if well and different:
        return f"Other bits, but every number in its band, as can be where something differs: {different}."
    if well:
        return "Other bits, but every number in its band, on what looks like the same machine."
    return (
        "A number lies outside of its band. "
        + (f"What differs: {different}. " if different else "Nothing that was recorded differs. ")
        + "The book's page on reproducibility tells what can differ, and by how much."
    )
