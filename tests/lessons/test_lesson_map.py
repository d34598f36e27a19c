"""The map in lesson 0: every file has its lesson, the lesson names it, and no lesson copies what is built already."""

import ast
import copy
import functools
import re
from pathlib import Path

import pytest

from tests.lessons.test_lessons import LESSONS, NOTEBOOKS, cells

PACKAGE = Path(__file__).parents[2] / "polygrad_edu"
START = NOTEBOOKS / "00_start_here.ipynb"
LINK = re.compile(r"\(\.\./polygrad_edu/([\w/]+\.py)\)")
SIZE = 25  # nodes of a syntax tree; smaller functions are alike by chance


def concept_files():
    """Files that a reader of the course should come by; how commands and lessons work inside is none of it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not re.search(r"(^|/)__\w+__\.py$|^cli\w*\.py$|^(course|widgets)/", name):
            yield name


@functools.cache
def lesson_map():
    """File to number of lesson, by the table in lesson 0."""
    (table,) = [source for kind, source, _, _ in cells(START) if kind == "markdown" and "## Where things are" in source]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|") and LINK.search(line)]
    return {file: int(row[-1]) for row in rows for file in LINK.findall(row[1])}


def test_no_file_is_without_its_lesson():
    mapped = lesson_map()
    assert set(mapped) == set(concept_files())
    assert all(0 <= number <= 12 for number in mapped.values())


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_a_lesson_names_the_files_it_builds(path):
    written = [source for kind, source, _, _ in cells(path) if kind == "markdown"]
    named = set(LINK.findall(written[0] + written[-1]))
    own = {file for file, number in lesson_map().items() if number == int(path.name[:2])}
    assert own <= named
    assert named <= {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}


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
        dump: name for name in concept_files() for _, dump in functions((PACKAGE / name).read_text(encoding="utf-8"))
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
            if file and (built_in[file] < number or file in imported):
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
