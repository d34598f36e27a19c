"""The map in lesson 0: every concept has its lesson, which names and uses it, and none copies what is built already."""

import ast
import copy
import functools
import re
from pathlib import Path

import pytest

from tests.lessons.test_lessons import LESSONS, NOTEBOOKS, cells

PACKAGE = Path(__file__).parents[2] / "polygrad_edu"
CONCEPTS = sorted(path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__"))
START = NOTEBOOKS / "00_start_here.ipynb"
ALL = [START, *LESSONS, *sorted(NOTEBOOKS.glob("assignments/*/*.ipynb"))]
LINK = re.compile(r"\[([^]]*)\]\((?:\.\./)+polygrad_edu/([\w/]+\.py)\)")
SIZE = 25  # nodes of a syntax tree; smaller functions are alike by chance


def files_named(text):
    return {file for _, file in LINK.findall(text)}


def map_text():
    (text,) = [source for kind, source, _, _ in cells(START) if kind == "markdown" and "## Where things are" in source]
    return text


@functools.cache
def lesson_map():
    """File to number of lesson, by the table in lesson 0."""
    rows = [
        line.strip("|").split("|") for line in map_text().splitlines() if line.startswith("|") and LINK.search(line)
    ]
    return {file: int(row[-1]) for row in rows for file in files_named(row[1])}


def lesson(number):
    (path,) = [path for path in LESSONS if path.name.startswith(f"{number:02}_")]
    return path


def test_the_map_holds_the_concepts_in_the_order_of_the_lessons():
    mapped = lesson_map()
    assert sorted(mapped) == CONCEPTS
    assert list(mapped.values()) == sorted(mapped.values())


def test_every_folder_has_its_sentence_beside_the_map():
    folders = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("__init__.py")} - {"."}
    described = [line for line in map_text().splitlines() if line.startswith("- ")]
    named = [LINK.search(line).groups() for line in described]
    assert sorted(label.strip("`/") for label, _ in named) == sorted(folders)
    assert all(file == label.strip("`") + "__init__.py" for label, file in named)


@pytest.mark.parametrize("concept", CONCEPTS)
def test_a_concept_is_named_and_used_by_the_lesson_that_builds_it(concept):
    number = lesson_map()[concept]
    docstring = ast.get_docstring(ast.parse((PACKAGE / concept).read_text(encoding="utf-8")))
    assert re.findall(r"Built in lesson (\d+)\.", docstring) == [str(number)]
    written = [source for kind, source, _, _ in cells(lesson(number)) if kind == "markdown"]
    assert concept in files_named(written[0] + written[-1])
    code = [source for kind, source, _, _ in cells(lesson(number)) if kind == "code"]
    assert concept in {file for source in code for file in imports(source)}


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_links_into_the_package_lead_to_the_file_they_name(path):
    for kind, source, _, _ in cells(path):
        for label, file in LINK.findall(source) if kind == "markdown" else ():
            assert (PACKAGE / file).is_file(), file
            if label.startswith("`"):
                assert label.strip("`") in (file, file.removesuffix("__init__.py")), label


class _Plain(ast.NodeTransformer):
    """The same function in nobody's words: no docstrings, no annotations, local names numbered as they come."""

    def __init__(self, local):
        self.local, self.numbers = local, {}

    def _numbered(self, name):
        return f"v{self.numbers.setdefault(name, len(self.numbers))}" if name in self.local else name

    def visit_Name(self, node):
        node.id = self._numbered(node.id)
        return node

    def visit_arg(self, node):
        node.arg, node.annotation = self._numbered(node.arg), None
        return node

    def visit_FunctionDef(self, node):
        node.name, node.returns, node.decorator_list = "f", None, []
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        return self.generic_visit(node)


def functions(source):
    """(name, normalised syntax tree) of each function and method that is more than a line or two."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            names = [part.arg for part in ast.walk(node) if isinstance(part, ast.arg)]
            names += [
                part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
            ]
            plain = _Plain(set(names)).visit(copy.deepcopy(node))
            if sum(1 for _ in ast.walk(plain)) >= SIZE:
                yield node.name, ast.dump(plain)


@functools.cache
def package_functions():
    return {
        dump: path.relative_to(PACKAGE).as_posix()
        for path in sorted(PACKAGE.rglob("*.py"))
        for _, dump in functions(path.read_text(encoding="utf-8"))
    }


def imports(source):
    """Files of the package that a cell imports from."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "polygrad_edu":
            module = "/".join(node.module.split(".")[1:])
            yield from [f"{module}.py", *(f"{module}/{alias.name}.py".lstrip("/") for alias in node.names)]


def repeated(number, sources, package, built_in):
    """(cell, function, file) of every function that a lesson's cells copy from a file built before that cell."""
    imported, found = set(), []
    for i, source in enumerate(sources):
        for name, dump in functions(source):
            file = package.get(dump)
            if file and (built_in.get(file, number) < number or file in imported):
                found.append((i, name, file))
        imported |= set(imports(source))
    return found


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_no_lesson_repeats_what_is_built_already(path):
    code = [source for kind, source, tags, _ in cells(path) if kind == "code" and "exercise" not in tags]
    assert repeated(int(path.name[:2]), code, package_functions(), lesson_map()) == []


def test_a_copy_is_found_whatever_its_names_are():
    copied = '''
def returns(pay, over, worth, discount, trade, last_step_counts=False):
    """In other words."""
    still = 1 - over
    surprise = pay[:, :-1] + discount * still[:, :-1] * worth[:, 1:] - worth[:, :-1]
    gain = torch.zeros_like(surprise[:, 0])
    gains = []
    for step in reversed(range(surprise.shape[1])):
        gain = surprise[:, step] + discount * trade * still[:, step] * gain
        gains.append(gain)
    gains = torch.stack(gains[::-1], dim=1)
    real = still[:, :-1].cumprod(dim=1)
    if last_step_counts:
        real = torch.cat([torch.ones_like(real[:, :1]), real[:, :-1]], dim=1)
    return Advantages(gains, gains + worth[:, :-1], real)
'''
    package, built_in = package_functions(), lesson_map()
    take = "from polygrad_edu.actor_critic import lambda_returns"
    assert repeated(7, [copied, take], package, built_in) == []
    assert repeated(7, [take, copied], package, built_in) == [(1, "returns", "actor_critic.py")]
    assert repeated(8, [copied], package, built_in) == [(0, "returns", "actor_critic.py")]
    assert repeated(8, [copied.replace("cumprod", "cumsum")], package, built_in) == []
