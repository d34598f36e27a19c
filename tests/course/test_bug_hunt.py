"""Assignment 6: each check sees its own fault and none of the others, and the mended program is right."""

import json
from pathlib import Path

import pytest
import torch

from polygrad_edu.checks import verdict
from polygrad_edu.course.bug_hunt import HORIZON, SmallPolyGRAD

SOURCE = Path(__file__).parents[2] / "notebooks/assignments/a6_bug_hunt/a6_bug_hunt.ipynb"
REPORTS = ("ReportOne", "ReportTwo", "ReportThree", "ReportFour", "ReportFive")


@pytest.fixture(scope="module")
def solutions():
    """The notebook's own mends: report -> class."""
    names = {"torch": torch, "SmallPolyGRAD": SmallPolyGRAD}
    names["N_STEPS"] = len(SmallPolyGRAD(0).alpha_bar) - 1
    for cell in json.loads(SOURCE.read_text(encoding="utf-8"))["cells"]:
        if cell["metadata"]["nbgrader"]["grade_id"] in REPORTS:
            exec("".join(cell["source"]), names)
    return {name: names[name] for name in REPORTS}


def passed(program, seed):
    return {name for name in REPORTS if verdict(f"a6/{name}", program, seed=seed) == "Right."}


@pytest.mark.parametrize("seed", [0, 17])
def test_a_check_fails_for_its_fault_alone_and_passes_when_it_alone_is_mended(solutions, seed):
    assert passed(SmallPolyGRAD, seed) == set()
    for name in REPORTS:
        assert passed(solutions[name], seed) == {name}
        others = tuple(solutions[other] for other in REPORTS if other != name)
        assert passed(type("AllButOne", others, {}), seed) == {*REPORTS} - {name}


def test_the_mended_program_imagines_what_is_true(solutions):
    errors, ended = {}, {}
    for program in (SmallPolyGRAD, type("Mended", tuple(solutions.values()), {})):
        model = program(0)
        rows, episodes = model.collect(2000)
        model.follow(rows)
        model.fit(model.windows(rows, episodes), updates=700)
        first = torch.linspace(-0.8, 0.8, 200)
        seen, actions = model.imagine(first, lambda position: -0.8 * position, std=0.1)
        errors[program.__name__] = (actions + 0.8 * seen[..., :1]).square().mean().sqrt().item()
        pushed, _ = model.imagine(torch.full((100,), 0.95), lambda position: 0 * position + 1, std=0.0)
        ended[program.__name__] = (pushed[..., 2] > 0.5).float().amax(dim=1).mean().item()
        assert seen.shape == (200, HORIZON, 3)
    assert errors["Mended"] < 0.15 < 0.25 < errors["SmallPolyGRAD"]  # the policy's own spread is 0.1
    assert ended["SmallPolyGRAD"] < 0.05 < 0.9 < ended["Mended"]
