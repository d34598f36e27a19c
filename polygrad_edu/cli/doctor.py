"""``polygrad-edu doctor --reproduce``: does this machine come to the same numbers?"""

from __future__ import annotations

import json
import sys

from rich.console import Console
from rich.progress import track


def reproduce(as_json: bool) -> int:
    """Repeat the golden run with one thread and say how it compares; returns the exit status."""
    from ..measuring.golden_run import compare, golden_preset, golden_run, read_golden

    stored = read_golden()
    steps = iter(
        track(range(golden_preset().env_steps), "golden run", console=Console(file=sys.stderr), update_period=0.5)
    )

    def tell(done: int, of: int) -> None:
        next(steps, None)

    run = golden_run(tell=tell)
    next(steps, None)  # ends the progress line
    same, well, lines = compare(run, stored)
    if as_json:
        print(json.dumps({"same_bits": same, "in_band": well, **run, "band": stored["band"]}))
        return int(not well)
    print("\n".join(lines))
    there = stored["golden"]["machine"]
    differs = [
        f"{name} {value}, stored {there[name]}" for name, value in run["machine"].items() if value != there[name]
    ]
    if same:
        print(f"Every bit as stored ({run['digest']}).")
    elif well:
        print(
            "Other bits, but every number in its band"
            + (
                f", as can be where something differs: {'; '.join(differs)}."
                if differs
                else ", on what looks like the same machine."
            )
        )
    else:
        print(
            "A number lies outside of its band. "
            + (f"What differs: {'; '.join(differs)}. " if differs else "Nothing that was recorded differs. ")
            + "The book's page on reproducibility tells what can differ, and by how much."
        )
    return int(not well)
