"""The instructor's how-to, followed word by word: the page's own commands, in their order, with real grading."""

import csv
import itertools
import json
import re
import shlex
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.assignments import cells
from tests.support.command_line import call_here
from tests.support.synthetic_submissions import A1

ROOT = Path(__file__).parents[2]
A6 = "a6_bug_hunt"
WRONG_BETAS = "def betas(alpha_bar):\n    return alpha_bar[1:] / alpha_bar[:-1]\n"
GRADEBOOK = f"""\
Student,ID,SIS Login ID,Section,{A1} (1234),{A6} (1235),Final Score
    Points Possible,,,,20.00,20.00,(read only)
"Lee, Ann",10002,lee,S1,,,
"Ray, Bob",10003,ray,S1,,,
"O'Neill, Cy",10004,oneill,S1,,,
"Student, Test",9,,S1,,,
"""


def commands(heading):
    """Lines of the page's command blocks below a heading, up to the next one of its level."""
    text = (ROOT / "book" / "how_to" / "grade.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], maxsplit=1, flags=re.M)[0]
    return [line for block in re.findall(r"```bash\n(.*?)```", section, re.S) for line in block.splitlines()]


def answered(course, name, **answers):
    """Text of a released notebook in which a student has written these answers."""
    notebook = json.loads((course / "release" / name / f"{name}.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = answers.get(cell["metadata"]["nbgrader"]["grade_id"], cell["source"])
    return json.dumps(notebook)


def download(course):
    """Put beside the course what Canvas lets an instructor download: Bob was late, and Cy handed in a picture."""
    solved = {name: cell["source"] for name, cell in cells(course / "source" / A1 / f"{A1}.ipynb").items()}
    with zipfile.ZipFile(course / "submissions.zip", "w") as archive:
        archive.writestr(f"leeann_10002_555002_{A1}.ipynb", answered(course, A1, **solved))
        bobs = answered(course, A1, **solved | {"betas": WRONG_BETAS})
        archive.writestr(f"raybob_LATE_10003_555003_{A1}-1.ipynb", bobs)
        archive.writestr(f"leeann_10002_565002_{A6}.ipynb", answered(course, A6, ReportFive_words="It stops before 0."))
        archive.writestr("oneillcy_10004_555004_page.png", "x")
    (course / "gradebook.csv").write_text(GRADEBOOK, encoding="utf-8")


def read_and_give(table, points):
    """Fill in the points of the one answer in words that waits for them."""
    with table.open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["question"], row["max_points"]) == ("ReportFive_words", "2")
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row | {"points": points, "comment": "And what did it do?"})


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
def test_an_afternoon_with_canvas_ends_with_its_gradebook(tmp_path, monkeypatch, capsys):
    here = tmp_path / "clone"
    here.mkdir()
    lines = [shlex.split(line, comments=True) for line in commands("An afternoon")]
    assert lines.pop(0) == ["pip", "install", ".[course]"]  # as these tests' own environment was made
    for line in lines:
        if "release" in line:
            for name in {path.name for path in (here / "source").iterdir()} - {A1, A6}:
                shutil.rmtree(here / "source" / name)  # the assignments that are not wanted
        if "grade" in line:
            download(here)
        if "--by-hand" in line:
            read_and_give(here / "report" / "to_read.csv", points="1.5")
        for is_joint, words in itertools.groupby(line, lambda word: word == "&&"):
            program, *rest = words
            if program == "cd":
                here = (here / rest[0]).resolve()
            elif not is_joint:
                assert program == "polygrad-edu"
                status, _, told = call_here(monkeypatch, capsys, *rest, cwd=here)
                assert status in (0, None), told
    assert here == tmp_path / "my-course"
    assert (here / "report" / "canvas.csv").read_text().splitlines() == [
        f"Student,ID,SIS Login ID,Section,{A1} (1234),{A6} (1235)",
        '"Lee, Ann",10002,lee,S1,20,1.5',
        '"Ray, Bob",10003,ray,S1,19,',
        '"O\'Neill, Cy",10004,oneill,S1,,',
    ]
    assert f'"Ray, Bob",19,,19,0,{A1},' in (here / "report" / "grades.csv").read_text()
    assert "oneillcy_10004_555004_page.png: it is not a notebook" in (here / "report" / "index.html").read_text()
    assert "Right but for the last step. (Before: 0. " in (here / "report" / "students" / "Ray, Bob.html").read_text()
    assert "And what did it do?" in (here / "report" / "students" / "Lee, Ann.html").read_text()
