"""A job of the GPU check: what one part is to do, where it writes, and the time that it has."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files.safe_files import read_json, write_json
from ..presets import get_preset
from ..settings import Preset

PRESET = "hopper"
# Sizes of a dry run: every part at work, nothing learned.
TINY = {
    "width": 16,
    "depth": 1,
    "batch_size": 16,
    "policy_width": 16,
    "imagined_trajectories": 16,
    "horizon": 4,
    "sampling_steps": 4,
    "precision": "bfloat16",
    "compile": "none",
}


class PartFailedError(Exception):
    """A part came to an end and found that something is wrong; its message is one line."""


@dataclass
class Job:
    """A part's order: its name, its folder and its time.

    Attributes:
        seconds: that it may take; it should be done a little earlier.
        found: its result so far; :meth:`write` puts it on the disk.
    """

    name: str
    folder: Path
    seconds: float
    dry_run: bool
    began: float = field(default_factory=time.monotonic)
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> str:
        return "cpu" if self.dry_run else "cuda"

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.monotonic() - self.began)

    @property
    def overrides(self) -> dict[str, Any]:
        """Settings that differ from those of full-size Hopper: tiny ones, or no graphs where none could be recorded."""
        if self.dry_run:
            return TINY
        tried = self.folder / "graphs.json"
        cannot_record = tried.exists() and not read_json(tried)["rows"]
        return {"compile": "none"} if cannot_record else {}

    def preset(self) -> Preset:
        """Full-size Hopper, or a tiny one."""
        return get_preset(PRESET).with_overrides(self.overrides)

    def write(self, **found: Any) -> None:
        """Add to the result and write all of it."""
        self.found |= found
        write_json(self.folder / f"{self.name}.json", self.found)

    def command(self, *arguments: object) -> float:
        """Run ``polygrad-edu`` with these arguments as a user would; returns the seconds it took.

        Raises:
            PartFailedError: it ended with another status than 0.
        """
        words = [str(argument) for argument in arguments]
        print("$ polygrad-edu", *words, flush=True)
        begin = time.monotonic()
        status = subprocess.run([sys.executable, "-m", "polygrad_edu", *words]).returncode
        if status:
            raise PartFailedError(f"polygrad-edu {words[0]} ended with status {status}")
        return time.monotonic() - begin


def as_options(settings: dict[str, Any]) -> list[str]:
    """Settings as options of the command line."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
