"""Questions for ends and returns: a model that knows the world, models that do not, and the command."""

import json

import numpy as np
import pytest
import torch

from polygrad_edu.imagined_trajectories import ImaginedTrajectories
from polygrad_edu.measuring.asked_futures import ASKED, STILL, Answer, Question, condition, errors_of, shoot
from polygrad_edu.measuring.futures import make_preset
from polygrad_edu.measuring.hidden_futures import real_futures, record_episodes
from polygrad_edu.measuring.trained_models import untrained
from polygrad_edu.tasks.hidden_worlds import Fork, WindyPointMass
from tests.support.command_line import call, call_here

SMALL = ["--updates", 3, "--episodes", 40, "--starts", 3, "--per-start", 4, "--width", 20, "--depth", 1]
SMALL += ["--sampling-steps", 4]


class TheWorldItself:
    """A world model that is the windy world: each trajectory has a wind of its own and keeps it."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)

    def imagine(self, first, policy, horizon, generator):
        wind = WindyPointMass.wind_std * torch.randn(len(first), 1, 2, generator=generator)
        steps = torch.arange(horizon)[None, :, None]
        places = first[:, None] + WindyPointMass.dt * steps * wind
        nothing = torch.zeros(len(first), horizon)
        return ImaginedTrajectories(places, torch.zeros(len(first), horizon, 2), nothing, nothing)


@pytest.fixture
def windy():
    return real_futures(WindyPointMass, 4, 50, 10, seed=0, policy_std=STILL)


def test_more_candidates_come_nearer(windy):
    question = Question("end", WindyPointMass, windy)
    few, many = (shoot(TheWorldItself(), question, milliseconds, 0) for milliseconds in (0, 5))
    assert few.candidates == 1
    assert many.candidates > 10
    assert errors_of(many, question).miss < errors_of(few, question).miss / 2
    assert errors_of(many, question).share_within == pytest.approx(0, abs=1e-6)
    assert many.way == "shooting"


def test_what_was_asked_for_has_come_true_before(windy):
    for asked in ASKED:
        question = Question(asked, WindyPointMass, windy)
        assert question.misses(windy).max() == 0
    returns = Question("return", WindyPointMass, windy).answer_of(windy)
    assert returns[..., 0] == pytest.approx(windy.rewards[:, :, :-1].sum(axis=-1), abs=1e-4)


def test_polygrad_is_conditioned_and_comes_nearer_than_by_itself(windy):
    """A network of 300 updates knows roughly that a mass moves on; asked for an end, it goes there."""
    preset = make_preset("polygrad", WindyPointMass, {"width": 64, "depth": 2, "ema_decay": 0.98, "sampling_steps": 32})
    model, replay = untrained(preset, record_episodes(WindyPointMass, 2_000, 0), 0, "cpu")
    for _ in range(300):
        model.fit(replay)
    question = Question("end", WindyPointMass, windy)
    asked, unasked = condition(model, question, 0), shoot(model, question, 0, 0)
    assert (asked.way, asked.candidates) == ("conditioned", 1)
    assert np.array_equal(asked.futures.positions[:, :, 0], windy.positions[:, :, 0])
    assert errors_of(asked, question).miss < errors_of(unasked, question).miss / 3


def test_an_answer_at_the_fork_has_its_sides():
    futures = real_futures(Fork, 2, 20, 10, seed=0, policy_std=STILL)
    question = Question("return", Fork, futures)
    assert set(question.answer_of(futures).ravel()) == {-1.0, 0.0}
    found = errors_of(Answer("shooting", 1, 0.0, futures), question)
    assert (found.miss, found.sides.one_side, found.sides.bang_fits) == (0, 1, 1)


def test_the_table_fits_a_terminal(tmp_path):
    names = "polygrad,autoregressive-diffusion,transformer"
    done = call("futures", "fork", "--ask", "end", "--models", names, *SMALL, "--out", tmp_path, columns=80)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80
    assert "…" not in done.stdout


def test_every_model_is_asked(tmp_path):
    done = call("futures", "fork", "--ask", "end,return", *SMALL, "--out", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)["answers"]
    assert json.loads((tmp_path / "asked.json").read_text())["answers"] == answers
    ways = {(answer["model"], answer["asked"], answer["way"]) for answer in answers}
    conditioned = {name for name, _, way in ways if way == "conditioned"}
    assert conditioned == {"polygrad", "polygrad-causal"}
    assert {name for name, _, way in ways if way == "shooting"} >= {"polygrad", "polygrad-delayed", "recurrent"}
    assert {asked for _, asked, _ in ways} == set(ASKED)
    assert (tmp_path / "asked.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "asked.md").read_text().count("\n| ") == len(answers) + 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--ask", "ending"], "there is no question 'ending'"),
        (["--ask", "end", "--models", "mlp-ensemble"], "--ask needs polygrad among the models"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(words, line, tmp_path, monkeypatch, capsys):
    status, shown, told = call_here(
        monkeypatch, capsys, "futures", "fork", *words, "--out", tmp_path / "out", cwd=tmp_path
    )
    assert (status, shown, told.count("\n")) == (2, "", 1)
    assert line in told
    assert not (tmp_path / "out").exists()
