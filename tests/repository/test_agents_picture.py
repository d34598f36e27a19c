"""The table of agents' evaluations, and the picture that is drawn from it."""

import json

import pytest

from polygrad_edu.course.agent_curves import agent_evaluations
from polygrad_edu.presets import PRESETS
from polygrad_edu.runs.checkpoint import write_config
from tests.support.book_scripts import load_book_script
from tests.support.tiny_runs import tiny


@pytest.fixture(scope="module")
def agents_picture():
    return load_book_script("agents_picture")


def test_the_table_holds_each_evaluation_once(agents_picture):
    rows = agent_evaluations()
    assert rows
    keys = [(row["preset"], int(row["seed"]), int(row["env_step"])) for row in rows]
    assert keys == sorted(set(keys))
    for row in rows:
        assert row["env_id"] == PRESETS[row["preset"].removesuffix(", before")].task.env_id
        assert float(row["eval_return"]) > -1e4


def test_a_run_that_went_on_takes_its_own_place(agents_picture, tmp_path):
    table, run = tmp_path / "table.csv", tmp_path / "run"
    for steps in (2, 3):
        run.mkdir(exist_ok=True)
        write_config(run, "half-cheetah-pathwise", tiny("half-cheetah-pathwise"), 4)
        lines = [
            {"env_step": 1000 * step, "wall_seconds": 60.0 * step, "eval_return": 100.0 * step, "best_return": 300.0}
            for step in range(1, steps + 1)
        ]
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        agents_picture.add_runs([run], table)
        rows = agent_evaluations(table)
        assert [row["env_step"] for row in rows] == [str(1000 * step) for step in range(1, steps + 1)]
    assert rows[-1] == {
        "preset": "half-cheetah-pathwise",
        "env_id": "HalfCheetah-v5",
        "seed": "4",
        "env_step": "3000",
        "minutes": "3.0",
        "eval_return": "300.0",
    }


def test_the_picture_can_be_made_again(agents_picture, tmp_path):
    agents_picture.draw(agent_evaluations(), tmp_path / "agents.png")
    again, stored = (tmp_path / "agents.png").read_bytes(), agents_picture.PICTURE.read_bytes()
    assert again[:24] == stored[:24]  # the same size
