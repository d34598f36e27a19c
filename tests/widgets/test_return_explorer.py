"""The return explorer: what it draws is what the package computes, and its weights are those of the lambda-return."""

import itertools
import json
import math
import re

import pytest
import torch

from polygrad_edu.actor_critic import lambda_returns
from polygrad_edu.checks import verdict
from polygrad_edu.course import shipped
from polygrad_edu.widgets import ReturnExplorer
from polygrad_edu.widgets.return_explorer import TRAJECTORIES, return_frame, return_weights
from tests.lessons.test_lessons import LESSONS, cells
from tests.support.browser import needs_chromium, offline_page, page_with

PENCIL = TRAJECTORIES["pencil"]()
BY_HAND = {"rewards": PENCIL[0], "values": PENCIL[1], "lambda_": 0.5, "gamma": 0.5, "terminal": "none"}


def test_the_numbers_that_the_lesson_works_out_by_hand():
    frame = return_frame(**BY_HAND)
    assert frame["n_step"] == pytest.approx([3.5, 1.25, 2, 1.625, 1.6875])
    assert frame["weights"] == [0.5, 0.25, 0.125, 0.0625, 0.0625]
    assert frame["returns"][0] == pytest.approx(2.51953125)
    assert frame["advantages"] == pytest.approx([-0.48046875, -3.921875, 2.3125, -2.75, 1.0])
    assert "lambda-return is 2.52, where the critic said 3: an advantage of -0.4805" in frame["text"]
    assert "so the action was worse than usual. The return of 1 step counts 50%" in frame["text"]
    assert verdict("07/lambda_weights", return_weights) == "Right."


@pytest.mark.parametrize("trajectory", TRAJECTORIES)
@pytest.mark.parametrize("lambda_", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("terminal", ["none", 0, 2, "last"])
def test_weights_times_n_step_returns_add_up_to_what_the_package_returns(trajectory, lambda_, terminal):
    rewards, values = TRAJECTORIES[trajectory]()
    terminal = len(rewards) - 2 if terminal == "last" else terminal
    frame = return_frame(rewards, values, lambda_, 0.97, terminal)
    flags = torch.zeros(1, len(rewards))
    if terminal != "none":
        flags[0, terminal] = 1
    package = lambda_returns(torch.tensor([rewards]), flags, torch.tensor([values]), 0.97, lambda_)
    assert frame["returns"] == pytest.approx(package.value_targets[0].tolist())
    assert frame["advantages"] == pytest.approx(package.advantages[0].tolist())
    assert sum(frame["weights"]) == pytest.approx(1)
    added = sum(weight * value for weight, value in zip(frame["weights"], frame["n_step"], strict=True))
    assert added == pytest.approx(package.value_targets[0, 0].item(), abs=1e-4)


def test_a_terminal_cuts_off_the_critic_and_all_that_comes_later():
    frame = return_frame(**(BY_HAND | {"terminal": 2}))
    assert frame["real"] == [1, 1, 1, 0, 0]
    assert frame["weights"] == [0.5, 0.25, 0.25, 0, 0]
    assert frame["n_step"][2:] == [1.5] * 3  # 1 + 0/2 + 2/4, and no critic
    assert "ends at step 2: nothing is expected after it, and the 2 steps behind it are no experience" in frame["text"]
    other = return_frame((1, 0, 2, 9, -9, 9), (3, 5, 1, 70, 70, 70), 0.5, 0.5, 2)
    assert other["returns"][:3] == frame["returns"][:3]


def test_the_hoppers_trajectory_is_the_one_at_the_head_of_lesson_7():
    hopper = shipped("hopper-cpu")
    imagined = hopper.loop.imagine_from(hopper.observations[:16], torch.Generator().manual_seed(0))
    (lesson,) = [path for path in LESSONS if path.name.startswith("07")]
    (chosen,) = re.findall(r"^chosen = (\d+)", "\n".join(source for _, source, _, _ in cells(lesson)), re.M)
    assert imagined.rewards[int(chosen)].tolist() == pytest.approx(TRAJECTORIES["hopper"]()[0])
    assert not imagined.terminals[int(chosen)].any()
    explorer = ReturnExplorer("hopper")
    assert len(explorer.frame["data"]["values"]) == 10
    assert explorer.state == {"lambda_": 0.9, "gamma": 0.99, "terminal": "none"}
    own = ReturnExplorer(tuple(torch.tensor(row) for row in TRAJECTORIES["hopper"]()))
    assert explorer.frame == own.frame


def test_the_hopper_that_ended_shows_where():
    hopper = shipped("hopper-cpu")
    terminals = hopper.loop.imagine_from(hopper.observations[:16], torch.Generator().manual_seed(0)).terminals
    (ended,) = terminals.any(dim=1).nonzero()[:, 0].tolist()  # the only one of the sixteen
    explorer = ReturnExplorer("hopper-ended")
    shown = explorer.frame["data"]
    assert explorer.state["terminal"] == terminals[ended].argmax()
    assert shown["real"] == [1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert max(shown["values"]) < 0 < min(shown["rewards"])  # the critic sees that it is over


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lambda_": -0.1}, "lambda must be a number from 0 to 1, not -0.1"),
        ({"lambda_": math.nan}, "not nan"),
        ({"gamma": 1.01}, "gamma must be a number from 0 to 1, not 1.01"),
        ({"gamma": "half"}, "not 'half'"),
        ({"terminal": 5}, "the terminal's step must be a whole number from 0 to 4, not 5"),
        ({"terminal": 1.5}, "whole number"),
        ({"terminal": "never"}, "not 'never'"),
        ({"rewards": (1, 2)}, "two rows [H] of equal length, at least 2; they are [2] and [6]"),
        ({"rewards": (1,), "values": (1,)}, "at least 2"),
        ({"values": (3, 5, 1, 4, 2, math.inf)}, "rewards and values must be finite"),
    ],
)
def test_bad_input_is_refused_in_one_line(change, words):
    with pytest.raises(ValueError, match=re.escape(words)) as refused:
        return_frame(**(BY_HAND | change))
    assert "\n" not in str(refused.value)
    if not {"rewards", "values"} & set(change):
        assert words in ReturnExplorer(**change).frame["error"]


def test_a_trajectory_must_be_known_or_given():
    with pytest.raises(ValueError, match="there is no trajectory 'moon'; choose pencil, hopper, hopper-ended or give"):
        ReturnExplorer("moon")
    with pytest.raises(ValueError, match="two rows"):
        ReturnExplorer(([1.0, 2.0], [1.0]))


@needs_chromium
@pytest.mark.parametrize("trajectory", ["hopper", "hopper-ended"])  # the third is in the book
def test_what_the_page_draws_at_every_end_is_what_the_package_computes(browser, tmp_path, trajectory):
    explorer = ReturnExplorer(trajectory)
    page, outside, errors = offline_page(browser, viewport={"width": 390, "height": 844})
    page.goto(page_with(tmp_path, explorer))
    widget = page.locator(".pg")
    for control, keys in {
        "lambda_": ["ArrowRight"],
        "gamma": ["ArrowLeft"],
        "terminal": ["Home", *["ArrowRight"] * 20],
    }.items():
        widget.locator(f"[data-control={control}] input").focus()
        for key in keys:
            page.keyboard.press(key)
            page.wait_for_function("document.querySelector('.pg-busy:not(.on)')")
            found = widget.evaluate("root => root.frame")
            explorer.move(**found["state"])
            ours, theirs = explorer.frame["data"], found["data"]
            for name in ("rewards", "values", "returns", "advantages", "n_step", "weights"):
                assert theirs[name] == pytest.approx(ours[name], rel=1e-3, abs=2e-4), (name, found["state"])
            for name in ("terminal", "real", "text"):
                assert theirs[name] == ours[name], found["state"]
    assert found["state"]["terminal"] == "none"
    assert widget.get_attribute("data-by") == "page"
    assert (outside, errors) == ([], [])
    page.context.close()


@pytest.mark.parametrize("trajectory", TRAJECTORIES)
def test_what_was_frozen_for_a_page_that_cannot_compute_is_the_live_frame(trajectory):
    grid = {"lambda_": [0.0, 0.35, 1.0], "gamma": [0.0, 0.5, 0.99, 2.0], "terminal": [0, 2, "none"]}
    frozen, live = ReturnExplorer(trajectory, in_page=False).freeze(grid), ReturnExplorer(trajectory)
    for values in itertools.product(*grid.values()):
        state = dict(zip(grid, values, strict=True))
        live.move(**state)
        shown = live.frame["error"] or live.frame["data"]
        assert json.dumps(frozen.frozen_frame(**state)) == json.dumps(shown), state
        assert (live.frame["error"] is not None) == (state["gamma"] == 2.0)
