"""A student's own check: the grader's rules, and the tests that students see."""

import json
import re
import sys

import pytest

from polygrad_edu.cli.main import main
from polygrad_edu.files.input_error import InputError
from polygrad_edu.grading.instructor import without_hidden_tests
from polygrad_edu.grading.own_check import check_own
from tests.support.assignments import SOURCES
from tests.support.synthetic_submissions import A1


def test_a_notebook_is_run_as_it_will_be_graded(tmp_path, monkeypatch, capsys):
    path = tmp_path / "mine.ipynb"
    notebook = without_hidden_tests(SOURCES[A1].read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["metadata"]["nbgrader"]["grade_id"] == "betas":
            cell["source"] = ["from polygrad_edu.noise_schedule import NoiseSchedule"]
        if cell["metadata"]["nbgrader"]["grade_id"] == "respaced":
            cell["source"] = ["def respaced(betas, visited):\n", "    return visited / (len(betas) + 1)"]
    path.write_text(json.dumps(notebook), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["polygrad-edu", "course", "check", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "signal 3 of 3 Right." in told
    assert re.search("betas 0 of 3 Your cell stopped with ImportError: .* asks you to write", told)
    assert "not seen" not in told
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "words"), [(None, "is not a file"), ("{", "cannot be read"), ('{"cells": []}', "none of")]
)
def test_another_file_is_refused_in_a_sentence(tmp_path, content, words):
    path = tmp_path / "x.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=words):
        check_own(path)
