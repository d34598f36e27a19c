"""Studies as a user runs them, in processes on this machine: refused, failing, interrupted, and gone on with."""

import json
import signal
import sys

import pytest
from rich.console import Console

from polygrad_edu.cli.main import main
from polygrad_edu.files.input_error import InputError
from polygrad_edu.studies.run_study import lock, run_study, summary
from polygrad_edu.studies.study import start_study
from tests.support.processes import children
from tests.support.studies import LONGER, finish, options_of, results, small, sweep, wait_until
from tests.support.tiny_runs import TINY

WORDS = options_of(TINY)


@pytest.fixture
def command(monkeypatch, capfd, tmp_path):
    """Call the command line in this process, in a directory of its own: (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["polygrad-edu", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfd.readouterr()
        return ended.value.code, said.out, said.err

    return call


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pendulm"], "no preset 'pendulm'; did you mean pendulum"),
        (["pendulum", "pendulum"], "a preset is named twice"),
        (["pendulum", "--set", "horizn=3,4"], "no setting 'horizn'; did you mean horizon"),
        (["pendulum", "--set", "horizon=3,many"], "pendulum: horizon must be a whole number, not 'many'"),
        (["pendulum", "--set", "horizon=10,10.0"], "horizon=10.0 and horizon=10 are the same for pendulum"),
        (["pendulum", "--set", "horizon"], "--set takes SETTING=VALUE,VALUE,... and not 'horizon'"),
        (["pendulum", "--set", "horizon=3", "--set", "horizon=4"], "--set names horizon twice"),
        (["pendulum", "--set", "horizon=3,4", "--horizon", "3"], "horizon is both fixed and varied"),
        (["pendulum", "--env-steps", "0"], "pendulum: env_steps must be at least 1"),
        (["pendulum", "--env-id", "Nope-v0"], "cannot make the task 'Nope-v0'"),
        (["pendulum", "--seeds", "0"], "--seeds"),
        (["pendulum", "--seeds", "9999", "--set", f"horizon={','.join(map(str, range(2, 40)))}"], "more than the 100,"),
        (["pendulum", "--engine", "mpi"], "engine 'mpi' is unknown; choose processes or ray"),
        (["pendulum", "--address", "auto"], "--address and --gpus go with --engine ray"),
        (["pendulum", "--engine", "ray", "--address", "127.0.0.1:1"], "there is no Ray cluster at 127.0.0.1:1"),
        (["pendulum", "--out", "occupied"], "occupied is a file"),
        (["pendulum", "--out", "."], ". is there already and holds no study"),
        ([], "name one or more presets"),
        (["--out", "nowhere"], "nowhere holds no study.json"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(command, tmp_path, words, message):
    (tmp_path / "occupied").write_text("x")
    status, out, err = command("sweep", *words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.startswith("polygrad-edu: ")
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["occupied"]


def test_a_folder_that_holds_another_study_is_left_alone(command, tmp_path):
    start_study(tmp_path / "mine", small())
    before = (tmp_path / "mine" / "study.json").read_text()
    status, _, err = command("sweep", "pendulum", "--seeds", 3, *WORDS, "--out", "mine")
    assert status == 2
    assert "mine holds another study: its seeds are (0, 1), not (0, 1, 2)" in err
    assert (tmp_path / "mine" / "study.json").read_text() == before


def test_without_ray_one_line_says_how_to_get_it(command, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    status, _, err = command("sweep", "pendulum", "--engine", "ray")
    assert status == 2
    assert 'needs Ray: pip install "polygrad-edu[ray]"' in err
    assert not list(tmp_path.iterdir())


def test_two_sweeps_do_not_share_a_folder(tmp_path):
    with lock(tmp_path), pytest.raises(InputError, match="another process is at work"):
        lock(tmp_path)
    lock(tmp_path).close()


def test_a_summary_says_how_each_trial_stands(tmp_path):
    trials = small(seeds=range(3)).trials(tmp_path)
    finish(trials[0], 7.0)
    found = summary(tmp_path, trials, {trials[1].name: "it fell"})
    assert (found["study"], found["finished"], found["failed"]) == (str(tmp_path), 1, 1)
    done, failed, waiting = found["trials"]
    assert (done["state"], done["return_mean"], done["env_steps"], done["minutes"]) == ("finished", 7.0, 60, 0.5)
    assert (failed["state"], failed["why"]) == ("failed", "it fell")
    assert waiting == {"name": "pendulum-seed2", "preset": "pendulum", "variant": "", "seed": 2, "state": "waiting"}


@pytest.mark.parametrize("record", [{"a": 3}, {"a": {"tries": "1", "why": "x"}}, {"a": {"tries": 1}}])
def test_a_damaged_record_of_failures_is_refused(tmp_path, record):
    (tmp_path / "failures.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="is damaged; remove it to try the trials that failed again"):
        run_study(tmp_path, small(), None, Console(quiet=True))


def test_a_trial_that_fails_is_tried_once_more_and_then_left(command, tmp_path):
    words = ["sweep", "inverted-pendulum", "--seeds", 1, *WORDS, "--learning-rate", "1e30", "--out", "s"]
    for tries in (1, 2):
        status, _, err = command(*words)
        assert status == 1
        assert err.startswith("polygrad-edu: 1 of 1 trials failed, inverted-pendulum-seed0 with: polygrad-edu: ")
        assert "became nan" in err or "became inf" in err
        assert json.loads((tmp_path / "s/failures.json").read_text())["inverted-pendulum-seed0"]["tries"] == tries
    started = (tmp_path / "s/trials/inverted-pendulum-seed0.log").read_text()
    status, out, _ = command(*words)
    assert status == 1
    assert "failed 2 times" in out
    assert "is left; to try again, remove failures.json" in out
    assert (tmp_path / "s/trials/inverted-pendulum-seed0.log").read_text() == started
    status, _, err = command("report", "s")
    assert status == 2
    assert "no trial of s is finished yet" in err


def test_an_interrupted_study_goes_on_and_a_killed_process_costs_nothing(tmp_path, command):
    log, study = tmp_path / "log", tmp_path / "study"
    words = ["inverted-pendulum", "--seeds", 2, "--device", "cpu", *options_of(LONGER)]
    driver = sweep(*words, "--out", study, "--jobs", 1, log=log)
    wait_until(lambda: list(study.glob("trials/*/checkpoint/step-*.json")), driver, log)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=60) == 130
    assert f"Stopped. Go on with: polygrad-edu sweep --out {study}" in log.read_text()
    assert not list(study.glob("trials/*/result.json"))
    driver = sweep("--out", study, "--jobs", 2, "--json", log=log)
    wait_until(lambda: len(children(driver.pid, "train")) == 2, driver, log)
    for child in children(driver.pid, "train")[:1]:
        child.kill()
    assert driver.wait(timeout=400) == 0, log.read_text()
    said = log.read_text()
    assert "lost its worker (killed by SIGKILL)" in said
    answer = json.loads(said.splitlines()[-1])
    assert (answer["finished"], answer["failed"], len(answer["trials"])) == (2, 0, 2)
    whole = tmp_path / "whole"
    assert sweep(*words, "--out", whole, "--jobs", 2, log=log).wait(timeout=400) == 0, log.read_text()
    assert results(study) == results(whole)
    status, out, _ = command("evaluate", study / "trials/inverted-pendulum-seed1", "--episodes", 1, "--json")
    assert status == 0
    assert json.loads(out)["env_steps"] == 300
    status, out, _ = command("report", study, "--json")
    assert status == 0
    assert json.loads(out)["finished"] == 2
