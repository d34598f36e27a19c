"""The watch: a number that goes wrong is caught with its name and its step, without waiting for the device each time.

Every update's losses are put aside as they are. When the progress line fetches its numbers anyway, all those put
aside are looked at, oldest first, so that the first wrong one is named and not what it led to.
"""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..imagination_loop import NotFiniteError

# In the order in which one leads to the other.
WATCHED = {
    "world_model_loss": "world_model_loss",
    "imagined_reach": "an imagined state",
    "imagined_reward": "an imagined reward",
    "action_mean": "an imagined action",
    "critic_loss": "critic_loss",
    "actor_loss": "actor_loss",
    "exploded_share": "the share of exploded trajectories",
}
REMEDY = "A smaller learning_rate or critic_learning_rate may prevent it; --detect-anomaly finds the line"


class Watch:
    """What has been computed and not yet looked at."""

    def __init__(self) -> None:
        self._unseen: list[tuple[int, tuple[str, ...], Tensor]] = []

    def add(self, step: int, metrics: dict[str, Any]) -> None:
        """Put the update's numbers aside; nothing waits for them."""
        names = tuple(name for name in WATCHED if name in metrics)
        if names:  # one small copy: the tensors themselves may be overwritten by the next update
            self._unseen.append((step, names, torch.stack([metrics[name] for name in names])))

    def look(self, networks: dict[str, nn.Module], step: int) -> None:
        """Wait for all that was put aside, and look at it and at the weights.

        Raises:
            NotFiniteError: naming the first quantity that went wrong, and the step.
        """
        unseen, self._unseen = self._unseen, []
        for when, names, values in unseen:
            for name, value in zip(names, values.tolist(), strict=True):
                if not math.isfinite(value):
                    raise NotFiniteError(f"{WATCHED[name]} became {value} at step {when}. {REMEDY}")
                if name == "exploded_share" and value == 1:
                    raise NotFiniteError(
                        f"every imagined trajectory exploded at step {when}: each went further than explosion_factor "
                        "times what the replay holds. A smaller learning_rate or more pretrain_updates may prevent it"
                    )
        if not networks:
            return
        sizes = [torch.stack(torch._foreach_norm(list(network.parameters()))).sum() for network in networks.values()]
        for name, size in zip(networks, torch.stack(sizes).tolist(), strict=True):
            if not math.isfinite(size):
                raise NotFiniteError(f"a weight of {name} became {size} by step {step}. {REMEDY}")

    def cause(self) -> NotFiniteError | None:
        """What went wrong first, if it lies among the numbers that were put aside."""
        try:
            self.look({}, 0)
        except NotFiniteError as error:
            return error
        return None


@contextlib.contextmanager
def anomaly_detection() -> Generator[None, None, None]:
    """Within it a gradient that becomes nan ends in an error that names the line which computed it (slow).

    Raises:
        NotFiniteError: with the file, the line and its code.
    """
    with warnings.catch_warnings(record=True) as told, torch.autograd.set_detect_anomaly(True):
        warnings.simplefilter("always")
        try:
            yield
        except RuntimeError as error:
            if "returned nan values" not in str(error):
                raise
            function = str(error).split("'")[1]
            place = next((found for told_one in told if (found := _own_line(str(told_one.message)))), "an unknown line")
            raise NotFiniteError(f"the gradient became nan in {function}, computed in {place}") from None


def _own_line(text: str) -> str:
    """The innermost line of this package in a traceback: where, and what it says."""
    package = str(Path(__file__).parent)
    frames = re.findall(r'File "([^"]+)", line (\d+), in (\S+)\n\s+(.+)', text)
    own = [frame for frame in frames if frame[0].startswith(package)]
    if not own:
        return ""
    path, line, function, code = own[-1]
    return f"{Path(path).relative_to(Path(package).parent)}:{line} ({function}): {code.strip()}"
