"""The table of agents' evaluations, and the picture that is drawn from it."""

import json

import pytest

from polygrad_edu.course.agent_curves import agent_evaluations
from polygrad_edu.presets import PRESETS, get_preset
from polygrad_edu.runs.checkpoint import write_config
from tests.support.book_scripts import load_book_script
from tests.support.tiny_runs import tiny


@pytest.fixture(scope="module")
def agents_picture():
    return load_book_script("agents_picture")


def test_the_table_holds_each_evaluation_once(agents_picture):
    rows = agent_evaluations()
    assert rows
    keys = [(row["preset"], row["env_id"], int(row["seed"]), int(row["env_step"])) for row in rows]
    assert keys == sorted(set(keys))
    for row in rows:
        own = PRESETS[row["preset"].removesuffix(", before")].task.env_id
        early = f"polygrad_edu/{own.removesuffix('-v5')}-ET-v0"  # the early-terminating task of the same robot
        assert row["env_id"] in (own, early, "polygrad_edu/HangingPendulumNoVelocity-v0")
        assert float(row["eval_return"]) > -1e4


def test_the_runs_are_those_that_were_evaluated_to_their_end(agents_picture):
    runs = agent_evaluations(agents_picture.RUNS)
    ends = {}
    for row in agent_evaluations():
        ends.setdefault(agents_picture.run_of(row), []).append(int(row["env_step"]))
    assert runs
    assert len({agents_picture.run_of(row) for row in runs}) == len(runs)
    for row in runs:
        assert int(row["env_steps"]) in ends[agents_picture.run_of(row)], row
        assert row["command"].startswith(f"polygrad-edu train {row['preset'].removesuffix(', before')} ")
        assert row["command"].endswith(f"--seed {row['seed']}")


def test_a_run_that_went_on_takes_its_own_place(agents_picture, tmp_path):
    run = tmp_path / "run"
    for steps in (2, 3):
        run.mkdir(exist_ok=True)
        write_config(run, "half-cheetah-pathwise", tiny("half-cheetah-pathwise"), 4)
        lines = [
            {"env_step": 1000 * step, "wall_seconds": 60.0 * step, "eval_return": 100.0 * step, "best_return": 300.0}
            for step in range(1, steps + 1)
        ]
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        agents_picture.add_runs([run], tmp_path)
        rows = agent_evaluations(tmp_path / "evaluations.csv")
        assert [row["env_step"] for row in rows] == [str(1000 * step) for step in range(1, steps + 1)]
    assert rows[-1] == {
        "preset": "half-cheetah-pathwise",
        "env_id": "HalfCheetah-v5",
        "seed": "4",
        "env_step": "3000",
        "minutes": "3.0",
        "eval_return": "300.0",
    }
    assert agent_evaluations(tmp_path / "runs.csv") == []  # it has not come to its end


def test_one_preset_on_two_tasks_is_two_runs_with_their_commands(agents_picture, tmp_path):
    for env_id in ("Ant-v5", "polygrad_edu/Ant-ET-v0"):
        run = tmp_path / env_id.replace("/", "-")
        run.mkdir()
        write_config(run, "ant-pathwise", get_preset("ant-pathwise").with_overrides({"env_id": env_id}), 2)
        line = {"env_step": 30_000, "wall_seconds": 60.0, "eval_return": 1.0, "best_return": 1.0}
        (run / "metrics.jsonl").write_text(json.dumps(line) + "\n")
        result = {"env_steps": 30_000, "wall_seconds": 90.0, "device": "cuda", "return_mean": 2.0, "return_std": 0.5}
        (run / "result.json").write_text(json.dumps(result | {"episodes": 20}))
        agents_picture.add_runs([run], tmp_path)
    usual, early = agent_evaluations(tmp_path / "runs.csv")
    assert usual["command"] == "polygrad-edu train ant-pathwise --seed 2"
    assert early["command"] == "polygrad-edu train ant-pathwise --env-id polygrad_edu/Ant-ET-v0 --seed 2"
    assert (early["minutes"], early["device"], early["best_return"]) == ("1.5", "cuda", "2.0")
    assert [row["env_id"] for row in agent_evaluations(tmp_path / "evaluations.csv")] == [
        "Ant-v5",
        "polygrad_edu/Ant-ET-v0",
    ]


def test_the_pages_table_says_what_the_tables_say(agents_picture):
    page = (agents_picture.BOOK / "measured" / "agents.md").read_text(encoding="utf-8")
    table = page.split("## Every task\n")[1].split("\n\n|")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert cells == agents_picture.summary(agent_evaluations(), agent_evaluations(agents_picture.RUNS))


def test_the_picture_can_be_made_again(agents_picture, tmp_path):
    agents_picture.draw(agent_evaluations(), tmp_path / "agents.png")
    again, stored = (tmp_path / "agents.png").read_bytes(), agents_picture.PICTURE.read_bytes()
    assert again[:24] == stored[:24]  # the same size
