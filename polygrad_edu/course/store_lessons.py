"""Run lessons from top to bottom in a clean kernel and store them with their outputs.

After editing one: ``python -m polygrad_edu.course.store_lessons notebooks/02_the_noise_schedule.ipynb``; without names
it stores all lessons, and with ``--times`` it stores none. Either way each lesson's time is put beside what its header
promises, and headers that are off (:mod:`.lesson_times`) end it with exit 1: so run it where nothing else computes.
Assignments are stored the same way and keep their cells' nbgrader metadata. Times of execution and widget state, which
differ from run to run, are not stored.
"""

from __future__ import annotations

import argparse
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

from .lesson_times import complaint, promised_seconds


def run(notebook: nbformat.NotebookNode, folder: Path) -> float:
    """Run all cells of ``notebook`` at full length, in place, with ``folder`` as the working directory.

    Returns:
        The seconds it took.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as elsewhere:  # reads and leaves no guesses of the author's
        own = {
            "POLYGRAD_GUESSES": str(Path(elsewhere) / "guesses.json"),
            "POLYGRAD_ANSWERS": "shown",
            "POLYGRAD_QUICK": "0",
        }
        resources = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, timeout=1200, kernel_name="python3", resources=resources)
        client.execute(env=os.environ | own)
    return time.monotonic() - begin


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
    seconds = run(notebook, path.parent)
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
    """Store or time the notebooks named on the command line, or all lessons; exit 1 if a header is off."""
    parser = argparse.ArgumentParser(prog="python -m polygrad_edu.course.store_lessons", description=__doc__)
    parser.add_argument("paths", nargs="*", type=Path, metavar="NOTEBOOK", help="(default: all lessons)")
    parser.add_argument("--times", action="store_true", help="run and judge the times, store nothing")
    options = parser.parse_args()
    for path in options.paths:
        if not path.is_file():
            parser.error(f"{path} is no notebook")
    times: dict[str, tuple[float, float]] = {}
    for path in options.paths or sorted(Path("notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        promised = promised_seconds(notebook)
        measured = run(notebook, path.parent) if options.times else store(path)
        if promised is None:
            print(f"{path}: {measured:.0f} s", flush=True)
        else:
            times[path.stem] = promised, measured
            print(f"{path}: {measured:.0f} s, its header says {promised:.0f}", flush=True)
    print(f"together {sum(measured for _, measured in times.values()):.0f} s")
    if wrong := complaint(times, all_of_them=not options.paths):
        sys.exit(wrong)


if __name__ == "__main__":
    main()
