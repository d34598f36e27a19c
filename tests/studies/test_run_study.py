"""Studies in processes on this machine: what they are, how they end, and that they go on."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from polygrad_edu.cli.main.main import main
from rich.console import Console

from polygrad_edu.runs.transfer import pack, unpack
from polygrad_edu.studies.run_study import lock
from polygrad_edu.studies.study import make_study, read_study, start_study, trial_name
from polygrad_edu.studies.trials import MOST_LOSSES, Ending, run_trials
from tests.concepts.test_imagination_loop import TINY
from tests.support.processes import children

LONGER = TINY | {"env_steps": "300", "prefill_steps": "100", "eval_every": "100", "checkpoint_every": "50"}
WORDS, OPTIONS = (
    [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)]
    for settings in (TINY, LONGER)
)


def sweep(*arguments, log):
    """Start ``polygrad-edu sweep`` with its output in a file."""
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "polygrad_edu", "sweep", *map(str, arguments)],
            stdout=file, stderr=file, env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "150"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip


def wait_until(true, process, log, seconds=400):
    """Wait for something that a study in the background should come to."""
    deadline = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def results(study):
    """What decides whether two studies agree: results, evaluations and the networks' checksums, by trial."""
    found = {}
    for path in sorted((study / "trials").glob("*/result.json")):
        lines = [json.loads(line) for line in (path.parent / "metrics.jsonl").read_text().splitlines()]
        last = sorted((path.parent / "checkpoint").glob("step-*.json"))[-1]
        found[path.parent.name] = (
            json.loads(path.read_text()) | {"wall_seconds": 0},
            [[line[name] for name in ("env_step", "eval_return", "best_return", "episode_return")] for line in lines],
            last.name,
            json.loads(last.read_text())["shards"],
        )
    return found


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


def small(**changes):
    words = {"presets": ["pendulum"], "seeds": range(2), "settings": TINY, "vary": {}, "device": "cpu"}
    return make_study(**(words | changes))


def test_a_study_is_every_preset_with_every_variant_and_every_seed(tmp_path):
    study = small(
        presets=["pendulum", "hopper-cpu"], vary={"guidance": ["sample", "none"], "horizon": ["5"]}, seeds=range(3, 5)
    )
    trials = study.trials(tmp_path)
    assert len(trials) == 2 * 2 * 2
    assert trials[1].name == "pendulum+guidance=none-seed3"  # a setting with one value needs no mention
    assert trials[1].directory == tmp_path / "trials" / trials[1].name
    assert {(t.preset.env_id, t.preset.guidance, t.preset.horizon, t.seed) for t in trials} == {
        (task, rule, 5, seed) for task in ("Pendulum-v1", "Hopper-v5") for rule in ("sample", "none") for seed in (3, 4)
    }
    command = trials[1].command()
    assert command.startswith("polygrad-edu train pendulum --seed 3 --device cpu --env-steps 60 ")
    assert command.endswith("--guidance none --horizon 5")


def test_names_are_fit_for_directories():
    assert trial_name("ant", "env_id=a/../b+x=1", 2) == "ant+env_id=a_.._b+x=1-seed2"


def test_a_study_survives_its_file(tmp_path):
    study = small(vary={"guidance": ["sample", "none"]})
    start_study(tmp_path, study)
    assert read_study(tmp_path) == study
    stored = json.loads((tmp_path / "study.json").read_text())
    assert stored["combinations"]["pendulum+guidance=none"]["guidance"] == "none"
    assert stored["combinations"]["pendulum+guidance=none"]["width"] == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "polygrad-edu study 9"}, "not a study of this version"),
        ({"presets": "pendulum"}, "must hold presets as a JSON list"),
        ({"presets": [3]}, "settings' values as text"),
        ({"presets": ["pendulm"]}, "no preset 'pendulm'; did you mean pendulum"),
        ({"seeds": [-1]}, "whole numbers from 0 on as seeds"),
        ({"seeds": []}, "needs at least a preset, a seed"),
        ({"vary": {"guidance": "none"}}, "a list of values for guidance"),
        ({"settings": {"width": 16}}, "settings' values as text"),
        ({"settings": {"width": "0"}}, "width must be at least 1"),
        ({"combinations": {"pendulum": {"width": 17}}}, "made with other presets: pendulum had"),
        ({"combinations": {}}, "pendulum is only in the command"),
        ({"device": None}, "must hold device as a JSON text"),
    ],
)
def test_a_changed_study_file_is_refused_in_one_line(tmp_path, change, message):
    start_study(tmp_path, small())
    path = tmp_path / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message) as error:
        read_study(tmp_path)
    assert "\n" not in str(error.value)


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


class Scripted:
    """An engine that ends each trial as a script says, to see what is made of it."""

    def __init__(self, *endings):
        self.endings, self.started, self.stopped = list(endings), [], False
        self.at_work = []

    def slots(self):
        return 1

    def start(self, trial):
        self.started.append(trial.name)
        self.at_work.append(trial)

    def ended(self):
        return [(self.at_work.pop(), self.endings.pop(0))]

    def stop(self):
        self.stopped = True


def test_a_trial_that_loses_its_worker_goes_on_but_not_for_ever(tmp_path):
    trials = small(seeds=range(1)).trials(tmp_path)
    lost, over = Ending("lost", "killed by SIGKILL"), Ending("finished")
    engine, failures = Scripted(Ending("paused"), *[lost] * MOST_LOSSES, over), {}
    run_trials(trials, engine, Console(quiet=True), failures)
    assert (len(engine.started), failures, engine.stopped) == (2 + MOST_LOSSES, {}, True)
    engine = Scripted(*[lost] * (MOST_LOSSES + 1))
    run_trials(trials, engine, Console(quiet=True), failures)
    assert failures == {"pendulum-seed0": "lost its worker 6 times: killed by SIGKILL"}
    engine = Scripted()
    run_trials(trials, engine, Console(quiet=True), failures)  # what failed is not tried
    assert engine.started == []


def test_an_engine_is_stopped_whatever_happens(tmp_path):
    engine = Scripted()  # its script is empty, so the first trial ends in an error
    with pytest.raises(IndexError):
        run_trials(small().trials(tmp_path), engine, Console(quiet=True), {})
    assert engine.stopped


def test_two_sweeps_do_not_share_a_folder(tmp_path):
    with lock(tmp_path), pytest.raises(ValueError, match="another process is at work"):
        lock(tmp_path)
    lock(tmp_path).close()


def write(run, files):
    for name, content in files.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(content)


def test_a_run_travels_and_shards_that_are_known_stay_at_home(tmp_path):
    home, away = tmp_path / "home", tmp_path / "away"
    write(home, {"config.json": b"{}", "checkpoint/step-1.json": b"1", "checkpoint/shards/a": b"A"})
    sent = pack(home)
    unpack(away, sent)
    write(away, {"checkpoint/step-2.json": b"2", "checkpoint/shards/b": b"B", "checkpoint/x.partial": b"?"})
    (away / "checkpoint/step-1.json").unlink()
    (away / "config.json").write_bytes(b"{ }")
    back = pack(away, sent)
    assert back == {
        "config.json": b"{ }", "checkpoint/step-2.json": b"2", "checkpoint/shards/a": None, "checkpoint/shards/b": b"B",
    }  # fmt: skip
    unpack(home, back)
    assert pack(home) == back | {"checkpoint/shards/a": b"A"}  # and the old checkpoint is gone


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "..\\x", "C:x", ""])
def test_a_file_cannot_leave_its_run(tmp_path, name):
    with pytest.raises(ValueError, match="no file of a run directory"):
        unpack(tmp_path / "run", {"config.json": b"{}", name: b"x"})
    assert not list(tmp_path.iterdir())


def test_a_shard_that_is_nowhere_is_missed_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="was left out"):
        unpack(tmp_path / "run", {"config.json": b"{}", "checkpoint/shards/a": None})
    assert not list(tmp_path.iterdir())


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
    words = ["inverted-pendulum", "--seeds", 2, "--device", "cpu", *OPTIONS]
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
