"""Widgets without a browser: their pure functions, what they refuse, and frozen frames that equal the live ones."""

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from polygrad_edu import guidance_theory, widgets
from polygrad_edu.noise_schedule import NoiseSchedule
from polygrad_edu.score_guidance import RULES, Guidance
from polygrad_edu.widgets import Control, GuidanceExplorer, SchedulePlayground, base
from polygrad_edu.widgets.base import HERE, LessonWidget, check_number, compact
from polygrad_edu.widgets.guidance_explorer import far_apart, guidance_frame
from polygrad_edu.widgets.guided_imagination import (
    CONVENTIONS,
    expected_curve,
    expected_std,
    guided_trajectories,
    load_playground,
    step_weights,
)
from polygrad_edu.widgets.schedule_playground import schedule_frame

SCHEDULE = {"tau": 1.0, "n_steps": 128, "sampling_steps": 16, "progress": 0.5}
GUIDANCE = {
    "task": "point-mass", "rule": "gradient", "convention": "polygrad", "strength": 0.004, "sampling_steps": 16,
    "policy_std": 0.5, "seed": 0,
}  # fmt: skip
LESSONS = sorted((Path(__file__).parents[2] / "notebooks").rglob("*.ipynb"))


def same(one, other):
    """Equal as the page sees them."""
    return json.dumps(one) == json.dumps(other)


# ---- the schedule


def test_the_playground_draws_the_schedule_of_the_package():
    frame = schedule_frame(**SCHEDULE)
    schedule = NoiseSchedule.cosine(128)
    assert frame["at"]["step"] == 64
    assert frame["at"]["signal"] ** 2 == pytest.approx(schedule.alphas_cumprod[64].item())
    assert frame["at"]["signal"] ** 2 + frame["at"]["noise"] ** 2 == pytest.approx(1)
    assert frame["visits"]["step"].tolist() == schedule.respaced(16).trained_step_numbers
    off = (frame["noised"] - frame["at"]["signal"] * frame["clean"]) / frame["at"]["noise"]
    assert off.std().item() == pytest.approx(1, abs=0.15)  # what was added is standard normal


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sampling_steps": 129}, "can visit 1 to 128 of 128 steps, not 129"),
        ({"sampling_steps": 0}, "whole number of at least 1, not 0"),
        ({"n_steps": 12.5}, "whole number from 1 to 1000, not 12.5"),
        ({"tau": -1.0}, "temperature must be a number from 0.001 to 10, not -1.0"),
        ({"tau": math.nan}, "not nan"),
        ({"progress": 1.01}, "place in the chain must be a number from 0 to 1"),
    ],
)
def test_the_playground_refuses_what_is_no_schedule(change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        schedule_frame(**(SCHEDULE | change))
    widget = SchedulePlayground(**(SCHEDULE | change))
    assert words in widget.frame["error"]
    assert widget.frame["data"] is None


# ---- guidance


@pytest.mark.parametrize("rule", RULES)
def test_the_walk_of_the_papers_convention_is_the_packages_sampler(rule):
    playground = load_playground("point-mass")
    policy, guidance, first = playground.policy_with(0.5), Guidance(rule=rule), playground.observations[:6]
    ours = guided_trajectories(playground, policy, guidance, "polygrad", first, 16, seed=3)
    theirs = playground.diffusion.imagine(
        first, policy, playground.normaliser, guidance, playground.horizon, 16, torch.Generator().manual_seed(3)
    )
    torch.testing.assert_close(ours[0], theirs.observations, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours[1], theirs.actions, rtol=0, atol=1e-5)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_weights_are_those_of_the_convention(convention):
    diffusion = load_playground("point-mass").diffusion
    weights = torch.tensor(step_weights(convention, diffusion))
    if convention == "polygrad":
        assert weights.tolist() == [0.0] + [1.0] * 127
    elif convention == "diffuser":
        torch.testing.assert_close(weights, diffusion.schedule.posterior_variance)
    else:
        assert weights[0] == 0
        assert 0 < weights[1] < weights[64] < weights[127] < 1.05


def test_expected_spread_is_the_closed_form_where_there_is_one():
    playground = load_playground("point-mass")
    schedule, units = playground.diffusion.schedule, playground.normaliser.actions.scale.double()
    for scale in (1e-3, 1e-2):
        by_unit = [guidance_theory.chain_std(scale, schedule, 0.5, unit, unit) / 0.5 for unit in units.tolist()]
        expected = expected_std(playground, "polygrad", torch.tensor([scale]), 0.5, 16, clip=False).item()
        assert expected == pytest.approx(np.sqrt(np.mean(np.square(by_unit))), rel=0.06)  # 800 numbers were drawn


def test_what_is_drawn_begins_far_apart():
    crowd, corners = np.full((20, 2), 0.1) + np.linspace(0, 0.05, 40).reshape(20, 2), [[1, 0], [0, 1], [1, 1]]
    assert sorted(far_apart(np.concatenate([crowd, corners]), 4)) == [0, 20, 21, 22]


def spread(convention, factor):
    """Std of the standardised actions at this multiple of the strength that is right where the mean is at rest."""
    *_, right = expected_curve("point-mass", convention, 0.5, 16)
    settings = GUIDANCE | {"convention": convention, "strength": factor * right}
    return np.mean([guidance_frame(**(settings | {"seed": seed}))["strength"]["std"] for seed in (0, 1)])


def test_at_the_right_strength_imagined_actions_are_as_wide_as_the_policy():
    assert spread("polygrad", 0.25) > 1.25
    assert spread("polygrad", 1) == pytest.approx(1, abs=0.08)
    assert spread("polygrad", 4) < 0.8


@pytest.mark.parametrize("convention", ["diffuser", "policy-guided"])
def test_a_pull_that_fades_must_be_twice_as_strong_where_the_mean_moves(convention):
    assert spread(convention, 1) > 1.2
    assert spread(convention, 2) == pytest.approx(1, abs=0.08)
    assert spread(convention, 4) < 0.9


@pytest.mark.parametrize("task", ["point-mass", "hopper"])
@pytest.mark.parametrize("rule", ["fixed-noise", "sample", "ornstein-uhlenbeck"])
def test_rules_without_a_strength_stay_on_policy_and_near_the_simulator(task, rule):
    frame = guidance_frame(**(GUIDANCE | {"task": task, "rule": rule}))
    assert frame["strength"]["std"] == pytest.approx(1, abs=0.12)
    assert frame["strength"]["ks"] < 0.08
    assert frame["errors"][0] < 0.3
    assert np.sum(frame["histogram"]) * 8 / len(frame["histogram"]) == pytest.approx(1)
    assert frame["expected"] is None
    imagined, real = frame["paths"]["imagined"], frame["paths"]["real"]
    np.testing.assert_allclose(imagined[:, :, 0], real[:, :, 0], atol=1e-4)  # they start together


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strength": -0.1}, "the guidance strength must be a number from 0 to 100, not -0.1"),
        ({"strength": math.nan}, "not nan"),
        ({"strength": math.inf}, "not inf"),
        ({"strength": "much"}, "not 'much'"),
        ({"sampling_steps": 129}, "the sampling steps must be a whole number from 1 to 128, not 129"),
        ({"sampling_steps": 1.5}, "whole number"),
        ({"policy_std": 0.0}, "the policy's std must be a number from 0.01 to 10, not 0.0"),
        ({"seed": -1}, "the seed"),
        ({"rule": "langevin"}, "guidance rule 'langevin' is unknown; choose one of gradient"),
        ({"convention": "ours"}, "convention 'ours' is unknown; choose one of polygrad"),
        ({"convention": "diffuser", "strength": 90.0}, "the actions run away"),
        ({"task": "moon"}, "there is no playground 'moon'; choose point-mass or hopper"),
    ],
)
def test_the_explorer_refuses_bad_input_in_one_line(change, words):
    with pytest.raises(ValueError, match=re.escape(words)) as refused:
        guidance_frame(**(GUIDANCE | change))
    assert "\n" not in str(refused.value)
    if "task" not in change:
        assert words in GuidanceExplorer(**change).frame["error"]


# ---- what all widgets share


GRIDS = [
    (SchedulePlayground, {"tau": [0.1, 1.0], "n_steps": [8, 64], "sampling_steps": [4, 16], "progress": [0.0, 0.5]}),
    (GuidanceExplorer, {"strength": [0.001, 0.01, 1.0], "rule": ["gradient", "sample"], "convention": CONVENTIONS[:2]}),
]


@pytest.mark.parametrize(("kind", "grid"), GRIDS)
def test_at_every_grid_point_the_frozen_frame_is_the_live_one(kind, grid):
    frozen, live = kind().freeze(grid), kind()
    refused = 0
    for values in itertools.product(*grid.values()):
        state = dict(zip(grid, values, strict=True))
        live.move(**state)
        assert same(frozen.frozen_frame(**state), live.frame["error"] or live.frame["data"]), state
        refused += live.frame["error"] is not None
    assert refused == (4 if kind is SchedulePlayground else 0)  # 16 of 8 steps


def test_common_parts_are_stored_once_and_a_grid_too_large_is_refused(monkeypatch):
    grid = {"tau": [0.1, 1.0], "progress": [0.0, 0.25, 0.5, 0.75, 1.0]}
    widget = SchedulePlayground().freeze(grid)
    curves = widget._frozen["keys"].index("curves")
    assert len({frame[curves] for frame in widget._frozen["frames"]}) == 2
    monkeypatch.setattr(base, "LARGEST_FROZEN", 5_000)
    with pytest.raises(ValueError, match=r"of 10 frames fill 5,000 bytes: name fewer values in the grid"):
        SchedulePlayground().freeze(grid)


def test_the_limit_counts_what_the_page_holds():
    widget = GuidanceExplorer().freeze({"strength": [0.001, 0.01, 0.1], "seed": [0, 1]})
    bare = GuidanceExplorer()
    held = len(widget.to_html()) - len(bare.to_html())
    counted = sum(len(base._json(part)) + 1 for part in widget._frozen["pool"])
    assert counted < held < counted + 2_000


def test_a_grid_names_controls_and_values():
    with pytest.raises(ValueError, match="has no control 'speed'; it has tau, n_steps, sampling_steps, progress"):
        SchedulePlayground().freeze({"speed": [1]})
    with pytest.raises(ValueError, match="names no values for tau"):
        SchedulePlayground().freeze({"tau": []})
    with pytest.raises(ValueError, match="no control 'speed'"):
        SchedulePlayground(speed=1)
    with pytest.raises(ValueError, match="no control 'speed'"):
        SchedulePlayground().move(speed=1)
    with pytest.raises(ValueError, match="nothing is frozen yet"):
        SchedulePlayground().frozen_frame(tau=1.0)


def test_the_same_widget_makes_the_same_page():
    pages = [GuidanceExplorer().freeze({"strength": [0.001, 0.01]})._repr_mimebundle_()[0] for _ in range(2)]
    assert pages[0]["text/html"] == pages[1]["text/html"]
    assert pages[0]["text/plain"] == "<GuidanceExplorer>"
    assert "application/vnd.jupyter.widget-view+json" in pages[0]
    assert pages[0]["text/html"] != GuidanceExplorer().to_html()


class Echo(LessonWidget):
    """Says what it was told, or fails in a way nobody foresaw."""

    title = "Echo"
    script = "schedule_playground.js"

    def __init__(self, words):
        self.compute = lambda words: {"text": words} if words else {}["missing"]
        super().__init__([Control("words", "Words", (words, ""), words)])


def test_no_text_can_end_the_script_early():
    page = Echo("</script><script>alert(1)</script><!--").to_html()
    assert page.count("</script>") == 1
    assert page.count("<script") == 1
    assert "<!--" not in page


def test_an_error_nobody_foresaw_is_shown_as_well():
    widget = Echo("hello")
    widget.move(words="")
    assert widget.frame["error"] == "KeyError: 'missing'"
    assert widget.state == {"words": ""}


def test_a_view_is_answered_with_its_own_number():
    widget = SchedulePlayground()
    widget._asked(widget, {"number": 7, "view": "abc", "state": {"tau": 0.1}}, [])
    assert (widget.frame["number"], widget.frame["view"]) == (7, "abc")
    assert widget.state == SCHEDULE | {"tau": 0.1}


def test_numbers_are_rounded_to_what_is_seen():
    assert compact(np.array([0.123456, 100.0])) == [0.1, 100.0]
    assert compact([0.000123456, 100.0]) == [0.0001235, 100.0]
    assert compact(torch.tensor([[1.0, math.nan], [-1e-9, 2.0]])) == [[1.0, None], [0.0, 2.0]]
    assert compact({"a": np.float32(1 / 3), "b": np.int64(3), "c": math.inf}) == {"a": 0.3333, "b": 3, "c": None}
    with pytest.raises(ValueError, match="speed must be a whole number of at least 0, not True"):
        check_number("speed", True, 0, whole=True)


def test_controls_start_at_one_of_their_values():
    with pytest.raises(ValueError, match="speed cannot start at 3"):
        Control("speed", "Speed", (1, 2), 3)
    control = Control.log("speed", "Speed", 0.01, 1.0, 5, 0.09)
    assert control.values == (0.01, 0.032, 0.1, 0.32, 1.0)
    assert control.default == 0.1


@pytest.mark.parametrize("path", sorted(HERE.glob("*.js")), ids=lambda path: path.name)
def test_scripts_can_stand_inside_a_page_and_load_nothing(path):
    source = path.read_text(encoding="utf-8")
    assert "</" not in source
    assert "<!--" not in source
    assert not re.search(r"\bimport\b|\bfetch\(|https?://(?!www\.w3\.org/2000/svg)", source)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_stored_lessons_hold_the_widgets_of_today(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    assert not [data for data in outputs if "application/vnd.jupyter.widget-view+json" in data]
    for data in outputs:
        page = "".join(data.get("text/html", ""))
        if "standIn" in page:
            (kind,) = (kind for kind in widgets.__all__ if f"<{kind}>" in "".join(data["text/plain"]))
            assert getattr(widgets, kind)._source in page, f"stale: store_lessons {path.name}"
