"""Answers that are built alike: found whatever their names and comments are, and no others."""

import csv
import json

from polygrad_edu.grading.similarity import PUBLISHED, pieces, similar_pairs, write_similar

LOOP = """
def f(values, gamma):
    total, out = values[-1], []
    for t in reversed(range(len(values) - 1)):
        total = values[t] + gamma * total if t > 3 else values[t]
        out.append(total * 2)
    return out[::-1], sum(out) / max(len(out), 1)
"""
RENAMED = LOOP.replace("total", "g").replace("values", "rewards").replace("    return", "    # mine\n    return")
OTHER = """
def f(values, gamma):
    powers = gamma ** torch.arange(len(values))
    weights = torch.where(powers > 0.5, powers, torch.zeros(()))
    whole = (values * weights).flip(0).cumsum(0).flip(0)
    return (whole / powers).clamp(min=0).tolist(), float(whole.mean())
"""


def write(path, source):
    marks = {"grade_id": "f", "solution": True, "grade": False}
    path.parent.mkdir(parents=True)
    cell = {"cell_type": "code", "source": [source], "metadata": {"nbgrader": marks}}
    path.write_text(json.dumps({"cells": [cell]}))


def test_the_same_answer_under_other_names_is_found_and_another_is_not(tmp_path):
    for student, source in (("ann", LOOP), ("bob", RENAMED), ("cleo", OTHER), ("dan", "def f(:"), ("eve", "f = 1")):
        write(tmp_path / "graded" / student / "a9" / "a9.ipynb", source)
    write(tmp_path / "source" / "a9" / "a9.ipynb", OTHER.replace("powers", "p"))
    pairs = similar_pairs(tmp_path)
    assert {(pair.first, pair.second, pair.share) for pair in pairs} == {("ann", "bob", 1.0), ("cleo", PUBLISHED, 1.0)}
    write_similar(pairs, tmp_path / "similar.csv")
    with (tmp_path / "similar.csv").open(newline="") as file:
        assert {row["share"] for row in csv.DictReader(file)} == {"1.00"}


def test_what_is_no_python_has_no_pieces():
    assert pieces("def f(:") == pieces("x\0") == pieces("-" * 20_000 + "1") == frozenset()
