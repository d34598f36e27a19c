"""Acceleration: the same computation in less time, by narrower numbers and by programs that are captured once.

The code that computes stays as it is. ``precision`` lets its matrix products run in sixteen bits; ``compile``
removes what lies between them: *inductor* fuses a denoiser's layers, and *graph* lets a GPU replay a whole update
from a recording, without Python asking for each of its thousands of small kernels. Which of them gains anything
depends on the device, so ``auto`` measures.

Built in lesson 11.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .files.input_error import InputError
from .files.progress import OnProgress, tell_nobody
from .settings import AccelerationSettings, Preset

# Trajectories imagined at once on a CPU: with 4,096, each took 1.7 times as long, because nothing stayed in its caches.
CACHE_SIZED = 1024
WORTHWHILE = 1.1  # a gain below this is within what timings differ by


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Within it, matrix products are computed in ``precision``; sums over many numbers stay in float32.

    Weights that require a gradient are narrowed once and not at every use, even where no gradient is taken.
    """
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))


def in_pieces(batch: Tensor) -> tuple[Tensor, ...]:
    """A batch [B, ...] in pieces that stay in a CPU's caches; whole on a GPU."""
    return batch.split(CACHE_SIZED) if batch.device.type == "cpu" else (batch,)


class Captured:
    """A function of tensors that a GPU records as a CUDA graph and from then on replays.

    The function must not look at a tensor's value, and what it changes must be changed in place. It may be an
    update: the first calls, on which libraries set themselves up, run as they are and count.

    Args:
        function: takes tensors of the same shapes every time; returns tensors, in any arrangement, which the
            next call overwrites.
        generators: the sources of randomness that it draws from.
    """

    warm_up_calls = 3

    def __init__(self, function: Callable[..., Any], *generators: torch.Generator):
        self.function, self.generators = function, generators
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, *inputs: Tensor) -> Any:
        if self.calls < self.warm_up_calls:
            return self._warm_up(inputs)
        graph = self.graph or self._capture(inputs)
        torch._foreach_copy_(self.inputs, list(inputs))
        graph.replay()
        return self.outputs

    def _warm_up(self, inputs: tuple[Tensor, ...]) -> Any:
        self.calls += 1
        beside = torch.cuda.Stream()  # capturing happens on a stream of its own, so warming up must, too
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            outputs = self.function(*inputs)
        torch.cuda.current_stream().wait_stream(beside)
        return outputs

    def _capture(self, inputs: tuple[Tensor, ...]) -> torch.cuda.CUDAGraph:
        self.inputs = [value.clone() for value in inputs]
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:
            graph.register_generator_state(generator)
        with torch.cuda.graph(graph):
            self.outputs = self.function(*self.inputs)
        self.graph = graph
        return graph


def captured(function: Callable[..., Any], compile: str, *generators: torch.Generator) -> Callable[..., Any]:
    """``function``, :class:`Captured` if ``compile`` says so."""
    return Captured(function, *generators) if compile == "graph" else function


def check_torch_defaults() -> None:
    """Refuse to compute in other numbers, or on another device, than those that were asked for.

    Raises:
        InputError: torch's default dtype or device was changed.
    """
    if torch.get_default_dtype() != torch.float32:
        raise InputError(
            f"torch's default dtype is {torch.get_default_dtype()}, and polygrad-edu computes in float32; call "
            "torch.set_default_dtype(torch.float32) first"
        )
    if torch.get_default_device().type != "cpu":
        raise InputError(
            f"torch's default device is {torch.get_default_device()}; call torch.set_default_device('cpu') first, and "
            "name the device where one is asked for"
        )


def check_device(settings: AccelerationSettings, device: torch.device) -> None:
    """Refuse, in one line, what ``device`` cannot do.

    Raises:
        InputError: graphs without a GPU, inductor without a compiler, or sixteen-bit numbers that it does not have.
    """
    if settings.compile == "graph" and device.type != "cuda":
        raise InputError("compile graph records a GPU's work; on a cpu choose none or inductor")
    compilers = (os.environ.get("CXX"), "g++", "clang++", "c++")
    missing = device.type == "cpu" and not any(name and shutil.which(name) for name in compilers)
    if settings.compile == "inductor" and missing:
        raise InputError("compile inductor needs a C++ compiler (g++ or clang++) and found none; choose none")
    if settings.precision == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise InputError("this GPU does not know bfloat16; choose float16 or float32")


def computable_on(preset: Preset, device: torch.device | str) -> Preset:
    """The preset as ``device`` can compute it: without a GPU nothing is recorded, and each operation is asked for."""
    recorded = preset.acceleration.compile == "graph"
    return preset.with_overrides(compile="none") if recorded and torch.device(device).type != "cuda" else preset


def sixteen_bit_types(device: torch.device) -> list[str]:
    """Sixteen-bit types that the device computes with; none that it would only emulate, which is far slower."""
    if device.type == "cuda":
        return ["bfloat16" if torch.cuda.is_bf16_supported() else "float16"]
    known = torch.cpu.get_capabilities()
    return ["bfloat16"] if any(has for name, has in known.items() if "bf16" in name) else []


def choose(
    preset: Preset,
    make_step: Callable[[Preset], Callable[[], Any]],
    device: torch.device,
    on_progress: OnProgress = tell_nobody,
) -> tuple[Preset, str]:
    """Settle a preset's ``auto`` settings by a measurement on this machine.

    Args:
        preset: with acceleration settings of which either may be ``auto``.
        make_step: from a preset to a function that does a fixed piece of its learning.
        on_progress: told what is measured, how many have been, and of how many.

    Returns:
        The preset with both settled, and a sentence about what was measured; empty if nothing was.
    """
    asked = preset.acceleration
    precisions = ["float32", *sixteen_bit_types(device)] if asked.precision == "auto" else [asked.precision]
    # inductor takes up to a minute to compile and gained nothing on the CPUs it was tried on: only on request
    recorded = ["graph"] if device.type == "cuda" else []
    compiles = ["none", *recorded] if asked.compile == "auto" else [asked.compile]
    candidates = [preset.with_overrides(precision=p, compile=c) for p in precisions for c in compiles]
    if len(candidates) == 1:
        return candidates[0], ""
    seconds: list[float] = []
    for done, candidate in enumerate(candidates):
        on_progress("measure what is fastest here", done, len(candidates))
        seconds.append(_fastest(make_step(candidate), device))
    on_progress("measure what is fastest here", len(candidates), len(candidates))
    best = min(range(len(candidates)), key=seconds.__getitem__)
    gain = seconds[0] / seconds[best]
    if gain < WORTHWHILE:
        best = 0
    chosen = candidates[best].acceleration
    plain = f"{precisions[0]}, compile {compiles[0]}"
    told = f"the fastest of {len(candidates)}, {gain:.1f} times as fast as {plain}" if best else "nothing was faster"
    return candidates[best], f"Measured here: precision {chosen.precision}, compile {chosen.compile} ({told})."


def plain_where_auto(preset: Preset) -> Preset:
    """The preset with float32, operation by operation, for each ``auto``: nothing was measured."""
    plain = {"precision": "float32", "compile": "none"}
    asked = preset.to_json()
    return preset.with_overrides({name: value for name, value in plain.items() if asked[name] == "auto"})


def _fastest(step: Callable[[], Any], device: torch.device, repeats: int = 3) -> float:
    """Seconds of the fastest of some calls, after those in which things are set up."""
    taken = []
    set_up = Captured.warm_up_calls + 1 if device.type == "cuda" else 1
    for _ in range(set_up + repeats):
        begin = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begin)
    return min(taken[set_up:])
