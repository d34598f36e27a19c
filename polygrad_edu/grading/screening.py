"""Screening: refuse answer cells that import more than is allowed or that reach around the tests.

A cell is only read here, never run. This is not a security boundary: Python has none within a process, so the
protection is in ``sandbox.py``. Screening keeps honest students to the rules of the assignment, names the rule in a
sentence, and makes tricks visible.
"""

from __future__ import annotations

import ast

# names and attributes that lead out of a cell's own function to the tests, the interpreter or the machine
FORBIDDEN_NAMES = frozenset(
    """
    sys os gc inspect builtins importlib subprocess socket ctypes threading multiprocessing serialization shutil
    eval exec compile globals locals vars getattr setattr delattr open breakpoint get_ipython exit quit load loads
    f_back f_globals f_locals f_builtins f_code tb_frame tb_next gi_frame cr_frame ag_frame gi_code func_globals
    """.split()  # noqa: SIM905
)
ALLOWED_DUNDER = frozenset(f"__{name}__" for name in ("init", "call", "len", "getitem", "iter", "next", "repr", "name"))


def without_magics(source: str) -> str:
    """Cell source with its notebook commands (``%matplotlib inline``, ``!pip``) replaced by empty lines."""
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.split("\n"))


def objection(source: str, may_import: tuple[str, ...], may_not_use: tuple[str, ...]) -> str | None:
    """Reason not to run an answer cell, as a sentence for the student; ``None`` if it may run.

    Args:
        source: the cell, without notebook commands.
        may_import: modules that the assignment allows, with everything inside them.
        may_not_use: names that would be the solution itself.
    """
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
            dunder = name.startswith("__") and name.endswith("__")
            if name in FORBIDDEN_NAMES or (dunder and name not in ALLOWED_DUNDER):
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
    """Pairs (local name, dotted module) of an import statement; empty for other nodes."""
    if isinstance(node, ast.Import):
        return [(alias.asname or alias.name.split(".")[0], alias.name) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        start = "." * node.level + (node.module or "")
        pairs: list[tuple[str, str]] = []
        for alias in node.names:
            module = start if alias.name == "*" else f"{start}.{alias.name}"
            pairs.append((alias.asname or alias.name, module))
        return pairs
    return []


def _names(node: ast.AST) -> list[str]:
    """Names that a syntax node reads, writes or defines."""
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
