"""Curves of a run in TensorBoard, where it is installed, and in Weights & Biases, where it is asked for.

A run's own record is ``metrics.jsonl``; the curves are made from its lines, so nothing is lost where neither tool is
installed. TensorBoard's event file lies beside it and is written anew from the kept lines whenever a run starts or
goes on: a step is never in it twice, and a run made before TensorBoard was installed gets its whole curve.
"""

from __future__ import annotations

import importlib.util
import math
import os
from pathlib import Path
from typing import Any, Protocol

from ..files.input_error import InputError
from ..files.metrics_log import read_metrics
from ..files.safe_files import read_json, write_json
from ..settings import Preset
from .observers import METRICS, Observer, RunView

EVENT_FILES = "events.out.tfevents.*"
WANDB_FILE = "wandb.json"  # which run of which project a run directory belongs to
OFFLINE = "Or keep the curves on this machine, with WANDB_MODE=offline in the environment"


class Drawer(Protocol):
    """A tool that draws the lines of metrics.jsonl, each a dictionary with ``env_step`` and numbers."""

    def begin(self, kept: list[dict[str, Any]]) -> str:
        """The run starts, or goes on after the lines that were ``kept``; returns a message for the user, or nothing."""
        ...

    def add(self, line: dict[str, Any]) -> None:
        """One more line."""

    def end(self, result: dict[str, Any] | None) -> None:
        """The run stops; ``result`` is what result.json holds, None if the run can go on."""


class Curves(Observer):
    """The curves of a run: in TensorBoard where it is installed, and in the project that the run began with.

    Raises:
        InputError: the run is drawn on Weights & Biases, which is not installed or cannot be reached.
    """

    def __init__(self, directory: Path):
        self.directory = directory
        self.drawers: list[Drawer] = []
        if importlib.util.find_spec("tensorboard") is not None:  # looks for it, without the seconds of importing it
            self.drawers.append(TensorBoard(directory))
        if (directory / WANDB_FILE).is_file():
            kept = read_json(directory / WANDB_FILE)
            self.drawers.append(WeightsAndBiases(directory, str(kept.get("project")), str(kept.get("id"))))

    def use_wandb(self, project: str, preset_name: str, seed: int, preset: Preset) -> None:
        """Draw in this project too, if the run is not drawn there already."""
        settings = {"preset": preset_name, "seed": seed, **preset.to_json()}
        drawn = [drawer.project for drawer in self.drawers if isinstance(drawer, WeightsAndBiases)]
        if project not in drawn:
            self.drawers.append(WeightsAndBiases(self.directory, project, settings=settings))

    def begin(self, run: RunView) -> None:
        path = self.directory / METRICS
        kept = read_metrics(path) if path.exists() else []
        for drawer in self.drawers:
            if message := drawer.begin(kept):
                run.console.print(message, soft_wrap=True)

    def after_step(self, run: RunView, metrics: dict[str, Any]) -> None:
        if "eval_return" in metrics:
            line = run.evaluation_line(metrics)
            for drawer in self.drawers:
                drawer.add(line)

    def end(self, run: RunView, result: dict[str, Any] | None) -> None:
        for drawer in self.drawers:
            drawer.end(result)


class TensorBoard:
    """An event file in the run directory: ``tensorboard --logdir runs`` shows every run under its name."""

    def __init__(self, directory: Path):
        self.directory = directory

    def begin(self, kept: list[dict[str, Any]]) -> str:
        from torch.utils.tensorboard import SummaryWriter

        for old in self.directory.glob(EVENT_FILES):
            # emptied first and removed the next time: a TensorBoard that is reading it would wait for it for ever
            if old.stat().st_size:
                old.write_bytes(b"")
            else:
                old.unlink()
        # the same TensorBoard forgets what it read before when it sees purge_step
        self.writer = SummaryWriter(str(self.directory), purge_step=0)
        for line in kept:
            self._add(line)
        self.writer.flush()
        return ""

    def add(self, line: dict[str, Any]) -> None:
        self._add(line)
        self.writer.flush()  # to be seen at once, and after a crash

    def _add(self, line: dict[str, Any]) -> None:
        for name, value in numbers(line).items():
            self.writer.add_scalar(name, value, line["env_step"])

    def end(self, result: dict[str, Any] | None) -> None:
        self.writer.close()


class WeightsAndBiases:
    """A run on Weights & Biases; with ``WANDB_MODE=offline`` it stays here until ``wandb sync``."""

    def __init__(
        self, directory: Path, project: str, run_id: str | None = None, settings: dict[str, Any] | None = None
    ):
        check_wandb()
        import wandb

        self.directory = directory
        self.project = project
        quiet = wandb.Settings(console="off", silent=True)  # the console is the progress bar's
        try:
            self.remote = wandb.init(
                project=project, id=run_id, name=directory.name, config=settings, resume="allow", settings=quiet
            )
        except (wandb.Error, ValueError) as error:
            raise InputError(f"Weights & Biases did not take the run: {_line(error)}. {OFFLINE}") from None

    def begin(self, kept: list[dict[str, Any]]) -> str:
        write_json(self.directory / WANDB_FILE, {"project": self.project, "id": self.remote.id})
        if self.remote.offline:
            kept_in = Path(self.remote.dir).parent
            return f"Curves for Weights & Biases are kept here; upload them with: wandb sync {kept_in}"
        return f"Curves on Weights & Biases: {self.remote.url}"

    def add(self, line: dict[str, Any]) -> None:
        # after a resume the steps made again are there already, and equal; it takes only later ones
        if line["env_step"] >= self.remote.step:
            self.remote.log(numbers(line), step=line["env_step"])

    def end(self, result: dict[str, Any] | None) -> None:
        if result is not None:
            self.remote.summary.update(numbers(result))
        self.remote.finish()


def numbers(line: dict[str, Any]) -> dict[str, float]:
    """The finite numbers of a line of metrics, except ``env_step``."""
    return {
        name: float(value)
        for name, value in line.items()
        if name != "env_step" and isinstance(value, (int, float)) and not isinstance(value, bool)
        if math.isfinite(value)
    }


def check_wandb() -> None:
    """Check that Weights & Biases can be used.

    Raises:
        InputError: it is not installed; or nobody is logged in, and it is not to stay offline.
    """
    try:
        import wandb
    except ImportError:
        raise InputError(
            'Weights & Biases is not installed; install it with: python -m pip install "polygrad-edu[wandb]"'
        ) from None
    if os.environ.get("WANDB_MODE", "online") not in ("online", "shared"):
        return
    try:
        known = wandb.login(prompt=False)
    except wandb.Error as error:
        raise InputError(f"{_line(error)}. {OFFLINE}") from None
    if not known:
        raise InputError(f"Weights & Biases does not know who you are; log in with: wandb login. {OFFLINE}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
