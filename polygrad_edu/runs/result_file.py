"""result.json: the return that a finished run reached, on how many episodes, in what time, with which versions."""

from __future__ import annotations

from pathlib import Path
from platform import python_version
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch

from .. import __version__
from ..files.input_error import InputError
from ..files.safe_files import check_fields, read_json
from ..files.versions import refuse_newer
from ..imagination_loop import ImaginationLoop

FIELDS = {
    "preset": str,
    "env_id": str,
    "seed": int,
    "env_steps": int,
    "return_mean": float,
    "return_std": float,
    "episodes": int,
    "wall_seconds": float,
    "device": str,
    "versions": dict,
}


def versions() -> dict[str, str]:
    """Versions of everything that the numbers of a run depend on."""
    return {
        "polygrad_edu": __version__,
        "python": python_version(),
        "torch": torch.__version__,
        "gymnasium": gymnasium.__version__,
        "mujoco": mujoco.__version__,
        "numpy": np.__version__,
    }


def make_result(preset_name: str, loop: ImaginationLoop, returns: np.ndarray, wall_seconds: float) -> dict[str, Any]:
    """The content of result.json.

    Args:
        returns: of the best policy in its final episodes.
    """
    return {
        "preset": preset_name,
        "env_id": loop.preset.task.env_id,
        "world_model": loop.preset.world_model.kind,
        "guidance": loop.preset.guidance.rule,
        "seed": loop.seed,
        "env_steps": loop.env_step,
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std()),
        "episodes": len(returns),
        "selection_return": loop.best_return,
        "wall_seconds": round(wall_seconds, 1),
        "device": str(loop.device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }


def read_result(path: Path) -> dict[str, Any]:
    """Read a run's result.json.

    Raises:
        InputError: it is damaged, holds something else, or is of a newer version.
    """
    result = read_json(path)
    try:
        check_fields(result, FIELDS, path)
        for name in ("seed", "env_steps", "episodes"):
            if result[name] < 0:
                raise InputError(f"{path} must hold 0 or more as {name}, not {result[name]}")
    except InputError:
        refuse_newer(written_by(result), path)
        raise
    return result


def written_by(result: dict[str, Any]) -> object:
    """The version of polygrad-edu that a result names; anything else where it names none."""
    named = result.get("versions")
    return named.get("polygrad_edu") if isinstance(named, dict) else None
