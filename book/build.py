"""Build the book from the stored notebooks: ``python book/build.py``, then open book/_build/html/book/index.html.

Every warning of Sphinx is an error. Nothing is run and nothing is downloaded. If the clone's origin is on GitHub, each
lesson gets its "Open in Colab" and Binder buttons; they are made from that address, so they cannot point elsewhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

BOOK = Path(__file__).parent
ROOT = BOOK.parent


def repository(remote: str) -> str | None:
    """``https://github.com/OWNER/NAME`` of a git remote there; nothing for any other."""
    found = re.fullmatch(r"(?:git@|https://|ssh://git@)github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?", remote.strip())
    return f"https://github.com/{found[1]}" if found else None


def with_buttons(config: dict[str, Any], address: str) -> dict[str, Any]:
    """The book's configuration with buttons that open a lesson where it can be run."""
    colab, binder = "https://colab.research.google.com", "https://mybinder.org"
    return config | {
        "repository": {"url": address, "branch": "main", "path_to_book": ""},
        "launch_buttons": {"notebook_interface": "jupyterlab", "binderhub_url": binder, "colab_url": colab},
        "html": config["html"] | {"use_repository_button": True},
    }


def build(out: Path) -> int:
    """Sphinx's exit status; the pages lie in ``out/_build/html``."""
    config = yaml.safe_load((BOOK / "_config.yml").read_text(encoding="utf-8"))
    asked = subprocess.run(
        ["git", "remote", "get-url", "origin"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if address := repository(asked.stdout):
        config = with_buttons(config, address)
    shutil.rmtree(out / "_build", ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    settings = ROOT / "book" / "_config_built.yml"  # paths in it are relative to where it lies
    settings.write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [
        "build",
        str(ROOT),
        "--config",
        str(settings),
        "--toc",
        str(BOOK / "_toc.yml"),
        "--path-output",
        str(out),
    ]
    try:
        return subprocess.run(
            [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", *command, "-W", "--keep-going"],
            cwd=ROOT, env=os.environ | {"PYTHONPATH": os.pathsep.join([str(BOOK), str(ROOT)])}, check=False,
        ).returncode  # fmt: skip
    finally:
        settings.unlink()


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1]) if len(sys.argv) > 1 else BOOK))
