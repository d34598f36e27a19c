"""The doctor on machines that lack something, or hold something broken."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

from polygrad_edu.files.input_error import InputError
from polygrad_edu.measuring import doctor
from polygrad_edu.measuring.doctor import examine, run_checks
from tests.support.command_line import paths


def by_name(checks):
    return {check.name: check for check in checks}


@pytest.fixture
def quick(monkeypatch):
    """Leaves out what takes seconds."""
    well = lambda name: doctor.Check(name, True, name not in doctor.FOR_DATASETS, "")  # noqa: E731
    monkeypatch.setattr(doctor, "run_checks", lambda names, environment: [well(name) for name in names])
    monkeypatch.setattr(doctor, "_opengl", lambda environment: doctor.Check("opengl", True, False, ""))


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """Puts a module in the place of one that is installed, for processes that are started."""

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", paths(tmp_path))

    return write


def test_each_part_that_is_there_is_well():
    checks = by_name(examine())
    assert list(checks) == [
        "python",
        *doctor.PACKAGES,
        *doctor.FOR_DATASETS,
        "device",
        "simulator",
        "drawing",
        "video",
        "opengl",
    ]
    assert checks["torch"].found == importlib.metadata.version("torch")
    assert checks["simulator"].found == "InvertedPendulum-v5 steps"
    assert "pixels" in checks["drawing"].found
    assert "ffmpeg writes mp4" in checks["video"].found
    assert all(check.ok for check in checks.values() if check.needed)
    assert checks["opengl"].remedy


def test_a_package_that_is_missing_is_named_with_its_remedy(quick, monkeypatch):
    version = importlib.metadata.version

    def without(name):
        if name in ("mediapy", "minari"):
            raise importlib.metadata.PackageNotFoundError(name)
        if name == "scipy":
            raise UnicodeDecodeError("utf-8", b"", 0, 1, "damaged")
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    checks = by_name(examine())
    needed, extra = checks["mediapy"], checks["minari"]
    assert (needed.ok, needed.needed, needed.found) == (False, True, "not installed")
    assert needed.remedy == "python -m pip install mediapy"
    assert (extra.ok, extra.needed) == (False, False)
    assert "polygrad-edu[data]" in extra.remedy
    assert checks["scipy"].found.startswith("UnicodeDecodeError")
    assert checks["torch"].ok


@pytest.mark.parametrize(("minor", "supported"), [(9, False), (10, True), (13, True), (14, False)])
def test_the_python_versions_that_were_tested_are_supported(quick, monkeypatch, minor, supported):
    monkeypatch.setattr(sys, "version_info", (3, minor, 1))
    assert by_name(examine())["python"].ok == supported


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("raise OSError('libmujoco.so:\\n  cannot open')", "OSError: libmujoco.so: cannot open"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        ("import os; os.abort()", "its process was ended by SIGABRT"),
        ("import os; os.kill(os.getpid(), 4)", "its process was ended by SIGILL"),
        ("import os; print('bye', flush=True); os._exit(3)", "its process ended with status 3 (bye)"),
        ("raise RuntimeError('x' * 1000)", f"RuntimeError: {'x' * 283}..."),
    ],
)
def test_a_library_that_breaks_stops_no_other_check(broken, text, found):
    broken("mujoco", text)
    checks = by_name(run_checks(["scipy", "mujoco", "matplotlib", "simulator", "device"], os.environ))
    assert list(checks) == ["scipy", "mujoco", "matplotlib", "simulator", "device"]
    assert checks["mujoco"] == doctor.Check("mujoco", False, True, found, doctor.REINSTALL)
    assert checks["simulator"].found == found
    assert [checks[name].ok for name in ("scipy", "matplotlib", "device")] == [True] * 3


def test_a_library_that_hangs_stops_no_other_check(broken, monkeypatch):
    broken("mediapy", "import time; time.sleep(600)")
    monkeypatch.setattr(doctor, "MAX_SECONDS", 10)
    checks = by_name(run_checks(["scipy", "mediapy", "safetensors"], os.environ))
    assert checks["mediapy"].found == "its process takes more than 10 seconds"
    assert checks["scipy"].ok
    assert checks["safetensors"].ok


def test_what_a_library_prints_is_no_answer(broken):
    broken("mediapy", "print('[1, 2]'); import sys; sys.stdout.write('{')")
    assert by_name(run_checks(["mediapy", "scipy"], os.environ))["mediapy"].ok


def test_a_process_that_cannot_be_started_is_a_failed_check(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    (check,) = run_checks(["torch"], os.environ)
    assert (check.ok, check.found) == (
        False,
        "its process cannot be started: [Errno 2] No such file or directory: '/nowhere/python'",
    )


def test_a_program_that_is_no_ffmpeg_has_its_own_remedy(monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")
    (check,) = run_checks(["video"], os.environ)
    assert not check.ok
    assert check.remedy == "unset IMAGEIO_FFMPEG_EXE, or let it name a program ffmpeg that works"


def test_a_variable_that_a_library_refuses_is_a_failed_check_and_the_rest_run_without_it(quick, monkeypatch):
    seen = []
    monkeypatch.setattr(doctor, "run_checks", lambda names, environment: seen.append(environment) or [])
    monkeypatch.setenv("MUJOCO_GL", "garbage")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("TORCH_LOGS", "dynamo")
    checks = by_name(examine())
    wrong = checks["MUJOCO_GL"]
    assert (wrong.ok, wrong.needed) == (False, True)
    assert wrong.found.startswith("'garbage' is refused by mujoco (RuntimeError: ")
    assert wrong.remedy.startswith("unset MUJOCO_GL, or set it to one of: ")
    assert not {"MPLBACKEND", "TORCH_LOGS"} & checks.keys()
    assert "MUJOCO_GL" not in seen[0]
    assert seen[0]["MPLBACKEND"] == "agg"


def test_a_library_that_is_broken_anyway_is_not_the_variables_fault(broken, monkeypatch):
    broken("mujoco", "raise OSError('libmujoco.so is gone')")
    monkeypatch.setenv("MUJOCO_GL", "egl")
    assert doctor.wrong_variables() == []


def test_a_command_refuses_a_variable_that_a_library_refuses(monkeypatch):
    for name in ("mujoco", "torch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # its import fails here, and in a process with the variable
    monkeypatch.setenv("MPLBACKEND", "garbage")
    with pytest.raises(InputError, match=r"^MPLBACKEND='garbage' is refused by matplotlib .*; unset MPLBACKEND"):
        doctor.check_variables()


def test_a_renderer_that_crashes_or_hangs_is_a_note(monkeypatch):
    def hangs(*_, **options):
        raise subprocess.TimeoutExpired("python", options["timeout"])

    crash = subprocess.CompletedProcess([], -11, b"", b"")
    refusal = subprocess.CompletedProcess([], 1, b"", b"Traceback\nImportError: no EGL\n")
    for run, found in (
        (lambda *_, **__: crash, "not available (its process was ended by SIGSEGV)"),
        (lambda *_, **__: refusal, "not available (ImportError: no EGL)"),
        (hangs, "not available (its process takes more than 300 seconds)"),
    ):
        monkeypatch.setattr(subprocess, "run", run)
        check = doctor._opengl(os.environ)
        assert (check.ok, check.needed, check.found) == (False, False, found)
