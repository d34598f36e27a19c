"""Runs of released versions are gone on with, or refused in one line that says how to go on."""

import shutil

import numpy as np
import pytest
from rich.console import Console

from polygrad_edu import environments
from polygrad_edu.files.input_error import InputError
from polygrad_edu.runs.checkpoint import load_checkpoint
from polygrad_edu.runs.shipped import export_result, load_result
from polygrad_edu.runs.training import continue_run
from tests.support.released_runs import FOLDER, STEP, unpack

READABLE = ["0.1.0-inverted-pendulum", "0.2.0-inverted-pendulum"]
REFUSED = ["0.1.0-no-velocity", "0.1.0-reacher"]  # what their simulators show became part of their states


def test_every_stored_run_is_one_of_these():
    assert sorted(path.stem for path in FOLDER.glob("*.zip")) == sorted(READABLE + REFUSED)


@pytest.mark.parametrize("name", READABLE)
def test_a_run_of_a_released_version_is_evaluated_resumed_and_exported(tmp_path, name):
    run = unpack(name, tmp_path / "run")
    loop, seconds = load_checkpoint(run)
    assert (loop.env_step, seconds) == (STEP, 1.0)
    returns = environments.evaluate(loop.make_env, loop.best_policy, 1, 0)
    assert np.isfinite(returns).all()
    result = continue_run(run, "cpu", {}).run(Console(quiet=True))
    assert result["env_steps"] == 24
    assert load_checkpoint(run)[0].env_step == 24
    assert load_result(export_result(run, tmp_path / "kept")).result["env_steps"] == 24


@pytest.mark.parametrize("name", REFUSED)
def test_a_run_that_cannot_be_gone_on_with_is_refused_in_one_line(tmp_path, name):
    run = unpack(name, tmp_path / "run")
    message = (
        r"does not fit its run: .* it is of an older polygrad-edu \(up to 0.2\), so the run has to be trained anew"
    )
    for use in (load_checkpoint, lambda run: continue_run(run, "cpu", {})):
        with pytest.raises(InputError, match=message) as error:
            use(run)
        assert "\n" not in str(error.value)


def test_a_result_of_the_first_version_is_read():
    kept = load_result(FOLDER.parents[2] / "results" / "inverted-pendulum")
    assert kept.result["versions"]["polygrad_edu"] == "0.1.0"


def test_a_run_without_a_checkpoint_starts_anew_whatever_its_version(tmp_path):
    run = unpack("0.1.0-no-velocity", tmp_path / "run")
    shutil.rmtree(run / "checkpoint")
    assert continue_run(run, "cpu", {}).loop.env_step == 0
