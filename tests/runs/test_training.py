"""A run from its first step to its result: stopped, resumed, prolonged, and refused."""

import io
import json
import re
import shutil

import pytest
from rich.console import Console

from polygrad_edu.files.input_error import InputError
from polygrad_edu.imagination_loop import ImaginationLoop, NotFiniteError
from polygrad_edu.runs import training
from polygrad_edu.runs.checkpoint import list_checkpoints, read_config, save_checkpoint, write_config
from polygrad_edu.runs.training import continue_run, settle, start_run
from tests.support.tiny_runs import assert_same, run, tiny


def test_a_stopped_training_resumes_to_the_same_result(tmp_path):
    quiet = Console(quiet=True)
    whole = start_run(tmp_path / "whole", "inverted-pendulum", tiny(), 2, "cpu").run(quiet)
    stopped = start_run(tmp_path / "stopped", "inverted-pendulum", tiny(), 2, "cpu")
    steps = stopped.loop.steps

    def interrupted():
        for metrics in steps():
            yield metrics
            if stopped.loop.env_step == 53:
                raise KeyboardInterrupt

    stopped.loop.steps = interrupted
    with pytest.raises(KeyboardInterrupt):
        stopped.run(quiet)
    assert not (tmp_path / "stopped" / "result.json").exists()
    resumed = continue_run(tmp_path / "stopped", "cpu", {})
    assert resumed.loop.env_step == 40
    result = resumed.run(quiet)
    assert {k: v for k, v in result.items() if k != "wall_seconds"} == {
        k: v for k, v in whole.items() if k != "wall_seconds"
    }
    logs = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("whole", "stopped")]
    for ours, theirs in zip(*logs, strict=True):
        assert json.loads(ours) | {"wall_seconds": 0} == json.loads(theirs) | {"wall_seconds": 0}


def test_a_run_can_be_prolonged(tmp_path):
    preset = tiny("hopper-cpu", guidance="gradient", env_steps=70)
    write_config(tmp_path, "hopper", preset, 5)
    loop = ImaginationLoop(preset, 5)
    run(loop, 48)
    save_checkpoint(tmp_path, loop, 1.5)
    longer = continue_run(tmp_path, "cpu", {"env_steps": "90"})
    assert longer.loop.preset.loop.env_steps == 90
    assert read_config(tmp_path)[1].loop.env_steps == 90
    run(longer.loop, 90 - 48)


def test_a_run_stopped_before_its_first_checkpoint_starts_from_its_beginning(tmp_path):
    whole = start_run(tmp_path / "whole", "inverted-pendulum", tiny(), 2, "cpu")
    first = whole.run(Console(quiet=True))
    (tmp_path / "early").mkdir()
    shutil.copy(tmp_path / "whole" / "config.json", tmp_path / "early")
    again = continue_run(tmp_path / "early", "cpu", {})
    assert "starts from its beginning" in again.note
    assert again.run(Console(quiet=True))["return_mean"] == first["return_mean"]
    assert_same(whole.loop, again.loop)


def test_what_a_run_leaves_before_it_has_begun_does_not_bar_its_way(tmp_path):
    (tmp_path / "config.json.partial").write_text('{"pre')
    assert start_run(tmp_path, "inverted-pendulum", tiny(), 2, "cpu").loop.env_step == 0


def test_a_directory_that_is_taken_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for taken in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(InputError, match="is there already; continue it with --resume"):
            start_run(taken, "inverted-pendulum", tiny(), 2, "cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_task_that_is_not_there_leaves_no_directory(tmp_path):
    with pytest.raises(InputError, match="cannot make the task 'Nope-v0'"):
        start_run(tmp_path / "run", "inverted-pendulum", tiny(env_id="Nope-v0"), 2, "cpu")
    assert not (tmp_path / "run").exists()


def test_a_slice_of_time_ends_with_a_checkpoint_of_the_step_that_was_reached(tmp_path):
    stopped = start_run(tmp_path / "run", "inverted-pendulum", tiny(), 2, "cpu")
    answer = stopped.run(Console(quiet=True), minutes=0)
    assert answer == {"finished": False, "env_step": 1, "run": str(tmp_path / "run")}
    assert [path.name for path in list_checkpoints(tmp_path / "run")] == ["step-000000001.json"]
    assert continue_run(tmp_path / "run", "cpu", {}).loop.env_step == 1


def test_what_is_printed_names_the_run_its_evaluations_and_its_end(tmp_path):
    console = Console(record=True, width=200, file=io.StringIO())
    start_run(tmp_path / "run", "inverted-pendulum", tiny(), 3, "cpu").run(console)
    lines = console.export_text().splitlines()
    assert lines[0] == (
        "Learning InvertedPendulum-v5 in the imagination of polygrad (fixed-noise guidance): 60 real steps, seed 3, "
        f"on cpu. Run directory: {tmp_path / 'run'}"
    )
    evaluations = [line for line in lines if line.startswith("step ")]
    assert [line.split()[1] for line in evaluations] == ["30", "60"]
    assert re.fullmatch(r"step +60  return \d+  model loss \d\.\d{3}  on-policy std \d\.\d\d", evaluations[1])
    assert lines[-1].startswith("After 60 steps in InvertedPendulum-v5 and 0.")
    assert f"the run and its video.mp4 lie in {tmp_path / 'run'}." in lines[-1]


def test_an_interrupt_says_how_to_go_on_and_what_is_kept(tmp_path):
    console = Console(record=True, width=200, file=io.StringIO())
    stopped = start_run(tmp_path / "run", "inverted-pendulum", tiny(), 2, "cpu")
    learn = stopped.loop.learn

    def interrupted():
        if stopped.loop.env_step == 45:
            raise KeyboardInterrupt
        return learn()

    stopped.loop.learn = interrupted
    with pytest.raises(KeyboardInterrupt):
        stopped.run(console)
    last = console.export_text().splitlines()[-1]
    resume = f"Continue with: polygrad-edu train --resume {tmp_path / 'run'}"
    assert last == f"Stopped at step 45. Kept to step 40. {resume}"


def test_a_failing_disk_names_the_last_checkpoint_and_the_way_on(tmp_path, monkeypatch):
    begun = start_run(tmp_path / "run", "inverted-pendulum", tiny(), 2, "cpu")

    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr(training, "write_json", full_disk)
    with pytest.raises(OSError, match=r"no space left\. Kept to step 60; go on with: polygrad-edu train --resume"):
        begun.run(Console(quiet=True))


def test_a_number_that_goes_wrong_before_the_first_checkpoint_says_so(tmp_path):
    begun = start_run(tmp_path / "run", "inverted-pendulum", tiny(), 2, "cpu")

    def wrong():
        raise NotFiniteError("an action of the policy was not finite at step 7")

    begun.loop.step = wrong
    with pytest.raises(NotFiniteError, match="at step 7; none was saved yet"):
        begun.run(Console(quiet=True))


def test_the_line_of_a_nan_cannot_be_found_in_what_was_compiled(tmp_path):
    begun = start_run(tmp_path / "run", "inverted-pendulum", tiny(), 2, "cpu")
    begun.loop.preset = begun.loop.preset.with_overrides(compile="inductor")
    with pytest.raises(InputError, match="use it with --compile none, not inductor"):
        begun.run(Console(quiet=True), detect_anomaly=True)
    begun.loop.collector.close()


def test_settings_that_a_measurement_decides_are_settled():
    preset, sentence = settle(tiny(precision="auto"), 0, "cpu")
    assert preset.acceleration.precision in ("float32", "bfloat16")
    assert sentence.startswith(f"Measured here: precision {preset.acceleration.precision}, compile none")
    assert settle(tiny(), 0, "cpu") == (tiny(), "")
