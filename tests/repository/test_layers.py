"""The house: concepts on top, wings beside them, and imports that run one way."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "polygrad_edu"
TESTS = Path(__file__).parents[1]
CONCEPTS = sorted(path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__"))
# Each wing may import the concepts and the wings that stand before it.
WINGS = [
    "files",
    "tasks",
    "variants",
    "baselines",
    "drawing",
    "runs",
    "interop",
    "measuring",
    "studies",
    "course",
    "checks",
    "grading",
    "widgets",
    "cli",
]
# The wings that concepts may import: ablations and rivals only where they are chosen.
BELOW_CONCEPTS = {"files": CONCEPTS, "tasks": CONCEPTS, "variants": CONCEPTS, "baselines": ["imagination_loop"]}
TABLES = ("settings", "presets")  # lists of settings, not stories to be read in one sitting
MAX_CODE_LINES = 200
MAX_PARAMETERS = 6


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def module_of(path):
    """``runs.training`` for runs/training.py, ``runs`` for runs/__init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__main__.py"}


def only_for_types(tree):
    """Imports under ``if TYPE_CHECKING``, which nothing runs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from ast.walk(node)


def imports(path):
    """Modules of the package that a file imports anywhere in it, also inside a function."""
    tree = parsed(path)
    skipped = set(only_for_types(tree))
    package = module_of(path).split(".") if path.name == "__init__.py" else module_of(path).split(".")[:-1]
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node in skipped:
            continue
        if node.level:
            start = package[: len(package) - node.level + 1]
        elif (node.module or "").split(".")[0] == "polygrad_edu":
            start = []
        else:
            continue
        named = (node.module or "").split(".") if node.level else (node.module or "").split(".")[1:]
        base = ".".join([*start, *filter(None, named)])
        for alias in node.names:
            inner = ".".join(filter(None, [base, alias.name]))
            if inner in MODULES:
                yield inner
            elif base in MODULES and base:
                yield base


GRAPH = {name: sorted(set(imports(path)) - {name}) for name, path in MODULES.items()}


def hands_names_on(path):
    """True for the face of a wing: an ``__init__`` that defines nothing and only passes names on."""
    return path.name == "__init__.py" and not behaves(path)


def wing_of(module):
    return module.split(".")[0] if module.split(".")[0] in WINGS else "concepts"


def test_the_top_level_is_the_table_of_contents():
    assert len(list(PACKAGE.glob("*.py"))) <= 22
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert folders == set(WINGS)
    deeper = [path for path in PACKAGE.rglob("*.py") if len(path.relative_to(PACKAGE).parts) > 2]
    assert deeper == []  # two levels


@pytest.mark.parametrize("concept", CONCEPTS)
def test_a_concept_imports_concepts_and_the_little_that_stands_below_them(concept):
    for module in GRAPH[concept]:
        wing = wing_of(module)
        assert wing == "concepts" or concept in BELOW_CONCEPTS.get(wing, []), f"{concept} imports {module}"


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_imports_only_concepts_and_wings_below_it(wing):
    allowed = {"concepts", *WINGS[: WINGS.index(wing) + 1]}
    wrong = {
        f"{name} imports {module}"
        for name, used in GRAPH.items()
        if wing_of(name) == wing and not hands_names_on(MODULES[name])
        for module in used
        if wing_of(module) not in allowed
    }
    assert wrong == set()


def circle(graph):
    """A list of modules that import each other in a circle, or an empty one."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        path.append(name)
        found = next((found for used in graph[name] if (found := visit(used))), [])
        path.pop()
        done.add(name)
        return found

    return next((found for name in graph if (found := visit(name))), [])


def test_no_modules_import_each_other_in_a_circle():
    assert circle(GRAPH) == []
    assert circle({"a": ["b"], "b": ["c"], "c": ["a"]}) == ["a", "b", "c", "a"]  # the search itself works


def code_lines(path):
    """Lines of a file that are neither empty, nor a comment, nor part of a docstring."""
    tree = parsed(path)
    words = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            words |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    return sum(1 for number, line in lines if number not in words and line.strip() and line.strip()[0] != "#")


@pytest.mark.parametrize("concept", [name for name in CONCEPTS if name not in TABLES])
def test_a_concept_can_be_read_in_one_sitting(concept):
    assert code_lines(MODULES[concept]) <= MAX_CODE_LINES


@pytest.mark.parametrize("concept", CONCEPTS)
def test_a_function_of_a_concept_takes_few_arguments(concept):
    for node in ast.walk(parsed(MODULES[concept])):
        if isinstance(node, ast.FunctionDef):
            names = [a.arg for a in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
            asked = [name for name in names if name not in ("self", "cls")]
            if node.name != "setting":  # describes a field: each argument is one property of it, given by name
                assert len(asked) <= MAX_PARAMETERS, f"{concept}.{node.name} takes {', '.join(asked)}"


def behaves(path):
    """True if a module defines functions or classes with methods, and so can be tested by itself."""
    return any(isinstance(node, ast.FunctionDef) for node in ast.walk(parsed(path)))


# Modules tested under another name: checks by their lessons and by right and wrong answers to each exercise.
TESTED_ELSEWHERE = {"checks": "lessons and grading/test_mutations.py"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_module_that_does_something_has_a_test_file_of_its_name(name):
    path = MODULES[name]
    if path.name == "__init__.py" or not behaves(path) or wing_of(name) in TESTED_ELSEWHERE or name in TESTED_ELSEWHERE:
        return
    folder = "concepts" if wing_of(name) == "concepts" else wing_of(name)
    assert list((TESTS / folder).glob(f"test_{path.stem}*.py")), f"tests/{folder}/test_{path.stem}.py is missing"


def test_packing_is_the_exception():
    skipped = sum(path.read_text(encoding="utf-8").count("fmt: skip") for path in MODULES.values())
    assert skipped <= 10


def test_a_docstring_starts_with_a_noun_or_a_verb():
    wrong = []
    for name, path in MODULES.items():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                first = (ast.get_docstring(node) or "").split(" ")[0].rstrip(",.:")
                if first in ("What", "How", "Whether", "Which", "Whoever", "Who", "Where", "That"):
                    wrong.append(f"{name}.{getattr(node, 'name', '')}: {first}")
    assert wrong == []
