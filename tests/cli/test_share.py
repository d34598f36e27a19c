"""Pushing and pulling by the command line, against a stand-in for the hub on this machine."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.hub_server import hub_in_use

pytest.importorskip("huggingface_hub")


@pytest.fixture
def server(monkeypatch):
    with hub_in_use(monkeypatch) as hub:
        yield hub


def test_the_commands_share_a_run(server, trained, tmp_path):
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1"}

    def call(*arguments):
        command = [sys.executable, "-m", "polygrad_edu", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)

    pushed = call("push", trained[0], "ada/pendulum", "--json")
    assert json.loads(pushed.stdout) == {"address": f"{server.address}/ada/pendulum"}, pushed.stderr
    pulled = call("pull", "ada/pendulum", tmp_path / "run")
    assert pulled.stdout.endswith(f"go on with: polygrad-edu evaluate {tmp_path / 'run'}\n"), pulled.stderr
    missing = call("pull", "ada/nothing", tmp_path / "x")
    assert missing.returncode == 2
    assert len(missing.stderr.splitlines()) == 1
