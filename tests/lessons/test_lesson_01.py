"""Lesson 1: the mistakes students make are named, and what it says about numbers elsewhere is what stands there."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from polygrad_edu.checks import verdict

ROOT = Path(__file__).parents[2]


def from_the_first(step, act, first, steps):
    return [first] + [step(first, act(first)) for _ in range(steps)]


def with_one_action(step, act, first, steps):
    states, action = [first], act(first)
    for _ in range(steps):
        states.append(step(states[-1], action))
    return states


def without_the_first(step, act, first, steps):
    states = []
    for _ in range(steps):
        first = step(first, act(first))
        states.append(first)
    return states


def one_too_many(step, act, first, steps):
    return [first, *without_the_first(step, act, first, steps + 1)][: steps + 1]


def never_asked(step, act, first, steps):
    return [first] * (steps + 1)


def last_only(step, act, first, steps):
    return without_the_first(step, act, first, steps)[-1:]


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("01/discounted_return", lambda r, g: ..., "discounted_return is empty so far"),
        ("01/discounted_return", lambda r, g: sum(r), "is worth 2 now"),
        ("01/discounted_return", lambda r, g: sum(r) / len(r), "every reward counts in full"),
        ("01/discounted_return", lambda r, g: sum(g ** (t + 1) * x for t, x in enumerate(r)), "paid at once"),
        ("01/discounted_return", lambda r, g: sum(x * (g if t else 1) for t, x in enumerate(r)), "is worth 2 now"),
        ("01/discounted_return", lambda r, g: sum(g ** min(t, 2) * x for t, x in enumerate(r)), "together that is 4"),
        ("01/discounted_return", lambda r, g: np.cumsum(r), "one number"),
        ("01/roll_out", lambda step, act, first, steps: None, "roll_out is empty so far"),
        ("01/roll_out", from_the_first, "made from the first state"),
        ("01/roll_out", with_one_action, "Ask the policy anew"),
        ("01/roll_out", without_the_first, "make 4 states; yours are 3"),
        ("01/roll_out", last_only, "make 4 states; yours are 1"),
        ("01/roll_out", one_too_many, "asked 3 times, not 4"),
        ("01/roll_out", never_asked, "asked 3 times, not 0"),
        ("01/growth", lambda F: ..., "growth is empty so far"),
        ("01/growth", lambda F: np.linalg.eigvals(F), "one number"),
        ("01/growth", lambda F: np.linalg.eigvals(F).max(), "changes sides"),
        ("01/growth", lambda F: np.abs(np.linalg.eigvals(F).real).max(), "is turned at each step"),
        ("01/growth", lambda F: np.linalg.norm(F, 2), "in the long run it halves"),
        ("01/growth", lambda F: np.abs(np.linalg.det(F)), "1.2 wins in the end"),
        ("01/growth", lambda F: np.abs(np.linalg.eigvals(F)).max() + 0j, "no complex number"),
    ],
)
def test_wrong_answers_are_told_which_property_broke(exercise, wrong, words):
    told = verdict(exercise, wrong)
    assert told.startswith("Not yet: ")
    assert words in told


def test_right_answers_in_other_words_pass():
    def backwards(rewards, gamma):
        later = 0.0
        for reward in reversed(rewards):
            later = reward + gamma * later
        return later

    def recursive(step, act, first, steps):
        return [first] if steps == 0 else [first, *recursive(step, act, step(first, act(first)), steps - 1)]

    def long_run(F):
        logarithm, power = 0.0, np.array(F)
        for doubling in range(40):  # ||F^k||^{1/k} for k = 2^40, by squaring
            size = np.linalg.norm(power)
            power, logarithm = (power / size) @ (power / size), logarithm + np.log(size) / 2**doubling
        return np.exp(logarithm)

    assert verdict("01/discounted_return", backwards) == "Right."
    assert verdict("01/roll_out", recursive) == "Right."
    assert verdict("01/growth", long_run) == "Right."


def test_the_comparison_quoted_is_the_one_in_the_book():
    book = (ROOT / "book" / "measured" / "world_model_error.md").read_text(encoding="utf-8")
    table = [[cell.strip() for cell in line.strip("| ").split("|")] for line in book.splitlines() if line[:1] == "|"]
    models = next(row for row in table if "polygrad-causal" in row)
    rows = {row[0]: row[1:] for row in table if len(row) == len(models) + 1}
    measured = {
        model: [float(rows[name][k].split()[0]) for name in ("1 ahead", "10 ahead", "50 ahead", "seconds")]
        for k, model in enumerate(models)
    }
    (notebook,) = (ROOT / "notebooks").glob("01_*.ipynb")
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    lesson = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for words, model in {
        "the paper's MLP": "polygrad",
        "the paper's transformer": "polygrad-transformer",
        "our causal MLP": "polygrad-causal",
        "ensemble of MLPs": "mlp-ensemble",
        "one step at a time: transformer": "transformer",
        "a diffusion model for each step": "autoregressive-diffusion",
    }.items():
        (quoted,) = re.findall(rf"^\|[^|]*{words}[^|]*\|(.*)\|$", lesson, re.M)
        assert [float(number) for number in quoted.split("|")] == measured[model], words
