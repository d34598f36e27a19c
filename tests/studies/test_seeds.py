"""Several seeds of one preset."""

import json
from dataclasses import replace

import pytest
from rich.console import Console

from polygrad_edu.files.input_error import InputError
from polygrad_edu.studies import seeds
from polygrad_edu.studies.seeds import FailedRunsError, SeveralSeeds, summarise, train_seeds
from polygrad_edu.studies.trials import Ending
from tests.support.studies import finish
from tests.support.tiny_runs import TINY, tiny

SEVERAL = SeveralSeeds("inverted-pendulum", tiny(), TINY, range(3, 6), "cpu")


class Written:
    """An engine that writes results in place of training."""

    def __init__(self):
        self.fails = None  # the seed that does
        self.at_work = []

    def __call__(self, jobs, threads, options):  # as if it were made anew
        self.jobs, self.options = jobs, options
        return self

    def slots(self):
        return 3

    def start(self, trial):
        self.at_work.append(trial)

    def ended(self):
        trial = self.at_work.pop()
        if trial.seed == self.fails:
            return [(trial, Ending("failed", "a loss became nan"))]
        finish(trial, 10.0 * trial.seed, wall_seconds=trial.seed / 10)
        return [(trial, Ending("finished"))]

    def stop(self):
        pass


@pytest.fixture
def engine(monkeypatch):
    written = Written()
    monkeypatch.setattr(seeds, "Processes", written)
    return written


def test_each_seed_is_a_run_of_its_own(tmp_path):
    trials = SEVERAL.trials(tmp_path)
    assert [trial.directory for trial in trials] == [tmp_path / f"seed{seed}" for seed in (3, 4, 5)]
    assert trials[0].command().startswith("polygrad-edu train inverted-pendulum --seed 3 --device cpu --env-steps 60 ")


def test_the_summary_holds_each_seed_and_what_they_reached_together(tmp_path, engine):
    summary = train_seeds(SEVERAL, tmp_path / "out", Console(quiet=True))
    assert summary == json.loads((tmp_path / "out" / "seeds.json").read_text())
    assert (summary["seeds"], summary["returns"]) == ([3, 4, 5], [30.0, 40.0, 50.0])
    assert (summary["return_mean"], summary["return_median"]) == (40.0, 40.0)
    assert (summary["return_min"], summary["return_max"]) == (30.0, 50.0)
    assert summary["env_steps_per_second"] == [200.0, 150.0, 120.0]
    assert summary["env_steps_per_second_together"] == 470.0
    assert (engine.jobs, engine.options) == (3, ())


def test_the_project_for_the_curves_is_passed_on_to_every_seed(tmp_path, engine):
    train_seeds(replace(SEVERAL, wandb="my-project"), tmp_path / "out", Console(quiet=True))
    assert engine.options == ("--wandb", "my-project")


def test_a_seed_that_fails_is_named_with_the_way_on(tmp_path, engine):
    engine.fails = 4
    message = r"seed 4 of inverted-pendulum failed \(a loss became nan\); see .*seed4.log, and go on with: .*seed4$"
    with pytest.raises(FailedRunsError, match=message):
        train_seeds(SEVERAL, tmp_path / "out", Console(quiet=True))
    assert (tmp_path / "out" / "seed5" / "result.json").exists()
    assert not (tmp_path / "out" / "seeds.json").exists()


def test_a_directory_that_is_taken_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already; choose another --out"):
        train_seeds(SEVERAL, tmp_path, Console(quiet=True))


def test_a_run_that_took_no_time_has_a_speed():
    result = {"preset": "p", "env_id": "e", "device": "cpu", "seed": 0, "return_mean": 1.0, "env_steps": 60}
    assert summarise([result | {"wall_seconds": 0.0}])["env_steps_per_second"] == [600.0]


@pytest.mark.parametrize("several", [range(999_998, 1_000_001), range(-1, 2), range(2**63, 2**63 + 1)])
def test_seeds_out_of_range_are_refused_at_once(several):
    with pytest.raises(InputError, match="seed must be from 0 to 999,999"):
        replace(SEVERAL, seeds=several)


def test_the_way_on_can_be_typed(tmp_path, engine):
    engine.fails = 4
    out = tmp_path / "my runs"
    with pytest.raises(FailedRunsError, match=f"go on with: polygrad-edu train --resume '{out}/seed4'$"):
        train_seeds(SEVERAL, out, Console(quiet=True))
    with pytest.raises(InputError, match=f"continue a seed with --resume '{out}/seedN'$"):
        train_seeds(SEVERAL, out, Console(quiet=True))
