"""Running a study: all its trials in one folder, where a study that was stopped goes on.

::

    study.json      everything that decides the numbers
    trials/NAME/    an ordinary run directory for each trial, and NAME.log, its output
    failures.json   trials that failed, how often, and why
    ray.log         Ray's output, where it is the engine
    report.md       the report (see :mod:`polygrad_edu.studies.report`), with its figures
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from ..files.input_error import InputError
from ..files.safe_files import read_json, write_json
from .study import Study
from .trials import Engine, Trial, run_trials

MAX_TRIES = 2  # of a trial that fails by itself


def lock(directory: Path) -> TextIO:
    """Lock the folder, until the file is closed here and in every process that inherited it.

    Raises:
        InputError: another process is at work on it.
    """
    file = (directory / ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise InputError(
            f"another process is at work on {directory}, perhaps trials that outlived their study; "
            "wait for it, or end it"
        ) from None
    return file


def run_study(directory: Path, study: Study, engine: Engine, console: Console) -> dict[str, Any]:
    """Train the trials that are not finished yet; returns the :func:`summary`."""
    trials = study.trials(directory)
    record = _read_failures(directory)
    given_up = {}
    for trial in trials:
        if trial.finished or trial.name not in record:
            continue
        tries = record[trial.name]["tries"]
        why = record[trial.name]["why"]
        again = "is tried once more" if tries < MAX_TRIES else "is left; to try again, remove failures.json"
        console.print(f"{trial.name} failed {tries} times ({why}) and {again}", soft_wrap=True, highlight=False)
        if tries >= MAX_TRIES:
            given_up[trial.name] = why
    failures = dict(given_up)
    try:
        run_trials(trials, engine, console, failures)
    finally:
        for name in failures.keys() - given_up.keys():
            tries = record.get(name, {}).get("tries", 0) + 1
            record[name] = {"tries": tries, "why": failures[name]}
        if record:
            write_json(directory / "failures.json", record)
    return summary(directory, trials, failures)


def _read_failures(directory: Path) -> dict[str, dict[str, Any]]:
    path = directory / "failures.json"
    record = read_json(path) if path.exists() else {}
    for entry in record.values():
        whole = isinstance(entry, dict) and isinstance(entry.get("tries"), int) and isinstance(entry.get("why"), str)
        if not whole:
            raise InputError(f"{path} is damaged; remove it to try the trials that failed again")
    return record


def summary(directory: Path, trials: list[Trial], failures: dict[str, str]) -> dict[str, Any]:
    """The state of a study as one JSON object, trial by trial."""
    rows = []
    for trial in trials:
        row: dict[str, Any] = {"name": trial.name, "preset": trial.preset_name, "variant": trial.variant}
        row |= {"seed": trial.seed, "state": "failed" if trial.name in failures else "waiting"}
        if trial.finished:
            result = trial.result()
            row |= {"state": "finished", "return_mean": result["return_mean"], "return_std": result["return_std"]}
            row |= {"env_steps": result["env_steps"], "minutes": round(result["wall_seconds"] / 60, 2)}
        elif trial.name in failures:
            row["why"] = failures[trial.name]
        rows.append(row)
    finished = sum(row["state"] == "finished" for row in rows)
    return {"study": str(directory), "trials": rows, "finished": finished, "failed": len(failures)}
