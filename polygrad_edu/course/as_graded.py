"""An assignment's last cell: the notebook it stands in, run as it will be graded."""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from IPython.core.getipython import get_ipython

COLUMNS = "88"  # of the table, as wide as the lessons' code


def as_it_will_be_graded(assignment: str) -> None:
    """Print what the notebook of this kernel, as it was saved, would get from the grader for the tests that it holds.

    The same as ``polygrad-edu course check NOTEBOOK``, in a process of its own: nothing of this kernel counts. Run by a
    program, nbgrader's among them, it only says how a person gets the table.

    Args:
        assignment: its name, as ``a1_noise_schedule``.
    """
    opened = _opened_notebook()
    if opened is None:
        print("Open this notebook in JupyterLab to see here how it will be graded, or run in a terminal:")
        print(f"polygrad-edu course check {assignment}.ipynb")
        return
    path = opened if opened.is_file() else opened.with_name(f"{assignment}.ipynb")  # renamed since its kernel began
    if not path.is_file():
        print(f"There is neither {opened.name} nor {path.name} in {path.parent}. If you have renamed the notebook,")
        print("restart its kernel; or run in a terminal: polygrad-edu course check NOTEBOOK")
        return
    saved = datetime.datetime.fromtimestamp(path.stat().st_mtime)
    print(f"{path.name} as it was saved at {saved:%H:%M:%S}, run from top to bottom:", flush=True)
    if others := _not_saved(path):
        print(f"NOT SAVED: what you ran last of {', '.join(others)} is not what the file holds.")
        print("Save the notebook (Ctrl+S; on a Mac Cmd+S) and run this cell again.", flush=True)
    # the kernel asks programs for colours, in signs that would stand between the table's words
    own = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "CLICOLOR_FORCE")}
    done = subprocess.run(
        [sys.executable, "-m", "polygrad_edu", "course", "check", str(path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=own | {"COLUMNS": COLUMNS, "PYTHONIOENCODING": "utf-8"},
    )
    print((done.stdout if done.returncode in (0, 1) else done.stderr).rstrip())


def _opened_notebook() -> Path | None:
    """Notebook that a person has open in this kernel, as JupyterLab or VS Code tell it; ``None`` if neither does."""
    shell: Any = get_ipython()
    names = {} if shell is None else shell.user_ns
    name = os.environ.get("JPY_SESSION_NAME") or names.get("__vsc_ipynb_file__")
    return Path(name) if name else None


def _not_saved(path: Path) -> list[str]:
    """Answers of which this kernel ran another version last than the file ``path`` holds."""
    shell: Any = get_ipython()
    ran: list[str] = [] if shell is None else shell.history_manager.input_hist_raw
    try:
        cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
        saved = {_grade_id(cell): "".join(cell["source"]).strip() for cell in cells if cell["cell_type"] == "code"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # no notebook, which the check itself tells
    found: list[str] = []
    for name, source in saved.items():
        defines = re.compile(rf"^(def|class) {re.escape(name)}\b", re.M)
        versions = [text.strip() for text in ran if name and defines.search(text)]
        if versions and versions[-1] != source:
            found.append(name)
    return found


def _grade_id(cell: dict[str, Any]) -> str:
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")
