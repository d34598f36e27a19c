"""Run lessons from top to bottom in a clean kernel and store them with their outputs.

After editing one: ``python -m polygrad_edu.course.store_lessons notebooks/02_the_noise_schedule.ipynb``; without names
it stores all lessons. Assignments are stored the same way and keep their cells' nbgrader metadata. Times of execution
and widget state, which differ from run to run, are not stored.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def store(path: Path) -> float:
    """Run the notebook at ``path`` and write it back with its outputs.

    Returns:
        The seconds it took.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the file is left as it was.
    """
    notebook = nbformat.read(path, as_version=4)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02}"
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as elsewhere:  # reads and leaves no guesses of the author's
        own = {"POLYGRAD_GUESSES": str(Path(elsewhere) / "guesses.json"), "POLYGRAD_ANSWERS": "shown"}
        resources = {"metadata": {"path": path.parent}}
        client = NotebookClient(notebook, timeout=1200, kernel_name="python3", resources=resources)
        client.execute(env=os.environ | own)
    seconds = time.monotonic() - begin
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for cell in notebook.cells:
        cell.metadata = {name: cell.metadata[name] for name in ("nbgrader", "tags") if cell.metadata.get(name)}
        _join_streams(cell)
        for output in cell.get("outputs", []):  # a live view is empty without its kernel; its HTML is not
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    return seconds


def _join_streams(cell: nbformat.NotebookNode) -> None:
    """Join the pieces in which the kernel happened to send a cell's output stream."""
    joined: list[nbformat.NotebookNode] = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    if cell.cell_type == "code":
        cell.outputs = joined


def main() -> None:
    """Store the notebooks named on the command line, or all lessons."""
    paths = [Path(name) for name in sys.argv[1:]] or sorted(Path("notebooks").glob("*.ipynb"))
    for path in paths:
        print(f"{path}: {store(path):.0f} s", flush=True)


if __name__ == "__main__":
    main()
