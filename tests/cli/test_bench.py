"""The benchmark at toy size: what it prints and what it writes."""

import json

from tests.support.command_line import call


def test_bench_prints_what_it_writes(tmp_path):
    small = ["--width", "16", "--depth", "1", "--imagined-trajectories", "8", "--batch-size", "8", "--no-grow"]
    done = call("bench", "inverted-pendulum", *small, "--rounds", 1, "--out", tmp_path / "b", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "b" / "bench.json").read_text())
    shown = call("bench", "inverted-pendulum", *small, "--rounds", 1, "--out", tmp_path / "b", columns=80)
    assert "eager" in shown.stdout
    assert "steps a second" in shown.stdout
