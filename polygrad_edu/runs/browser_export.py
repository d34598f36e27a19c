"""Export for a browser: the trained world model and its policy as one small file that a page can imagine with.

The file is a safetensors file: a header of JSON, then numbers; it holds no code. The denoiser's weights have 16 bits;
the schedule, the normaliser, the policy, which is small, and 256 real states to start from have 32. Its metadata's
``manifest`` says the sizes, and how the run imagined. ``polygrad_edu/widgets/imagination.js`` reads it and imagines,
with ``staggered_imagination.js`` where steps wait for each other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from .. import __version__
from ..files.input_error import InputError
from ..files.safe_files import all_finite, whole_directory, write_whole
from ..imagination_loop import ImaginationLoop
from ..variants.diffusion_forcing import ForcedDiffusion
from .checkpoint import load_checkpoint, read_config
from .shipped import draw_starts, finished_result, load_result, normaliser_tensors

FILE_NAME = "imagination.safetensors"
FORMAT = 1
_FREQUENCIES = "embed_step.0.frequencies"  # turn steps into phases, where a rounded digit shows
_GUIDANCE = (
    "rule",
    "clip_std",
    "change_limit",
    "persistence",
    "inertia",
    "action_noise_scale",
    "precondition",
    "guide_at",
    "action_limit",
)


def export_for_browser(run: Path, directory: Path) -> Path:
    """Write :data:`FILE_NAME` of a finished run, or of an exported result, to ``directory``, which must be new.

    Raises:
        InputError: the run is not finished, its model is none that a page can run, or ``directory`` is there.
    """
    if directory.exists():
        raise InputError(f"{directory} is there already; name a directory that is not")
    if (run / "model.safetensors").is_file():
        loop, _, observations, _ = load_result(run)
    else:
        _, _, seed = read_config(run)
        finished_result(run)
        loop, _ = load_checkpoint(run)
        observations = loop.replay.observations[draw_starts(loop, seed)]
    content = pack(loop, observations)
    with whole_directory(directory) as partial:
        write_whole(partial / FILE_NAME, content)
    return directory


def pack(loop: ImaginationLoop, observations: Tensor, dtype: torch.dtype = torch.float16) -> bytes:
    """The content of the file, from a loop whose world model is trained.

    Args:
        observations: [N, O] raw, real states to start from.
        dtype: of the denoiser's weights: float16, or float32 to compare with.

    Raises:
        InputError: the world model or its policy is none that a page can run, or too large for 16 bits.
    """
    refuse_others(loop)
    network = loop.world_model.averaged_network
    narrowed = {name: value.to(dtype) for name, value in network.denoiser.state_dict().items() if name != _FREQUENCIES}
    tensors = {f"denoiser/{name}": value for name, value in narrowed.items()}
    if isinstance(network, ForcedDiffusion):
        tensors |= {"forcing/change_variance": network.change_variance}
    else:
        tensors |= {f"denoiser/{_FREQUENCIES}": network.denoiser.state_dict()[_FREQUENCIES]}
    tensors |= {f"policy/{name}": value for name, value in loop.best_policy.state_dict().items() if name != "log_std"}
    tensors |= {"policy/std": loop.best_policy.std, "schedule/betas": network.schedule.betas}
    tensors |= {"starts/observations": observations.float()}
    tensors |= normaliser_tensors(loop.world_model.normaliser)
    too_large = next((name for name, value in tensors.items() if not all_finite(value)), None)
    if too_large:
        raise InputError(f"{too_large} holds a number that 16 bits cannot hold")
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return save(whole, {"manifest": json.dumps(manifest_of(loop))})


def refuse_others(loop: ImaginationLoop) -> None:
    """Check that the loop's world model is one that ``imagination.js`` computes.

    Raises:
        InputError: it is not; the message says what is.
    """
    preset = loop.preset
    kind, denoiser = preset.world_model.kind, preset.denoiser.kind
    if kind != "polygrad" or denoiser not in ("mlp", "step-mlp"):
        raise InputError(
            f"a page can run the world model polygrad with the denoiser mlp or step-mlp, not {kind} with {denoiser}"
        )
    if preset.denoiser.endings == "read":
        raise InputError("a page imagines endings as it does states: this run reads them with a network of its own")
    if preset.denoiser.members > 1:
        raise InputError(f"a page imagines with one network, this run's denoiser consists of {preset.denoiser.members}")
    if preset.actor_critic.policy_gradient == "pathwise":
        raise InputError(
            "a page knows a policy whose spread is the same in every state: this run's depends on the state"
        )
    if preset.guidance.update_states or preset.guidance.advantage_scale:
        raise InputError(
            "a page guides actions alone: this run's update_states or advantage_scale moves states as well"
        )


def manifest_of(loop: ImaginationLoop) -> dict[str, Any]:
    """Sizes of the model, and the settings that it imagined by."""
    preset, normaliser = loop.preset, loop.world_model.normaliser
    scale = loop.world_model.extra_state()["guidance_log_scale"].exp().item()  # where tuning has brought it
    return {
        "format": FORMAT,
        "version": __version__,
        "task": preset.task.env_id,
        "horizon": preset.world_model.horizon,
        "observation_size": normaliser.observations.size,
        "action_size": normaliser.actions.size,
        "denoiser": preset.denoiser.kind,
        "depth": preset.denoiser.depth,
        "prediction": preset.diffusion.prediction,
        "step_unit": 1 / preset.diffusion.diffusion_steps if preset.denoiser.smooth_steps else 1.0,
        "visits": preset.sampler.sampling_steps,
        "delay": preset.sampler.delay,
        "eta": preset.sampler.eta,
        "guidance": {name: getattr(preset.guidance, name) for name in _GUIDANCE} | {"scale": scale},
    }
