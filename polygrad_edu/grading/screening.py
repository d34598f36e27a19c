"""Which answer cells are run at all: those that keep to the imports allowed and do not reach around the tests.

The cell is only read here. It is no wall (Python has none within a process; the walls are in ``sandbox.py``): it
keeps the honest to the rules of the assignment, with a sentence that says which, and makes the rest show what they
are up to.
"""

from __future__ import annotations

import ast

# names and attributes that lead out of a cell's own function to the tests, the interpreter or the machine
AROUND = frozenset(
    """
    sys os gc inspect builtins importlib subprocess socket ctypes threading multiprocessing serialization shutil
    eval exec compile globals locals vars getattr setattr delattr open breakpoint get_ipython exit quit load loads
    f_back f_globals f_locals f_builtins f_code tb_frame tb_next gi_frame cr_frame ag_frame gi_code func_globals
    """.split()  # noqa: SIM905
)
ALLOWED_DUNDER = frozenset(f"__{name}__" for name in ("init", "call", "len", "getitem", "iter", "next", "repr", "name"))


def without_magics(source: str) -> str:
    """A cell without its lines for the notebook, ``%matplotlib inline`` or ``!pip``, which mean nothing here."""
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.split("\n"))


def objection(source: str, may_import: tuple[str, ...], may_not_use: tuple[str, ...]) -> str | None:
    """Why an answer cell is not run, in a sentence for the student; ``None`` if there is nothing against it."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        return f"it is not Python: {error.msg} in line {error.lineno}"
    except (ValueError, RecursionError, MemoryError):
        return "it holds zero bytes, or expressions nested too deeply to be read"
    modules = {name for node in ast.walk(tree) for name, _ in _imports(node)} | {"torch", "math", "np", "nn", "F"}
    for node in ast.walk(tree):
        for _, module in _imports(node):
            if not any(module == name or module.startswith(f"{name}.") for name in may_import):
                return f"it imports {module}; this assignment allows {', '.join(may_import)}"
        for name in _names(node):
            if name in may_not_use:
                return f"it uses {name}, which is what this assignment asks you to write"
            if name in AROUND or (name.startswith("__") and name.endswith("__") and name not in ALLOWED_DUNDER):
                return f"it uses {name}, which these assignments do not allow because it can reach around the tests"
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            root: ast.expr = node
            while isinstance(root, ast.Attribute | ast.Subscript):
                root = root.value
            if isinstance(root, ast.Name) and root.id in modules:
                return f"it changes {ast.unparse(node)}, which is not yours to change"
        if isinstance(node, ast.ClassDef) and any("Tensor" in ast.unparse(base) for base in node.bases):
            return f"the class {node.name} is a tensor of its own kind, which these assignments do not allow"
    return None


def _imports(node: ast.AST) -> list[tuple[str, str]]:
    """(the name it gets, the dotted module) of what a statement imports."""
    if isinstance(node, ast.Import):
        return [(alias.asname or alias.name.split(".")[0], alias.name) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        start = "." * node.level + (node.module or "")
        return [(alias.asname or alias.name, start if alias.name == "*" else f"{start}.{alias.name}")
                for alias in node.names]  # fmt: skip
    return []


def _names(node: ast.AST) -> list[str]:
    """The names that a piece of syntax reads, writes or defines."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.MatchClass):
        return node.kwd_attrs
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [part for alias in node.names for part in (*alias.name.split("."), alias.asname or "")]
    return []
