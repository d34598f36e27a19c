"""A supervised run: it learns exactly as one alone, and leaves a checkpoint when its supervisor leaves."""

import io
import json
import os
import sys
import time

import imageio_ffmpeg
import pytest
from rich.console import Console

from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.presets import get_preset
from polygrad_edu.runs import supervised
from polygrad_edu.runs.supervised import FILM, FILM_SIZE, PROGRESS, Supervision, write_film
from polygrad_edu.runs.training import continue_run, start_run
from tests.support.tiny_runs import TINY, assert_same, run, tiny


@pytest.fixture
def supervisor(monkeypatch):
    """The end of a pipe that the supervisor of this process holds."""
    ours, theirs = os.pipe()
    with os.fdopen(ours) as standard_input, os.fdopen(theirs, "w") as end:
        monkeypatch.setattr(sys, "stdin", standard_input)
        yield end
        end.close()
        time.sleep(0.05)  # let the reading thread see it before its file goes


class LeavesAfterTheFirstEvaluation(Supervision):
    def __init__(self, pipe):
        super().__init__()
        self.pipe = pipe

    def after_step(self, run, metrics):
        assert not self.supervisor_left
        super().after_step(run, metrics)
        if "eval_return" in metrics:
            self.pipe.close()
            assert self._left.wait(10)


def test_a_run_that_was_supervised_and_left_ends_like_one_that_was_alone(tmp_path, supervisor):
    preset, quiet = get_preset("inverted-pendulum").with_overrides(TINY), Console(quiet=True)
    alone = start_run(tmp_path / "alone", "inverted-pendulum", preset, 3, "cpu").run(quiet)

    directory = tmp_path / "supervised"
    supervision = LeavesAfterTheFirstEvaluation(supervisor)
    left = start_run(directory, "inverted-pendulum", preset, 3, "cpu").run(quiet, supervision=supervision)
    assert left == {"finished": False, "env_step": 30, "run": str(directory)}
    assert sorted(path.stem for path in (directory / "checkpoint").glob("step-*")) == [
        "step-000000020",
        "step-000000030",
    ]
    lines = [json.loads(line) for line in (directory / PROGRESS).read_text().splitlines()]
    assert [line["env_step"] for line in lines] == [25, 30]
    film = imageio_ffmpeg.read_frames(str(directory / FILM))
    assert next(film)["size"][0] == FILM_SIZE[0]
    film.close()

    with (directory / PROGRESS).open("a") as file:
        file.write('{"env_step": 31}\n')  # of a crash after the checkpoint
    resumed = continue_run(directory, "cpu", {}).run(quiet)
    assert resumed | {"wall_seconds": 0} == alone | {"wall_seconds": 0}
    assert len((directory / PROGRESS).read_text().splitlines()) == 2

    def curve(place):
        lines = (tmp_path / place / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) | {"wall_seconds": 0} for line in lines]

    assert curve("supervised") == curve("alone")


def test_a_long_run_writes_few_lines_between_its_evaluations(tmp_path, supervisor, monkeypatch):
    monkeypatch.setattr(supervised, "MAX_LINES", 1)  # so that the next line would be due after the whole run
    training = start_run(tmp_path / "run", "inverted-pendulum", tiny(), 3, "cpu")
    training.run(Console(quiet=True), supervision=Supervision())
    lines = [json.loads(line) for line in (tmp_path / "run" / PROGRESS).read_text().splitlines()]
    assert [line["env_step"] for line in lines] == [30, 60]  # the evaluations


def test_a_film_draws_from_none_of_the_runs_generators(tmp_path):
    loops = [ImaginationLoop(tiny(), seed=3) for _ in range(2)]
    for loop in loops:
        run(loop, 45)
        write_film(loops[0], tmp_path / FILM)
    assert_same(*loops)


def test_films_that_cannot_be_made_fail_no_run_and_are_told_once(tmp_path, supervisor, monkeypatch):
    calls = []

    def no_ffmpeg(*_):
        calls.append(1)
        raise OSError("ffmpeg is missing")

    monkeypatch.setattr(supervised, "write_film", no_ffmpeg)
    console = Console(record=True, width=200, file=io.StringIO())
    training = start_run(tmp_path / "run", "inverted-pendulum", tiny(), 3, "cpu")
    assert training.run(console, supervision=Supervision())["env_steps"] == 60
    assert console.export_text().count("There are no films of this run: ffmpeg is missing.") == len(calls) == 1
    assert len((tmp_path / "run" / PROGRESS).read_text().splitlines()) == 4
