"""Build the book from the stored notebooks: ``python book/build.py``, then open book/_build/html/book/index.html.

Every warning of Sphinx is an error. No lesson is run and nothing is downloaded; the widgets on the first page and on
the page about the delay are made anew. If the clone's origin is on GitHub, each lesson gets its "Open in Colab" and
Binder buttons, and each page the picture that links to it show; they are made from that address, so they cannot point
elsewhere.
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

from polygrad_edu.widgets import DelayExplorer, GuidedPendulum, HopperFromNoise

BOOK = Path(__file__).parent
ROOT = BOOK.parent


def repository(remote: str) -> str | None:
    """Address ``https://github.com/OWNER/NAME`` of a git remote on GitHub; None for any other remote."""
    found = re.fullmatch(r"(?:git@|https://|ssh://git@)github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?", remote.strip())
    return f"https://github.com/{found[1]}" if found else None


def with_buttons(config: dict[str, Any], address: str) -> dict[str, Any]:
    """The book's configuration with buttons that open a lesson in Colab or Binder."""
    return config | {
        "repository": {"url": address, "branch": "main", "path_to_book": ""},
        "launch_buttons": {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        },
        "html": config["html"] | {"use_repository_button": True, "baseurl": pages_of(address)},
    }


def pages_of(address: str) -> str:
    """Address at which GitHub publishes a repository's pages."""
    owner, name = address.split("/")[-2:]
    return f"https://{owner}.github.io/{name}/"


def build(out: Path) -> int:
    """Build the book and return Sphinx's exit status; the pages lie in ``out/_build/html``."""
    config = yaml.safe_load((BOOK / "_config.yml").read_text(encoding="utf-8"))
    origin = subprocess.run(
        ["git", "remote", "get-url", "origin"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if address := repository(origin.stdout):
        config = with_buttons(config, address)
    shutil.rmtree(out / "_build", ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    settings = BOOK / "_config_built.yml"  # beside the original, since paths in it are relative to its place
    settings.write_text(yaml.safe_dump(config), encoding="utf-8")
    islands = {
        BOOK / "_landing.html": HopperFromNoise(),
        BOOK / "measured" / "_delay.html": DelayExplorer(),
        BOOK / "measured" / "_pendulum.html": GuidedPendulum(),
    }
    for path, widget in islands.items():
        path.write_text(widget.to_html(), encoding="utf-8")
    jupyter_book = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    arguments = ["build", str(ROOT), "--config", str(settings), "--toc", str(BOOK / "_toc.yml")]
    options = ["--path-output", str(out), "-W", "--keep-going"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(BOOK), str(ROOT)])}
    try:
        command = [*jupyter_book, *arguments, *options]
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        for path in (out / "_build" / "html" / "_static").rglob("*.map"):  # 3 MB for those who mend the theme
            path.unlink()
        return status
    finally:
        for path in (settings, *islands):
            path.unlink()


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1]) if len(sys.argv) > 1 else BOOK))
