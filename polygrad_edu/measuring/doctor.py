"""The doctor: checks whether this machine has everything that the course needs, each with a remedy if not."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("torch", "gymnasium", "mujoco", "jupyterlab", "ipywidgets", "matplotlib", "mediapy", "safetensors", "scipy")
FOR_DATASETS = ("minari", "stable-baselines3")  # the extra "data"


class Check(NamedTuple):
    """The outcome of one check.

    Attributes:
        needed: the course does not work without it.
        found: a version, a measurement, or the error.
        remedy: for a check that is not ok.
    """

    name: str
    ok: bool
    needed: bool
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """Run all checks, each on its own: one that fails does not stop the others."""
    supported = (3, 10) <= sys.version_info[:2] <= (3, 13)
    remedy = "use Python 3.10 to 3.13; the tests ran on these"
    checks = [Check("python", supported, True, platform.python_version(), remedy)]
    checks += [_package(name) for name in PACKAGES]
    checks += [_package(name, needed=False) for name in FOR_DATASETS]
    checks += [_attempt("device", _device), _attempt("simulator", _simulate)]
    checks += [_attempt("drawing", _draw), _attempt("video", _write_video)]
    checks.append(_opengl())
    return checks


def _package(name: str, needed: bool = True) -> Check:
    try:
        return Check(name, True, needed, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        what = name if needed else '"polygrad-edu[data]"; only for dataset and for error on datasets'
        return Check(name, False, needed, "not installed", f"python -m pip install {what}")


def _attempt(name: str, attempt: Callable[[], str]) -> Check:
    try:
        return Check(name, True, True, attempt())
    except Exception as error:  # of any kind: it becomes this check's outcome
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Check(name, False, True, reason, "reinstall: python -m pip install --force-reinstall polygrad-edu")


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()} (CUDA {torch.version.cuda})"
    return f"CPU, {torch.get_num_threads()} threads (the CPU presets are made for this)"


def _simulate() -> str:
    from .. import environments

    env = environments.make("InvertedPendulum-v5")
    env.reset(seed=0)
    env.step(env.action_space.sample())
    return "InvertedPendulum-v5 steps"


def _draw() -> str:
    from .. import environments
    from ..drawing import rendering

    env = environments.make("Hopper-v5")
    env.reset(seed=0)
    (frame,) = rendering.draw_states(env, environments.get_simulator_state(env)[None])
    return f"without OpenGL, {frame.shape[1]} x {frame.shape[0]} pixels"


def _write_video() -> str:
    import numpy as np

    from ..runs import video

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.mp4"
        video.write_video(path, [np.zeros((32, 32, 3), np.uint8)] * 3, fps=30)
        return f"ffmpeg writes mp4 ({path.stat().st_size} bytes)"


def _opengl() -> Check:
    """Try MuJoCo's own renderer in a process of its own, because a broken OpenGL can end the process that uses it."""
    script = (
        "import mujoco; model = mujoco.MjModel.from_xml_string('<mujoco/>');"
        "r = mujoco.Renderer(model, 32, 32); r.update_scene(mujoco.MjData(model)); r.render(); r.close()"
    )
    backend = os.environ.get("MUJOCO_GL", "egl" if sys.platform == "linux" else "")
    settings = os.environ | ({"MUJOCO_GL": backend} if backend else {})
    try:
        done = subprocess.run([sys.executable, "-c", script], env=settings, capture_output=True, timeout=60)
        ok = done.returncode == 0
    except subprocess.TimeoutExpired:
        ok = False
    remedy = (
        "only for --renderer mujoco; videos are drawn without it. On Debian or Ubuntu: apt-get install libegl1 "
        "libgl1, then set MUJOCO_GL=egl"
    )
    return Check("opengl", ok, False, f"MuJoCo renders ({backend or 'default'})" if ok else "not available", remedy)
