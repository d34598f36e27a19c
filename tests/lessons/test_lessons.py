"""All lessons: their parts are there, unsolved exercises fail their checks, and the folded solutions pass them."""

import ast
import json
import re
from pathlib import Path

import pytest
import torch

from polygrad_edu.acceleration import check_device
from polygrad_edu.checks import verdict
from polygrad_edu.noise_schedule import NoiseSchedule
from polygrad_edu.settings import AccelerationSettings, ActorCriticSettings, GuidanceSettings, Preset
from polygrad_edu.trajectory_diffusion import TrajectoryDiffusion

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LESSONS = sorted(path for path in NOTEBOOKS.glob("[0-9]*.ipynb") if not path.name.startswith("00"))


def cells(path):
    return [
        (cell["cell_type"], "".join(cell["source"]), cell["metadata"].get("tags", []), cell.get("outputs", []))
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]


def is_answer(output):
    return "guess-answer" in "".join(output.get("data", {}).get("text/html", []))


def definitions(source):
    """What a cell defines without computing anything: imports, functions, classes, constants."""
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    nodes = [
        node
        for node in ast.parse(source).body
        if isinstance(node, kept) or (isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant))
    ]
    return compile(ast.Module(nodes, []), "<lesson>", "exec")


def exercises(path):
    """(name of the exercise, the check cell's code, the stub, the solution, names defined before)."""
    found, before, stub, pending = [], [], None, None
    for kind, source, tags, _ in cells(path):
        if kind == "code" and "exercise" in tags:
            stub = source
        elif kind == "code" and "check" in tags:
            pending = re.search(r'check\("([^"]+)"', source).group(1), source, stub
        elif kind == "code":
            before.append(source)
        elif pending and "A solution</summary>" in source:
            (solution,) = re.findall(r"```python\n(.*?)```", source.split("A solution</summary>")[1], re.S)
            found.append((*pending, solution, list(before)))
            pending = None
    return found


def answer(check_cell, code, before):
    """What the check is called with, once ``code`` has been run after the lesson's definitions."""
    names = {}
    for source in before:
        exec(definitions(source), names)
    exec(code, names)
    (call,) = [node for node in ast.walk(ast.parse(check_cell)) if isinstance(node, ast.Call)]
    return [eval(compile(ast.Expression(argument), "<check>", "eval"), names) for argument in call.args[1:]]


def solutions(lesson):
    """(exercise, answer) of a lesson's folded solutions."""
    (path,) = [path for path in LESSONS if path.name.startswith(f"{lesson}_")]
    return [(name, answer(check, solution, before)) for name, check, _, solution, before in exercises(path)]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_exercises_fail_as_they_are_and_pass_as_the_solution_has_them(path):
    found = exercises(path)
    assert 2 <= len(found) <= 4
    assert len(found) == sum("exercise" in tags for _, _, tags, _ in cells(path))
    for name, check, stub, solution, before in found:
        assert verdict(name, *answer(check, stub, before)).startswith("Not yet: "), name
        assert verdict(name, *answer(check, solution, before)) == "Right.", name


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_a_lesson_has_all_its_parts(path):
    all_cells = cells(path)
    first = all_cells[0][1]
    for part in ("# ", "**You will be able to**", "**Takes** about", "computing on two CPU cores", "**Needs**"):
        assert part in first, part
    text = "\n".join(source for kind, source, _, _ in all_cells if kind == "markdown")
    for part in ("## The common mistake", "## If you see this error", "## What you know now", "2312.08533"):
        assert part in text, part
    early = [output for _, _, _, outputs in all_cells[:4] for output in outputs]
    assert any("image/png" in output.get("data", {}) for output in early), "no picture within the first screen"
    code = "\n".join(source for kind, source, _, _ in all_cells if kind == "code")
    asked = re.findall(r'predict\(\s*"([^"]+)"', code)
    assert len(asked) >= 2
    assert set(asked) == set(re.findall(r'reveal\(\s*"([^"]+)"', code)), "a prediction was asked for and never compared"
    shown = "".join(
        output["data"]["text/html"][0] for *_, outputs in all_cells for output in outputs if is_answer(output)
    )
    assert re.findall(r'data-question="([^"]+)"', shown) == asked, "the book cannot hide an answer that has no mark"
    assert "assert" in code
    assert text.count("A hint</summary>") == text.count("A solution</summary>") == text.count("### Exercise ")


@pytest.mark.parametrize(
    ("lesson", "mistake", "quoted"),
    [
        ("02", lambda: NoiseSchedule.cosine(128).walk(200), "can visit 1 to 128 of 128 steps, not 200"),
        (
            "02",
            lambda: NoiseSchedule(torch.ones(3)),
            "betas must be a non-empty vector of numbers between 0 and 1",
        ),
        (
            "03",
            lambda: TrajectoryDiffusion(torch.nn.Identity(), NoiseSchedule.cosine(4), 1, prediction="v"),
            "prediction 'v' is unknown; choose one of x0, velocity",
        ),
        (
            "05",
            lambda: GuidanceSettings(rule="langevin"),
            "guidance must be gradient or ornstein-uhlenbeck or ..., not 'langevin'",
        ),
        (
            "06",
            lambda: GuidanceSettings(rule="langevin"),
            "guidance must be gradient or ornstein-uhlenbeck or fixed-noise or sample or none, not 'langevin'",
        ),
        (
            "06",
            lambda: GuidanceSettings(guide_at="x0"),
            "guide_at must be reconstruction or posterior_mean, not 'x0'",
        ),
        (
            "06",
            lambda: GuidanceSettings(rule="fixed-noise", update_states=True),
            "update_states goes with the gradient rule, whose scale it uses, not with 'fixed-noise'",
        ),
        (
            "07",
            lambda: ActorCriticSettings(initial_std=0.1, minimum_std=0.1),
            "initial_std 0.1 must be larger than minimum_std 0.1",
        ),
        (
            "08",
            lambda: Preset().with_overrides(envsteps=1),
            "there is no setting 'envsteps'; did you mean env_steps or prefill_steps or sampling_steps?",
        ),
        (
            "10",
            lambda: Preset().with_overrides(env_steps=2000),
            "prefill_steps 5000 are more than the 2000 env_steps",
        ),
        (
            "11",
            lambda: check_device(AccelerationSettings(compile="graph"), torch.device("cpu")),
            "compile graph records a GPU's work; on a cpu choose none or inductor",
        ),
    ],
)
def test_errors_are_quoted_as_they_are(lesson, mistake, quoted):
    with pytest.raises(ValueError, match=re.escape(quoted).replace(re.escape("..."), ".*")):
        mistake()
    (path,) = [path for path in LESSONS if path.name.startswith(f"{lesson}_")]
    text = "\n".join(source for kind, source, _, _ in cells(path) if kind == "markdown")
    assert quoted in " ".join(text.split())
