"""The doctor on machines that lack something."""

import importlib.metadata
import subprocess
import sys

import pytest

from polygrad_edu.measuring import doctor
from polygrad_edu.measuring.doctor import examine


def by_name(checks):
    return {check.name: check for check in checks}


@pytest.fixture
def quick(monkeypatch):
    """Leaves out what takes seconds."""
    for name in ("_simulate", "_draw", "_write_video"):
        monkeypatch.setattr(doctor, name, lambda: "")
    monkeypatch.setattr(doctor, "_opengl", lambda: doctor.Check("opengl", True, False, ""))


def test_each_part_that_is_there_is_well():
    checks = by_name(examine())
    assert {*doctor.PACKAGES, *doctor.FOR_DATASETS} < checks.keys()
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
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    checks = by_name(examine())
    needed, extra = checks["mediapy"], checks["minari"]
    assert (needed.ok, needed.needed, needed.found) == (False, True, "not installed")
    assert needed.remedy == "python -m pip install mediapy"
    assert (extra.ok, extra.needed) == (False, False)
    assert "polygrad-edu[data]" in extra.remedy
    assert checks["torch"].ok


@pytest.mark.parametrize(("minor", "supported"), [(9, False), (10, True), (13, True), (14, False)])
def test_the_python_versions_that_were_tested_are_supported(quick, monkeypatch, minor, supported):
    monkeypatch.setattr(sys, "version_info", (3, minor, 1))
    assert by_name(examine())["python"].ok == supported


def test_a_check_that_fails_stops_no_other(quick, monkeypatch):
    def broken():
        raise OSError("libmujoco.so:\n  cannot open shared object file")

    monkeypatch.setattr(doctor, "_simulate", broken)
    checks = by_name(examine())
    assert not checks["simulator"].ok
    assert checks["simulator"].found == "OSError: libmujoco.so: cannot open shared object file"
    assert "reinstall" in checks["simulator"].remedy
    assert checks["video"].ok


def test_a_renderer_that_crashes_or_hangs_is_a_note(monkeypatch):
    def hangs(*_, **options):
        raise subprocess.TimeoutExpired("python", options["timeout"])

    for run in (lambda *_, **__: subprocess.CompletedProcess([], -11), hangs):
        monkeypatch.setattr(subprocess, "run", run)
        check = doctor._opengl()
        assert (check.ok, check.needed, check.found) == (False, False, "not available")
