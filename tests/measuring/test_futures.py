"""Comparisons of futures: the truth beside itself and beside futures that redraw what is hidden, and the command."""

import json

import numpy as np
import pytest

from polygrad_edu.cli import compare
from polygrad_edu.measuring import futures, hidden_futures
from polygrad_edu.tasks.hidden_worlds import Fork, GustyPointMass, HiddenVelocityPendulum, WindyPointMass
from tests.support.command_line import call, call_here

SMALL = ["--updates", 3, "--episodes", 40, "--starts", 3, "--per-start", 8, "--width", 20, "--depth", 1]
SMALL += ["--sampling-steps", 4]


def pair(world, starts=6, n=150):
    return [hidden_futures.real_futures(world, starts, n, 10, seed=0, drawn_again=again) for again in (False, True)]


def test_the_command_knows_the_worlds_and_models_without_importing_them():
    assert list(futures.WORLDS) == list(compare.HIDDEN_WORLDS)
    assert list(futures.MODELS) == list(compare.FUTURE_MODELS)


@pytest.mark.parametrize(
    ("world", "share"), [(WindyPointMass, 0), (Fork, 0), (GustyPointMass, 1), (HiddenVelocityPendulum, 0)]
)
def test_the_truth_is_as_good_as_can_be(world, share):
    real, again = pair(world)
    found = futures.measure(world, again, real)
    assert found.steps_ahead == [1, 2, 5, 10]
    assert found.spread[-1] == pytest.approx(1, abs=0.1)
    assert found.share_within == pytest.approx(share, abs=0.02)
    assert found.energy_distance[-1] == pytest.approx(0, abs=0.05)
    if world is Fork:
        assert np.isnan(found.spread[0])  # no start is that near
        assert found.branches.one_side == found.branches.bang_fits == 1
        assert found.branches.up == pytest.approx(0.5, abs=0.07)
        assert found.branches.bang == pytest.approx(0.5, abs=0.07)
    else:
        assert found.branches is None


def test_wind_that_is_drawn_anew_in_each_step_is_found_out():
    """The spread of h gusts grows with the root of h, that of a wind with h itself."""
    real, _ = pair(WindyPointMass)
    gusts, _ = pair(GustyPointMass)
    found = futures.measure(WindyPointMass, gusts, real)
    assert found.share_within == pytest.approx(1, abs=0.03)
    assert found.spread == pytest.approx([h**-0.5 for h in (1, 2, 5, 10)], rel=0.1)
    assert found.energy_distance[-1] > 0.1


def test_the_average_of_both_futures_is_in_no_branch():
    real, again = pair(Fork, starts=3, n=40)
    averaged = again._replace(positions=again.positions.mean(axis=1, keepdims=True) + 0 * again.positions)
    found = futures.measure(Fork, averaged._replace(actions=0 * again.actions), real)
    assert found.branches.one_side < 0.1
    assert found.spread[-1] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("world", ["windy-point-mass", "fork", "hidden-velocity-pendulum"])
def test_every_model_is_measured_beside_the_truth(world, tmp_path):
    done = call("futures", world, *SMALL, "--out", tmp_path, columns=80)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "futures.json").read_text())
    assert list(written["models"]) == ["truth", *futures.MODELS]
    assert all(model["updates"] == 3 for name, model in written["models"].items() if name != "truth")
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80
    assert "…" not in done.stdout
    assert (tmp_path / "futures.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "futures.md").read_text().count("\n| ") == len(futures.MODELS) + 2


def test_a_setting_of_imagining_is_varied_without_training_again(tmp_path):
    options = ["--models", "polygrad,mlp-ensemble", "--vary", "eta=0,1", "--minutes", 0.001, "--json", *SMALL[2:]]
    done = call("futures", "--out", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    models = json.loads(done.stdout)["models"]
    assert list(models) == ["truth", "polygrad eta=0", "polygrad eta=1", "mlp-ensemble"]
    assert models["polygrad eta=0"]["settings"]["eta"] == 0
    assert models["polygrad eta=0"]["updates"] == models["polygrad eta=1"]["updates"] > 0
    assert models["polygrad eta=0"]["crps"] != models["polygrad eta=1"]["crps"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["cyclone"],
            "there is no hidden world 'cyclone'; known: windy-point-mass, fork, gusty-point-mass",
        ),
        (["fork", "--models", "polygrat"], "there is no world model 'polygrat'; did you mean polygrad"),
        (["fork", "--vary", "width=3,4"], "--vary 'width=3,4': give NAME=VALUE,VALUE with a setting of imagining"),
        (["fork", "--models", "polygrad", "--vary", "delay=2"], "a delay needs the denoiser step-mlp"),
        (["fork", "--ask", "end", "--vary", "eta=0"], "--vary and --ask: give one of them"),
        (["fork", "--vary", "eta=2"], "eta must be from 0 to 1, not 2"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(words, line, tmp_path, monkeypatch, capsys):
    status, shown, told = call_here(monkeypatch, capsys, "futures", *words, "--out", tmp_path / "out", cwd=tmp_path)
    assert (status, shown, told.count("\n")) == (2, "", 1)
    assert line in told
    assert not (tmp_path / "out").exists()
