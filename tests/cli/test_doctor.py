"""The doctor, asked on this machine."""

import json

from tests.support.command_line import call


def test_doctor_names_every_part():
    done = call("doctor")
    for part in ("python", "torch", "mujoco", "device", "simulator", "drawing", "video", "opengl"):
        assert part in done.stdout
    checks = json.loads(call("doctor", "--json").stdout)["checks"]
    assert all(check["ok"] or check["remedy"] for check in checks)
    assert all(check["ok"] for check in checks if check["needed"]), checks
    assert done.returncode == 0
