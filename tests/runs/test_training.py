"""A run from its first step to its result: stopped, resumed, prolonged, and refused."""

import io
import json
import random
import re
import shlex
import shutil

import gymnasium
import numpy as np
import pytest
import torch
from rich.console import Console

from polygrad_edu.drawing.poses import CannotDrawError
from polygrad_edu.files.input_error import InputError
from polygrad_edu.imagination_loop import ImaginationLoop, NotFiniteError
from polygrad_edu.measuring.comparison import replay_data
from polygrad_edu.measuring.trained_models import Effort, make_candidate, train
from polygrad_edu.presets import get_preset
from polygrad_edu.runs import training
from polygrad_edu.runs.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    read_config,
    save_checkpoint,
    write_config,
)
from polygrad_edu.runs.shipped import export_result, load_result
from polygrad_edu.runs.training import continue_run, seed_process, settle, start_run
from polygrad_edu.runs.video import make_video
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


def test_the_pathwise_presets_record_nothing_on_a_processor_and_measure_nothing():
    asked = get_preset("hopper-pathwise")
    assert asked.acceleration.compile == "auto"
    assert settle(asked, 0, "cpu") == (asked.with_overrides(compile="none"), "")


@pytest.fixture
def finished(tmp_path):
    """The directory of a finished run of 60 steps."""
    run = tmp_path / "a run"
    start_run(run, "inverted-pendulum", tiny(), 2, "cpu").run(Console(quiet=True))
    return run


def recorded():
    return Console(record=True, width=500, file=io.StringIO())


def times_and_bytes(run):
    return {path.name: path.read_bytes() for path in run.iterdir() if path.name in ("result.json", "video.mp4")}


@pytest.mark.parametrize("overrides", [{}, {"env_steps": "60"}])
def test_a_finished_run_that_is_resumed_says_so_and_stays_as_it_is(finished, overrides):
    before = times_and_bytes(finished)
    console = recorded()
    again = continue_run(finished, "cpu", overrides)
    assert again.run(console) == json.loads(before["result.json"])
    assert times_and_bytes(finished) == before
    said = console.export_text()
    assert "The run was finished already: 60 steps, a return of " in said
    assert f"ask for more steps: polygrad-edu train --resume '{finished}' --env-steps 120" in said


def test_a_run_cannot_go_on_with_fewer_steps_than_it_has(finished, tmp_path):
    config = (finished / "config.json").read_bytes()
    for steps in (59, 45, 1):  # with fewer than the random ones, too
        message = f"the run is at step 60 already; --env-steps must be at least 60, not {steps}"
        with pytest.raises(InputError, match=message):
            continue_run(finished, "cpu", {"env_steps": str(steps)})
    assert (finished / "config.json").read_bytes() == config
    stopped = tmp_path / "stopped"
    start_run(stopped, "inverted-pendulum", tiny(prefill_steps=10), 2, "cpu").run(Console(quiet=True), minutes=0)
    shorter = continue_run(stopped, "cpu", {"env_steps": "20"})  # it had come to step 1
    assert shorter.run(Console(quiet=True))["env_steps"] == 20


def test_environments_side_by_side_may_have_taken_more_steps_than_were_asked_for(tmp_path):
    training = start_run(tmp_path, "pendulum", tiny("pendulum", parallel_envs=2, env_steps=45), 2, "cpu")
    assert training.run(Console(quiet=True))["env_steps"] == 46
    assert continue_run(tmp_path, "cpu", {}).run(Console(quiet=True))["env_steps"] == 46
    with pytest.raises(InputError, match="at least 45, not 44"):
        continue_run(tmp_path, "cpu", {"env_steps": "44"})


def test_a_prolonged_run_gets_a_new_result_and_a_new_video(finished):
    before = times_and_bytes(finished)
    assert continue_run(finished, "cpu", {"env_steps": "70"}).run(Console(quiet=True))["env_steps"] == 70
    after = times_and_bytes(finished)
    assert all(after[name] != before[name] for name in before)


@pytest.mark.parametrize("damage", ["{", '{"env_steps": 60}', None])
def test_a_run_that_ended_before_its_result_was_whole_is_evaluated_when_it_goes_on(finished, damage):
    result = json.loads((finished / "result.json").read_text())
    if damage is None:
        (finished / "result.json").unlink()
    else:
        (finished / "result.json").write_text(damage)
    again = continue_run(finished, "cpu", {}).run(Console(quiet=True))
    assert again | {"wall_seconds": 0} == result | {"wall_seconds": 0}


def cannot_draw(*_, **__):
    raise CannotDrawError("the observation of MyEnv does not tell its pose, so it is not drawn")


def no_ffmpeg(*_, **__):
    raise RuntimeError("No ffmpeg exe could be found")


def no_opengl(*_, **__):
    raise OSError("MuJoCo's renderer does not start here")


def broken_drawing(*_, **__):
    raise ZeroDivisionError("float division by zero")


@pytest.mark.parametrize(
    ("place", "wrong", "why"),
    [
        (
            "polygrad_edu.runs.video.poses.states_from_observations",
            cannot_draw,
            "the observation of MyEnv does not tell its pose",
        ),
        ("imageio_ffmpeg.get_ffmpeg_exe", no_ffmpeg, "video.mp4 could not be written: No ffmpeg exe could be found"),
        ("polygrad_edu.runs.video.draw_states", no_opengl, "MuJoCo's renderer does not start here"),
        ("polygrad_edu.runs.video.draw_states", broken_drawing, "ZeroDivisionError: float division by zero"),
        (
            "polygrad_edu.runs.video.environments.play_episode",
            broken_drawing,
            "ZeroDivisionError: float division by zero",
        ),
    ],
)
def test_a_film_that_cannot_be_made_fails_no_run(tmp_path, monkeypatch, place, wrong, why):
    console = recorded()
    with monkeypatch.context() as patched:
        patched.setattr(place, wrong)
        result = start_run(tmp_path / "run", "inverted-pendulum", tiny(), 2, "cpu").run(console)
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == result
    lines = [line for line in console.export_text().splitlines() if why in line]
    assert len(lines) == 1
    assert lines[0].startswith("There is no video: ")
    assert "video.mp4 lie" not in console.export_text()
    kept = tmp_path / "run" / "no_video.txt"
    assert why in kept.read_text()
    assert not list((tmp_path / "run").glob("*.mp4"))
    again = continue_run(tmp_path / "run", "cpu", {}).run(Console(quiet=True))  # now it can be made
    assert again == result
    assert (tmp_path / "run" / "video.mp4").is_file()
    assert not kept.exists()


def test_a_run_too_short_to_imagine_from_has_no_film(tmp_path):
    preset = tiny("pendulum", env_steps=5, prefill_steps=5)
    console = recorded()
    start_run(tmp_path / "run", "pendulum", preset, 2, "cpu").run(console)
    assert "There is no video: no episode has the 10 steps yet that imagining starts from." in console.export_text()


@pytest.mark.parametrize("folder", ["a b", "it's", "[bold]x[/]", "ü日"])
def test_a_printed_command_can_be_typed(tmp_path, folder):
    console = recorded()
    run = tmp_path / folder
    start_run(run, "inverted-pendulum", tiny(), 2, "cpu").run(console, minutes=0)
    command = re.search(r"Continue with: (.*)", console.export_text())[1]
    assert shlex.split(command) == ["polygrad-edu", "train", "--resume", str(run)]
    with pytest.raises(InputError) as error:
        start_run(run, "inverted-pendulum", tiny(), 2, "cpu")
    assert f"--resume {shlex.quote(str(run))}," in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"env_id": "Nope-v0"}, "cannot make the task"),
        ({"env_id": "CartPole-v1"}, "PolyGRAD needs a vector"),
        ({"env_id": "Endless-v0"}, "has no time limit"),
        ({"env_id": "Briefest-v0", "horizon": 30}, "choose a horizon of at most 20"),
        ({"horizon": 300, "parallel_envs": 2}, "choose a horizon of at most 200"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_there_is_a_directory(tmp_path, change, message):
    for name, steps in (("Endless-v0", None), ("Briefest-v0", 20)):
        if name not in gymnasium.registry:
            gymnasium.register(name, "gymnasium.envs.classic_control.pendulum:PendulumEnv", max_episode_steps=steps)
    with pytest.raises(InputError, match=message):
        start_run(tmp_path / "run", "pendulum", tiny("pendulum", **change), 2, "cpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", [-1, 1_000_000, 2**64])
def test_a_seed_out_of_range_is_refused_before_there_is_a_directory(tmp_path, seed):
    with pytest.raises(InputError, match="seed must be from 0 to 999,999"):
        start_run(tmp_path / "run", "inverted-pendulum", tiny(), seed, "cpu")
    assert list(tmp_path.iterdir()) == []


def draws():
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002 - what a task may use


def test_a_run_seeds_its_process_for_tasks_that_draw_from_it(tmp_path):
    seen = []
    for place, seed in (("a", 2), ("b", 2), ("c", 3)):
        start_run(tmp_path / place, "inverted-pendulum", tiny(), seed, "cpu").run(Console(quiet=True), minutes=0)
        shutil.rmtree(tmp_path / place)
        start_run(tmp_path / place, "inverted-pendulum", tiny(), seed, "cpu")
        seen.append(draws())
    assert seen[0] == seen[1] != seen[2]


def test_a_run_that_goes_on_does_not_draw_the_same_again(finished):
    shutil.rmtree(finished / "checkpoint")
    continue_run(finished, "cpu", {}).run(Console(quiet=True), minutes=0)  # to step 1
    first = draws()
    continue_run(finished, "cpu", {})
    seed_process(2 + 1)
    second = draws()
    continue_run(finished, "cpu", {})
    assert draws() == second != first


def test_only_a_run_of_ones_own_seeds_the_process(finished, tmp_path):
    """Whatever is read, imagined or measured leaves everybody's generators as they are."""
    export_result(finished, tmp_path / "kept")
    data = replay_data(load_checkpoint(finished)[0])
    candidate = make_candidate("mlp-ensemble", "InvertedPendulum-v5", 1.0, {"width": "8"})._replace(effort=Effort(2))
    uses = [
        lambda: load_checkpoint(finished)[0].imagine(4),
        lambda: load_result(tmp_path / "kept"),
        lambda: run(ImaginationLoop(tiny(), 7), 45),
        lambda: train(candidate, data, tmp_path / "models", 0, "cpu"),
        lambda: make_video(load_checkpoint(finished)[0], tmp_path / "film.mp4"),
    ]
    for use in uses:
        seed_process(11)
        expected = draws()
        seed_process(11)
        use()
        assert draws() == expected
