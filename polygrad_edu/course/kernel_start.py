"""Start of a kernel that ``polygrad-edu lab`` opens: a name that is not there yet is explained.

Every kernel runs this file by its path (the variable PYTHONSTARTUP) before its first cell, without the package.
"""

from __future__ import annotations

import builtins
import sys
from typing import Any

FIRST_CELL = "The kernel is new and knows nothing yet: run the lesson's first cell, then this one again."


def explain(shell: Any, kind: type[BaseException], error: BaseException, trace: Any, tb_offset: int | None = None):
    """Show a NameError as ever, and in a kernel that has not imported the package what to do about it."""
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
    if "polygrad_edu" not in sys.modules:
        print(FIRST_CELL)


# in a notebook's kernel, and not in a Python that was started beside it
if shell := getattr(builtins, "get_ipython", lambda: None)():
    shell.set_custom_exc((NameError,), explain)
