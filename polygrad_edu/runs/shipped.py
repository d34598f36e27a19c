"""Shipped results: the small part of a finished run that is kept in a repository and read by lessons.

::

    config.json  metrics.jsonl  result.json     as in the run; the result also says the command that repeats it
    model.safetensors                           the averaged world model in bfloat16, the policy, the critic, the
                                                normaliser, and real states to imagine from
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..files.input_error import InputError
from ..files.safe_files import (
    DAMAGE,
    at_most_parameters,
    one_line,
    read_tensors,
    whole_directory,
    write_json,
    write_tensors,
)
from ..files.versions import refuse_newer
from ..imagination_loop import ImaginationLoop
from ..presets import PRESETS
from ..replay import Normaliser
from ..settings import Preset
from .checkpoint import load_checkpoint, read_config
from .loop_state import under
from .result_file import read_result, written_by

N_STARTS = 256  # real states to imagine from


class ShippedResult(NamedTuple):
    """A shipped result, ready to imagine with.

    Attributes:
        loop: with the world model, the critic and the normaliser; its replay is empty, its policy the best one.
        result: the content of result.json.
        observations: [N, O], real states to imagine from.
        simulator_states: [N, S], the simulator's state at each of them.
    """

    loop: ImaginationLoop
    result: dict[str, Any]
    observations: Tensor
    simulator_states: Tensor


def command_of(preset_name: str, preset: Preset, seed: int) -> str:
    """The command line that makes this run."""
    base = PRESETS.get(preset_name, Preset())
    known = base.to_json()
    changed = {name: value for name, value in preset.to_json().items() if value != known[name]}
    written = {name: str(value).lower() if isinstance(value, bool) else value for name, value in changed.items()}
    options = [word for name, value in written.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return shlex.join(["polygrad-edu", "train", preset_name, "--seed", str(seed), *options])


def export_result(run: Path, directory: Path) -> Path:
    """Write the shipped result of a finished ``run`` to ``directory``, which must be new.

    Raises:
        InputError: the run is not finished, or ``directory`` is there.
    """
    if directory.exists():
        raise InputError(f"{directory} is there already; name a directory that is not")
    name, preset, seed = read_config(run)
    result = finished_result(run)
    loop, _ = load_checkpoint(run)
    with whole_directory(directory) as partial:
        write_tensors(partial / "model.safetensors", _tensors_of(loop, seed))
        shutil.copyfile(run / "config.json", partial / "config.json")
        shutil.copyfile(run / "metrics.jsonl", partial / "metrics.jsonl")
        write_json(partial / "result.json", result | {"command": command_of(name, preset, seed)})
    return directory


def finished_result(run: Path) -> dict[str, Any]:
    """Content of the result.json of a finished run.

    Raises:
        InputError: the run is not finished.
    """
    if not (run / "result.json").is_file():
        raise InputError(f"{run} is not finished; go on with: polygrad-edu train --resume {shlex.quote(str(run))}")
    return read_result(run / "result.json")


def draw_starts(loop: ImaginationLoop, seed: int) -> Tensor:
    """Rows of the replay, at most ``N_STARTS``, whose states are kept to imagine from."""
    return torch.randperm(loop.replay.size, generator=torch.Generator().manual_seed(seed))[:N_STARTS]


def normaliser_tensors(normaliser: Normaliser) -> dict[str, Tensor]:
    """The statistics of a normaliser that imagining takes, by name."""
    return {
        f"normaliser/{field}/{name}": getattr(getattr(normaliser, field), name)
        for field in normaliser.fields
        for name in ("mean", "scale", "imagined_scale")
    }


def _tensors_of(loop: ImaginationLoop, seed: int) -> dict[str, Tensor]:
    """The tensors to keep, with states to imagine from that are drawn with ``seed``."""
    weights = dict(loop.world_model.averaged_network.named_parameters())
    tensors = {
        f"world_model/{key}": value.bfloat16() if key in weights else value
        for key, value in loop.world_model.averaged_network.state_dict().items()
    }
    tensors |= {f"actor_critic/{key}": value for key, value in loop.actor_critic.state_dict().items()}
    tensors |= {f"actor_critic/policy.{key}": value for key, value in loop.best_policy.state_dict().items()}
    tensors |= normaliser_tensors(loop.world_model.normaliser)
    tensors |= {f"tuned/{key}": value for key, value in loop.world_model.extra_state().items()}
    rows = draw_starts(loop, seed)
    tensors["starts/observations"] = loop.replay.observations[rows]
    tensors["starts/simulator_states"] = loop.replay.simulator_states[rows]
    return tensors


def load_result(directory: Path) -> ShippedResult:
    """Read what :func:`export_result` wrote.

    Raises:
        InputError: no such result, a damaged one, or one of a newer version.
    """
    _, preset, seed = read_config(directory)
    result = read_result(directory / "result.json")
    preset = preset.with_overrides(parallel_envs=1, precision="float32", compile="none")
    tensors = read_tensors(directory / "model.safetensors")
    try:
        with at_most_parameters(4 * sum(tensor.nbytes for tensor in tensors.values()), directory):
            loop = ImaginationLoop(preset, seed)  # the world model twice, and in float32
        network = loop.world_model.averaged_network
        network.load_state_dict(under(tensors, "world_model"))  # bfloat16 is widened again
        loop.world_model.network.load_state_dict(network.state_dict())
        loop.actor_critic.load_state_dict(under(tensors, "actor_critic"))
        loop.best_policy.load_state_dict(loop.actor_critic.policy.state_dict())
        for field in loop.world_model.normaliser.fields:
            standardiser = getattr(loop.world_model.normaliser, field)
            standardiser.mean.copy_(tensors[f"normaliser/{field}/mean"])
            standardiser.scale.copy_(tensors[f"normaliser/{field}/scale"])
            # results of 0.2.0 and before have one scale
            imagined_scale = tensors.get(f"normaliser/{field}/imagined_scale", standardiser.scale)
            standardiser.imagined_scale.copy_(imagined_scale)
        loop.world_model.load_extra_state(under(tensors, "tuned"))
        observations = tensors["starts/observations"]
        states = tensors["starts/simulator_states"]
        if observations.shape[1:] != loop.replay.observations.shape[1:] or len(states) != len(observations):
            raise InputError(f"its states to start from do not fit {preset.task.env_id}")
        return ShippedResult(loop, result, observations, states)
    except DAMAGE as error:
        refuse_newer(written_by(result), directory)
        raise InputError(f"{directory} is no result that can be used: {one_line(error)}") from None
