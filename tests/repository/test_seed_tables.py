"""The tables that lesson 12 computes with say what the book's pages say."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTIONS = {
    "The CPU presets": 3,
    "The guidance rules on InvertedPendulum-v5": 6,
    "The ablations, through the command line": 7,
    "Advantage guidance": 4,
}


def table_of(page, heading):
    """Rows of the first table below a heading of a page, each a list of cells; the header is the first."""
    text = (ROOT / "book" / "measured" / page).read_text(encoding="utf-8").split(f"## {heading}\n")[1]
    lines = re.search(r"^\|.*?(?=\n\n)", text, re.S | re.M).group().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


def seeds_of(heading):
    """Returns by row of a table whose columns are seeds."""
    header, *rows = table_of("results.md", heading)
    seeds = [i for i, name in enumerate(header) if name.startswith("seed ")]
    found = {}
    for row in rows:
        (name,) = [cell for cell in row[: seeds[0]] if "`" in cell]
        found[name.replace("`", "")] = [float(row[i].split("±")[0]) for i in seeds if row[i]]
    return found


def stored(name):
    return json.loads((ROOT / "results" / "seeds" / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("heading", SECTIONS)
def test_returns_agree_with_the_page(heading):
    returns = stored("returns.json")
    assert set(returns) == set(SECTIONS)
    assert returns[heading] == seeds_of(heading)
    assert len(returns[heading]) == SECTIONS[heading]
    assert all(3 <= len(row) <= 5 for row in returns[heading].values())


def test_errors_agree_with_the_page():
    errors = stored("errors.json")
    (_, *models), *rows = table_of("world_model_error.md", "What came out")
    rows = {name: cells for name, *cells in rows}
    for i, model in enumerate(models):
        entry = errors["models"][model]
        for h, interval in zip(errors["steps_ahead"], entry["error"], strict=True):
            assert interval == [float(number) for number in re.findall(r"[\d.]+", rows[f"{h} ahead"][i])]
        assert entry["seconds_per_1000"] == float(rows["seconds"][i])
        assert entry["training_minutes"] == float(rows["minutes"][i])
    assert set(errors["models"]) == set(models)


TASKS = {"Hopper-v5": "hopper", "Walker2d-v5": "walker2d", "HalfCheetah-v5": "half-cheetah"}


def test_errors_after_the_same_minutes_agree_with_the_page():
    (_, *columns), *rows = table_of("world_model_error.md", "The same minutes for each model, on three tasks")
    cells = {name: dict(zip(columns, values, strict=True)) for name, *values in rows}
    for env_id, name in TASKS.items():
        path = ROOT / "results" / "world_models" / f"{name}.json"
        report = json.loads(path.read_text(encoding="utf-8"))
        assert report["env_id"] == env_id
        assert set(report["models"]) == set(cells)
        for model, measured in report["models"].items():
            row = cells[model]
            for ahead in (10, 50):
                i = measured["steps_ahead"].index(ahead)
                enough = measured["trajectories"][i] >= measured["trajectories"][0] / 25
                value = measured["observation"][i]["value"]
                assert row[f"{env_id}, {ahead}"].strip("*") == (f"{value:.2g}" if enough else "–"), (model, env_id)
            if env_id == "Hopper-v5":
                assert row["seconds"] == f"{measured['seconds_per_1000']:.2g}", model
