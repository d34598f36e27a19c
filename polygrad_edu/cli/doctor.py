"""The command ``doctor``: is everything here that the course needs, and does this machine get the same numbers?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import __version__
from ..files.input_error import InputError
from .options import Json
from .progress import progress_lines

if TYPE_CHECKING:
    from ..measuring.golden_run import Comparison


def doctor(
    reproduce: Annotated[bool, typer.Option(help="Repeat a run of half a minute and compare its numbers.")] = False,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --reproduce: keep what this version found here.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --reproduce: compare with what was kept, by another version say."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check this machine: versions, device, simulator, drawing and video; each trouble with its remedy."""
    from ..measuring.doctor import check_variables, examine

    if reproduce:
        check_variables()
        raise typer.Exit(repeat_golden_run(save, against, as_json))
    if save or against:
        raise InputError("--save and --against go with --reproduce")
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


def repeat_golden_run(save: Path | None, against: Path | None, as_json: bool) -> int:
    """Repeat the golden run with one thread and print how it compares; returns the exit status.

    Args:
        save: file to keep it in.
        against: file of another one, to compare with; None: the stored one.
    """
    from ..measuring.golden_run import compare, compare_runs, golden_run, read_golden, read_run, save_run

    stored = read_golden()
    other = read_run(against) if against else None
    if save and not save.parent.is_dir():
        raise InputError(f"{save} must be a file in a directory that is there")
    with progress_lines() as on_progress:
        run = golden_run(on_progress=on_progress)
    if save:
        save_run(run, save)
    if other is not None:
        comparison = compare_runs(run, other, stored["band"])
        if as_json:
            rows = {name: row._asdict() | {"far": row.far} for name, row in comparison.rows.items()}
            answer = {"same_bits": comparison.same_bits, "close": comparison.close, "numbers": rows}
            print(json.dumps(answer | {"different": comparison.different}))
        else:
            print("\n".join(comparison.lines("now", str(against))))
            print(_difference(comparison))
        return int(not comparison.close)
    same, well, lines = compare(run, stored)
    if as_json:
        print(json.dumps({"same_bits": same, "in_band": well, **run, "band": stored["band"]}))
    else:
        print("\n".join(lines))
        print(_verdict(same, well, run, stored["golden"]["machine"]))
    return int(not well)


def _difference(comparison: Comparison) -> str:
    """A sentence on how two golden runs agree, and what differs between what made them."""
    if comparison.same_bits:
        return "Every bit is the same."
    far = [name for name, row in comparison.rows.items() if row.far]
    said = f"Further apart than seeds take them: {', '.join(far)}." if far else "Other bits, but no number is far off."
    pairs = "; ".join(f"{name} {now}, there {then}" for name, (now, then) in comparison.different.items())
    return f"{said} " + (f"What differs: {pairs}." if pairs else "Nothing that was recorded differs.")


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
