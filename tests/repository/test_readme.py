"""The README tells the truth: lessons with their minutes, concepts with their lessons, badges, and the picture."""

import json
import re
import sys
from pathlib import Path

from PIL import Image

import polygrad_edu
from tests.support.book_scripts import load_book_script

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LESSONS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
CONCEPTS = sorted(path for path in (ROOT / "polygrad_edu").glob("*.py") if not path.stem.startswith("__"))
PICTURE = ROOT / "book" / "images" / "denoising_hopper.gif"


def rows_below(heading):
    """Cells of each row of the first table below a heading."""
    lines = README.split(f"\n## {heading}\n")[1].split("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return rows[2:]


def first_cell(path):
    return "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])


def test_every_lesson_is_listed_with_its_minutes():
    listed = {}
    for number, link, _, minutes in rows_below("The lessons"):
        listed[re.search(r"\((.+)\)", link)[1]] = (number, minutes)
    stated = {}
    for path in LESSONS:
        minutes = re.search(r"\*\*Takes\*\*\s+about\s+(\d+)\s+minutes", first_cell(path))[1]
        stated[path.relative_to(ROOT).as_posix()] = (path.name.partition("_")[0].removeprefix("0") or "0", minutes)
    assert list(listed.items()) == list(stated.items())


def test_no_lesson_computes_for_more_than_two_minutes():
    for path in LESSONS:
        computing = re.search(
            r"(half a minute|one minute|two minutes|\d+\s+seconds)\s+of\s+it\s+computing", first_cell(path)
        )
        assert computing, path.name
        seconds = re.match(r"\d+", computing[1])
        assert seconds is None or int(seconds[0]) <= 60, path.name


def lesson_of(path):
    return int(re.search(r"Built in lesson (\d+)", path.read_text(encoding="utf-8"))[1])


def listed_concepts():
    """(file, lesson) in the README's order."""
    rows = rows_below("The code is the textbook")
    return [(re.search(r"\((.+)\)", link)[1], int(number)) for number, link, _ in rows]


def test_every_concept_is_listed_in_lesson_order():
    assert dict(listed_concepts()) == {path.relative_to(ROOT).as_posix(): lesson_of(path) for path in CONCEPTS}
    lessons = [number for _, number in listed_concepts()]
    assert lessons == sorted(lessons)


def test_the_package_lists_the_same_concepts():
    listed = re.findall(r"- :mod:`~polygrad_edu\.(\w+)` \((\d+)\)", polygrad_edu.__doc__)
    assert [(f"polygrad_edu/{name}.py", int(number)) for name, number in listed] == listed_concepts()
    wings = {path.parent.name for path in (ROOT / "polygrad_edu").glob("*/__init__.py")}
    assert wings <= set(re.findall(r"``(\w+)``", polygrad_edu.__doc__))


def test_the_badges_are_true():
    text = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "book" / "images").glob("badge_*.svg")}
    pythons = [re.findall(r"Python :: (3\.\d+)$", line) for line in PROJECT["classifiers"]]
    versions = [found[0] for found in pythons if found]
    assert f"Python: {versions[0]} to {versions[-1]}" in text["badge_python"]
    assert f"licence: {PROJECT['license']}" in text["badge_licence"]
    assert PROJECT["urls"]["Paper"].removeprefix("https://arxiv.org/abs/") in text["badge_paper"]
    assert set(re.findall(r"images/(badge_\w+)\.svg", README)) == set(text)
    assert "](http" not in README.replace("](https://arxiv.org/abs/2312.08533)", "")  # nothing is loaded from elsewhere


def test_the_picture_moves_and_is_small():
    assert PICTURE.relative_to(ROOT).as_posix() in README
    assert PICTURE.stat().st_size < 2_000_000
    with Image.open(PICTURE) as picture:
        assert picture.n_frames > 20


def test_the_picture_can_be_made_again(tmp_path):
    load_book_script("moving_picture").main(tmp_path / "again.gif")
    with Image.open(tmp_path / "again.gif") as again, Image.open(PICTURE) as stored:
        assert again.size == stored.size
        assert again.n_frames == stored.n_frames
