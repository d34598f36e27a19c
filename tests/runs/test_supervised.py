"""A watched run: it learns exactly what an unwatched one does, and leaves a checkpoint when its watcher leaves."""

import json
import os
import sys
import time

import imageio_ffmpeg
import pytest
from rich.console import Console

from polygrad_edu.presets import get_preset
from polygrad_edu.runs.supervised import FILM, FILM_SIZE, PROGRESS, Attendant
from polygrad_edu.runs.training import continue_run, start_run
from tests.concepts.test_imagination_loop import TINY


@pytest.fixture
def watcher(monkeypatch):
    """The end of a pipe that the watcher of this process holds."""
    ours, theirs = os.pipe()
    with os.fdopen(ours) as standard_input, os.fdopen(theirs, "w") as end:
        monkeypatch.setattr(sys, "stdin", standard_input)
        yield end
        end.close()
        time.sleep(0.05)  # let the reading thread see it before its file goes


class LeavesAfterTheFirstEvaluation(Attendant):
    def __init__(self, end):
        super().__init__()
        self.end = end

    def tell(self, training, evaluated):
        assert not self.left
        super().tell(training, evaluated)
        if evaluated:
            self.end.close()
            assert self._left.wait(10)


def test_a_run_that_was_watched_and_left_ends_like_one_that_nobody_looked_at(tmp_path, watcher):
    preset, quiet = get_preset("inverted-pendulum").with_overrides(TINY), Console(quiet=True)
    alone = start_run(tmp_path / "alone", "inverted-pendulum", preset, 3, "cpu").run(quiet)

    run = tmp_path / "watched"
    left = start_run(run, "inverted-pendulum", preset, 3, "cpu").run(
        quiet, attendant=LeavesAfterTheFirstEvaluation(watcher)
    )
    assert left == {"finished": False, "env_step": 30, "run": str(run)}
    assert sorted(path.stem for path in (run / "checkpoint").glob("step-*")) == ["step-000000020", "step-000000030"]
    lines = [json.loads(line) for line in (run / PROGRESS).read_text().splitlines()]
    assert [line["env_step"] for line in lines] == [25, 30]
    film = imageio_ffmpeg.read_frames(str(run / FILM))
    assert next(film)["size"][0] == FILM_SIZE[0]
    film.close()

    with (run / PROGRESS).open("a") as file:
        file.write('{"env_step": 31}\n')  # of a crash after the checkpoint
    watched = continue_run(run, "cpu", {}).run(quiet)
    assert watched | {"wall_seconds": 0} == alone | {"wall_seconds": 0}
    assert len((run / PROGRESS).read_text().splitlines()) == 2

    def curve(place):
        lines = (tmp_path / place / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) | {"wall_seconds": 0} for line in lines]

    assert curve("watched") == curve("alone")
