"""Pyright, strict, over the whole package (what is off, and why, stands in pyproject.toml)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_pyright_finds_no_error():
    pytest.importorskip("pyright")
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    try:
        report = json.loads(done.stdout)
    except ValueError:  # it is a Node.js program, which its package downloads where it is not there
        pytest.skip(f"pyright does not start here: {(done.stderr or done.stdout).strip()[-200:]}")
    assert report["summary"]["filesAnalyzed"] > 60
    found = [
        f"{Path(error['file']).relative_to(ROOT)}:{error['range']['start']['line'] + 1}: {error['message']}"
        for error in report["generalDiagnostics"]
    ]
    assert found == []
