"""Run lessons from top to bottom in a clean kernel and store them with their outputs.

After editing one: ``python -m polygrad_edu.course.store_lessons notebooks/02_the_noise_schedule.ipynb``; without names
it stores all lessons. Assignments are stored the same way and keep their cells' nbgrader metadata. Times of execution
and widget state, which differ from run to run, are not stored.
"""

from __future__ import annotations

import base64
import io
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image


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
        _fold(cell)
        _hand_description_on(cell)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            data.pop("application/vnd.jupyter.widget-view+json", None)  # empty without its kernel; its HTML is not
            if "image/png" in data:
                data["image/png"] = _smaller(data["image/png"])
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


def _smaller(png: str) -> str:
    """Write a PNG, both in base64, with 256 colours: a third of the size, and no eye sees it in a figure."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    file = io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _fold(cell: nbformat.NotebookNode) -> None:
    """Fold a cell tagged ``hide-input``, which the book goes by, in JupyterLab as well."""
    if "hide-input" in cell.metadata.get("tags", []):
        cell.metadata["jupyter"] = {"source_hidden": True}


def _hand_description_on(cell: nbformat.NotebookNode) -> None:
    """Write the description of a cell's picture where the book looks for it."""
    pictures = [output.metadata.get("image/png", {}) for output in cell.get("outputs", []) if "metadata" in output]
    described = [picture["alt"] for picture in pictures if "alt" in picture]
    if described:
        cell.metadata["mystnb"] = {"image": {"alt": "; ".join(described)}}


def main() -> None:
    """Store the notebooks named on the command line, or all lessons."""
    paths = [Path(name) for name in sys.argv[1:]] or sorted(Path("notebooks").glob("*.ipynb"))
    for path in paths:
        print(f"{path}: {store(path):.0f} s", flush=True)


if __name__ == "__main__":
    main()
