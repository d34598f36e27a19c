"""The wheel holds what the package, its lessons and its results need, and nothing that is not theirs."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def files_under(folder, *patterns):
    """Names of the files under a folder of the repository that match one of the patterns."""
    found = {path for pattern in patterns for path in (ROOT / folder).rglob(pattern)}
    leftovers = {"__pycache__", ".ipynb_checkpoints"}
    return {path.relative_to(ROOT).as_posix() for path in found if leftovers.isdisjoint(path.parts)}


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """The names in a wheel that was just built."""
    out = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--wheel-dir", str(out)]
    if importlib.util.find_spec("hatchling"):  # else pip fetches it
        options.append("--no-build-isolation")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", *options, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_package_is_whole(held):
    package = files_under("polygrad_edu", "*.py", "*.js", "*.css", "*.json", "*.xml", "py.typed")
    assert "polygrad_edu/py.typed" in package
    assert package - held == set()


def test_lessons_and_results_are_in_it(held):
    lessons = files_under("notebooks", "*.ipynb")
    results = files_under("results", "config.json", "result.json", "metrics.jsonl", "model.safetensors", "bench*.json")
    assert len(lessons) > 8
    assert len(results) > 8
    pages = files_under("book/measured", "*.md")  # to which lessons link
    assert {f"polygrad_edu/{name}" for name in lessons | results | pages} - held == set()


def test_nothing_else_is(held):
    tops = {name.split("/")[0] for name in held}
    assert tops == {"polygrad_edu", next(top for top in tops if top.endswith(".dist-info"))}
    assert not [name for name in held if name.endswith((".pyc", ".pkl", ".pt")) or "/tests/" in name]
