"""The repository as a whole: packaging, README, style, stored notebooks."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import polygrad_edu

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PACKAGE = sorted((ROOT / "polygrad_edu").rglob("*.py"))
LESSONS = sorted((ROOT / "notebooks").rglob("*.ipynb"))


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_conda_environment_holds_the_same_ranges_as_the_package():
    project = tomllib.loads(text("pyproject.toml"))["project"]
    environment = yaml.safe_load(text("environment.yml"))
    (by_pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    extras = project["optional-dependencies"]
    named = [wish for name, wishes in extras.items() if name != "dev" for wish in wishes]
    wanted = project["dependencies"] + [name for name in named if not name.startswith("polygrad-edu[")]
    assert sorted(by_pip) == sorted([*wanted, "--editable ."])
    assert f"python {project['requires-python']}" in environment["dependencies"]


def test_quickstart_is_two_lines_that_work_by_themselves():
    quickstart = text("README.md").split("## Quickstart")[1].split("\n## ")[0]
    blocks = [block.strip() for block in re.findall(r"```bash\n(.*?)```", quickstart, re.S)]
    assert len(blocks) == 2
    assert all("\n" not in block for block in blocks)
    assert blocks[0].endswith("polygrad-edu train")
    assert blocks[1].endswith("pytest")


PAGES = ["README.md", "CONTRIBUTING.md", *(f"book/{path.name}" for path in (ROOT / "book").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", text(page)):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target


def test_versions_agree():
    assert yaml.safe_load(text("CITATION.cff"))["version"] == polygrad_edu.__version__


def test_nothing_is_unpickled_and_code_of_others_is_run_in_the_sandbox_alone():
    for path in PACKAGE:
        source = path.read_text(encoding="utf-8")
        if path.name == "student.py":  # the process that the sandbox is around
            assert source.count("exec(") == 1
            source = source.replace("exec(", "")
        assert not re.search(r"\bpickle\b|torch\.load|allow_pickle|\beval\(|\bexec\(", source.replace(".eval(", "")), (
            path
        )


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]])
def test_style(arguments):
    done = subprocess.run([sys.executable, "-m", "ruff", *arguments, "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_stored_lessons_were_run_from_top_to_bottom(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = json.dumps([cell["outputs"] for cell in code])
    assert '"output_type": "error"' not in outputs
    assert not re.search(r"/(home|root|Users|tmp|work)/", outputs)
    assert path.stat().st_size < 1_000_000
