"""The package's lines in a lesson: the ones that are installed, folded, and found by the name a lesson uses."""

import inspect
import json
import re
from pathlib import Path

import pytest

from polygrad_edu.course.source_view import source
from polygrad_edu.files.input_error import InputError
from polygrad_edu.noise_schedule import NoiseSchedule
from polygrad_edu.score_guidance import guide_actions

LESSONS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]*.ipynb"))


def test_a_function_is_shown_with_its_file_and_lines():
    shown = source("score_guidance.guide_actions")
    assert shown.code == inspect.getsource(guide_actions)
    first = int(re.fullmatch(r"score_guidance\.py, lines (\d+) to \d+", shown.place)[1])
    lines = Path(inspect.getsourcefile(guide_actions)).read_text(encoding="utf-8").splitlines(keepends=True)
    assert "".join(lines[first - 1 :]).startswith(shown.code)
    assert repr(shown).startswith("# score_guidance.py, lines")


def test_a_method_of_a_class_and_a_class_of_a_wing_are_found():
    assert source("noise_schedule.NoiseSchedule.add_noise").code == inspect.getsource(NoiseSchedule.add_noise)
    assert "class " in source("files.input_error.InputError").code


def test_a_decorated_method_is_shown_with_its_own_file():
    shown = source("policy_update.ActorCriticOptimiser._step_actor")
    assert shown.place.startswith("policy_update.py, lines ")
    assert "def _step_actor" in shown.code


def test_it_is_folded_and_nothing_in_it_is_taken_for_html():
    html = source("noise_schedule.NoiseSchedule")._repr_html_()
    assert html.startswith('<details class="package-source" data-name="noise_schedule.NoiseSchedule">')
    assert "<summary><code>noise_schedule.NoiseSchedule</code> in noise_schedule.py, lines" in html
    assert "-&gt;" in html


@pytest.mark.parametrize("name", ["score_guidance.guide", "nothing", "", "noise_schedule.torch.pi", "../secrets"])
def test_what_the_package_does_not_have_is_told_in_a_line(name):
    with pytest.raises(InputError, match="the package has no function or class"):
        source(name)


def test_every_name_in_a_lesson_is_found():
    names = [
        name
        for path in LESSONS
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        for name in re.findall(r'\bsource\("([^"]+)"\)', "".join(cell["source"]))
        if cell["cell_type"] == "code"
    ]
    assert len(names) >= 5
    for name in names:
        assert source(name).code
