"""The doctor: checks whether this machine has everything that the course needs, each with a remedy if not.

It is made for a machine on which something is wrong. Nothing here imports a library into the process that asks: checks
run in a process of their own, and where one of them ends that process or hangs, the rest run in another.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ..files.input_error import InputError

PACKAGES = ("torch", "gymnasium", "mujoco", "jupyterlab", "ipywidgets", "matplotlib", "mediapy", "safetensors", "scipy")
FOR_DATASETS = ("minari", "stable-baselines3")  # the extra "data"
MAX_SECONDS = 300  # for all checks of a process; a first import from a slow disk takes a while
MAX_LETTERS = 300  # of an error's message
OPENGL = (
    "only for --renderer mujoco; videos are drawn without it. On Debian or Ubuntu: apt-get install libegl1 libgl1, "
    "then set MUJOCO_GL=egl"
)
REINSTALL = "reinstall: python -m pip install --force-reinstall . (in a clone of the repository)"


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


class Variable(NamedTuple):
    """An environment variable that a library judges when it is imported.

    Attributes:
        library: whose import fails if the value is wrong.
        values: that are tried, to name those that would be right here.
    """

    name: str
    library: str
    values: tuple[str, ...]


VARIABLES = (
    Variable("MUJOCO_GL", "mujoco", ("egl", "osmesa", "glfw", "glx", "wgl", "cgl", "disable")),
    Variable("MPLBACKEND", "matplotlib", ("agg",)),
    Variable("TORCH_LOGS", "torch", ()),
)


def examine() -> list[Check]:
    """Run all checks, each on its own: one that fails does not stop the others.

    An environment variable that a library refuses is a failed check; the others run without it.
    """
    supported = (3, 10) <= sys.version_info[:2] <= (3, 13)
    remedy = "use Python 3.10 to 3.13; the tests ran on these"
    checks = [Check("python", supported, True, platform.python_version(), remedy)]
    wrong = wrong_variables()
    environment = _without(check.name for check in wrong)
    packages = [_package(name) for name in (*PACKAGES, *FOR_DATASETS)]
    tried = run_checks([check.name for check in packages if check.ok] + list(ATTEMPTS), environment)
    by_name = {check.name: check for check in [*packages, *tried]}
    return [*checks, *wrong, *by_name.values(), _opengl(environment)]


def check_variables() -> None:
    """Refuse an environment variable with which a library cannot be imported.

    Raises:
        InputError: naming the variable, and values that are right here.
    """
    for variable in VARIABLES:
        if variable.name in os.environ:
            try:
                importlib.import_module(variable.library)
            except Exception:
                if check := _judge(variable):
                    raise InputError(f"{check.name}={check.found}; {check.remedy}") from None


def wrong_variables() -> list[Check]:
    """A failed check for each environment variable with which a library cannot be imported."""
    judged = [_judge(variable) for variable in VARIABLES if variable.name in os.environ]
    return [check for check in judged if check]


def _judge(variable: Variable) -> Check | None:
    """The failed check if the import of the library fails with this value and succeeds without it."""
    name, library, values = variable
    environment = _without([name])
    error = _import_error(library, dict(os.environ))
    if not error or _import_error(library, environment):
        return None
    with ThreadPoolExecutor(len(values) or 1) as pool:
        errors = pool.map(lambda value: _import_error(library, environment | {name: value}), values)
        right = [value for value, wrong in zip(values, errors, strict=True) if not wrong]
    remedy = f"unset {name}" + (f", or set it to one of: {', '.join(right)}" if right else "")
    return Check(name, False, True, f"{os.environ[name]!r} is refused by {library} ({error})", remedy)


def _without(names: Iterable[str]) -> dict[str, str]:
    """This process's environment, without these variables."""
    left_out = set(names)
    return {name: value for name, value in os.environ.items() if name not in left_out}


def _import_error(library: str, environment: dict[str, str]) -> str:
    """The error with which the import of ``library`` ends in a process of its own; empty if there is none."""
    script = f"""if True:
        try:
            import {library}
        except BaseException as error:
            raise SystemExit(f"{{type(error).__name__}}: {{error}}")
    """
    _, ending, said = _process(script, [], environment)
    return _short(said) or ending


def _package(name: str) -> Check:
    needed = name not in FOR_DATASETS
    try:
        return Check(name, True, needed, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        what = name if needed else '"polygrad-edu[data]"; only for dataset and for error on datasets'
        return Check(name, False, needed, "not installed", f"python -m pip install {what}")
    except Exception as error:  # of any kind: what pip wrote about the package is damaged
        return Check(name, False, needed, _short(f"{type(error).__name__}: {error}"), REINSTALL)


def run_checks(names: Sequence[str], environment: Mapping[str, str]) -> list[Check]:
    """Run these checks in a process of their own; the rest in another if one of them ends it."""
    checks: list[Check] = []
    while len(checks) < len(names):
        waiting = names[len(checks) :]
        script = "from polygrad_edu.measuring import doctor; doctor.answer()"
        answers, ending, said = _process(script, waiting, environment)
        checks += [Check(*json.loads(line)) for line in answers.splitlines()]
        if len(checks) < len(names):
            name = names[len(checks)]
            last = said.strip().rpartition("\n")[2]
            found = _short(f"its process {ending}" + (f" ({last})" if last else ""))
            checks.append(Check(name, False, name not in FOR_DATASETS, found, REINSTALL))
    return checks


def answer() -> None:
    """Run the checks named on this process's command line, and print each as a line of JSON when it is done."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # whatever a library prints is no answer
        for name in sys.argv[1:]:
            print(json.dumps(_attempt(name)), file=answers, flush=True)


def _attempt(name: str) -> Check:
    needed = name not in FOR_DATASETS
    try:
        return Check(name, True, needed, ATTEMPTS[name]() if name in ATTEMPTS else _import(name))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of any kind, an exit too: it becomes this check's outcome
        remedy = REINSTALL
        if name == "video" and "IMAGEIO_FFMPEG_EXE" in os.environ:
            remedy = "unset IMAGEIO_FFMPEG_EXE, or let it name a program ffmpeg that works"
        return Check(name, False, needed, _short(f"{type(error).__name__}: {error}"), remedy)


def _process(script: str, arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[str, str, str]:
    """Run Python in a process of its own.

    Returns:
        What it printed on standard output; how it ended, empty if well; what it printed on standard error.
    """
    command = [sys.executable, "-c", script, *arguments]
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=MAX_SECONDS
        )
    except subprocess.TimeoutExpired as late:
        return _text(late.stdout), f"takes more than {MAX_SECONDS} seconds", ""
    except OSError as error:
        return "", f"cannot be started: {error}", ""
    if done.returncode < 0:
        ending = f"was ended by {signal.Signals(-done.returncode).name}"
    else:
        ending = f"ended with status {done.returncode}" if done.returncode else ""
    return _text(done.stdout), ending, _text(done.stderr)


def _text(output: bytes | None) -> str:
    return (output or b"").decode("utf-8", errors="replace")


def _short(words: str) -> str:
    """Words in one line of limited length."""
    line = " ".join(words.split())
    return line if len(line) <= MAX_LETTERS else line[: MAX_LETTERS - 3] + "..."


def _import(name: str) -> str:
    importlib.import_module(name.replace("-", "_"))
    return importlib.metadata.version(name)


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


ATTEMPTS: dict[str, Callable[[], str]] = {
    "device": _device,
    "simulator": _simulate,
    "drawing": _draw,
    "video": _write_video,
}


def _opengl(environment: Mapping[str, str]) -> Check:
    """Try MuJoCo's own renderer, in a process that a broken OpenGL may end."""
    script = (
        "import mujoco; model = mujoco.MjModel.from_xml_string('<mujoco/>');"
        "r = mujoco.Renderer(model, 32, 32); r.update_scene(mujoco.MjData(model)); r.render(); r.close()"
    )
    backend = environment.get("MUJOCO_GL", "egl" if sys.platform == "linux" else "")
    settings = dict(environment) | ({"MUJOCO_GL": backend} if backend else {})
    _, ending, said = _process(script, [], settings)
    if not ending:
        return Check("opengl", True, False, f"MuJoCo renders ({backend or 'default'})", OPENGL)
    reason = said.strip().rpartition("\n")[2] or f"its process {ending}"
    return Check("opengl", False, False, _short(f"not available ({reason})"), OPENGL)
