"""Finite check: names the first metric that became nan, inf or absurd, and its step, without waiting at each update.

Every update's losses are put aside as they are. When losses are fetched for the progress line anyway, all those put
aside are checked, oldest first, so that the error names the first wrong one and not one that followed from it.

A number can be finite and still say that nothing is learned any more. The world model's loss and the imagined states
are in units of the data's spread, so they have a usual size: the median of their recent past. In sound runs they stay
within some ten times of it; beyond ``ABSURD`` times they end the run. Losses of actor and critic have none, for they
follow the rewards that are met, and a task may pay nothing for a long time.
"""

from __future__ import annotations

import contextlib
import math
import re
import statistics
import warnings
from collections import deque
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..imagination_loop import NotFiniteError

# Metrics that are checked, with their names in words; each can make those below it wrong.
CHECKED = {
    "world_model_loss": "world_model_loss",
    "imagined_reach": "an imagined state",
    "imagined_reward": "an imagined reward",
    "action_mean": "an imagined action",
    "critic_loss": "critic_loss",
    "actor_loss": "actor_loss",
    "exploded_share": "the share of exploded trajectories",
}
# Metrics with a usual size, and the least that counts as one.
SIZED = {"world_model_loss": 0.1, "imagined_reach": 0.0}
PAST = 300  # last values that the usual size is the median of
ENOUGH = 10  # values; with fewer the usual size is uncertain
ABSURD = 1e4  # times the usual size
ABSURD_AT_FIRST = 1e6  # times the usual size while it is uncertain, taken to be at least 1
CEILING = 1e8  # absurd whatever came before, should a loss have crept there
REMEDY = "A smaller learning_rate or critic_learning_rate may prevent it; --detect-anomaly finds the line"
CAUSES = (
    "Perhaps an observation or a reward moved that had stood still before, or jumped; look at the task's. A smaller "
    "learning_rate may help, too"
)


class FiniteCheck:
    """Check of the metrics that were computed since the last one, and of the weights."""

    def __init__(self) -> None:
        self._unchecked: list[tuple[int, tuple[str, ...], Tensor]] = []
        self._past: dict[str, deque[float]] = {name: deque(maxlen=PAST) for name in SIZED}

    def begin(self, latest: dict[str, float]) -> None:
        """Go on after earlier parts of a run, whose last losses were ``latest``: they are the usual size for now."""
        for name in SIZED.keys() & latest.keys():
            self._past[name].extend([abs(latest[name])] * ENOUGH)

    def add(self, step: int, metrics: dict[str, Any]) -> None:
        """Put a step's metrics aside for the next :meth:`check`; nothing waits for them."""
        names = tuple(name for name in CHECKED if name in metrics)
        if names:  # one small copy: the tensors themselves may be overwritten by the next update
            self._unchecked.append((step, names, torch.stack([metrics[name] for name in names])))

    def check(self, networks: dict[str, nn.Module], step: int) -> None:
        """Wait for the metrics put aside, and check them and the weights of ``networks``.

        Raises:
            NotFiniteError: naming the first quantity that is not finite or absurd, and its step.
        """
        unchecked = self._unchecked
        self._unchecked = []
        for when, names, values in unchecked:
            found = dict(zip(names, values.tolist(), strict=True))
            for name, value in found.items():
                if not math.isfinite(value):
                    raise NotFiniteError(f"{CHECKED[name]} became {value} at step {when}. {REMEDY}")
                if name == "exploded_share" and value == 1:
                    raise NotFiniteError(
                        f"every imagined trajectory exploded at step {when}: each went further than explosion_factor "
                        "times what the replay holds. A smaller learning_rate or more pretrain_updates may prevent it"
                    )
                if name in SIZED and not (name == "imagined_reach" and found.get("exploded_share")):
                    # what has exploded is left out and counted, however far it went
                    self._check_size(name, value, when)
        if not networks:
            return
        sizes = [torch.stack(torch._foreach_norm(list(network.parameters()))).sum() for network in networks.values()]
        for name, size in zip(networks, torch.stack(sizes).tolist(), strict=True):
            if not math.isfinite(size):
                raise NotFiniteError(f"a weight of {name} became {size} by step {step}. {REMEDY}")

    def _check_size(self, name: str, value: float, when: int) -> None:
        """Compare a metric with its own past, which it then belongs to.

        Raises:
            NotFiniteError: it is absurd.
        """
        past = self._past[name]
        usual = statistics.median(past) if past else 1.0
        size = max(usual, SIZED[name])
        limit = ABSURD * size if len(past) >= ENOUGH else ABSURD_AT_FIRST * max(size, 1.0)
        if abs(value) > min(limit, CEILING):
            raise NotFiniteError(
                f"{CHECKED[name]} became {value:.3g} at step {when}, where {usual:.2g} is usual. {CAUSES}"
            )
        past.append(abs(value))

    def cause(self) -> NotFiniteError | None:
        """The error for the first wrong number among the metrics put aside; None if there is none."""
        try:
            self.check({}, 0)
        except NotFiniteError as error:
            return error
        return None


@contextlib.contextmanager
def anomaly_detection() -> Generator[None, None, None]:
    """Within it, a gradient that becomes nan ends in an error that names the line which computed it (slow).

    Raises:
        NotFiniteError: with the file, the line and its code.
    """
    with warnings.catch_warnings(record=True) as caught, torch.autograd.set_detect_anomaly(True):
        warnings.simplefilter("always")
        try:
            yield
        except RuntimeError as error:
            if "returned nan values" not in str(error):
                raise
            function = str(error).split("'")[1]
            lines = [_own_line(str(warning.message)) for warning in caught]
            place = next(filter(None, lines), "an unknown line")
            raise NotFiniteError(f"the gradient became nan in {function}, computed in {place}") from None


def _own_line(text: str) -> str:
    """The innermost line of this package in a traceback, with its place; empty if there is none."""
    package = str(Path(__file__).parents[1])
    frames = re.findall(r'File "([^"]+)", line (\d+), in (\S+)\n\s+(.+)', text)
    own = [frame for frame in frames if frame[0].startswith(package)]
    if not own:
        return ""
    path, line, function, code = own[-1]
    return f"{Path(path).relative_to(Path(package).parent)}:{line} ({function}): {code.strip()}"
