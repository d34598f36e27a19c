"""A real Chromium and a real JupyterLab for tests that look at widgets, as a reader's eyes and keyboard would.

A test module makes fixtures of :func:`chromium` and :func:`jupyterlab`, and is marked with ``needs_chromium``.
"""

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="these tests look through Chromium (Debian's package chromium), driven by playwright (the extra test)",
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]  # fmt: skip


@contextlib.contextmanager
def chromium():
    """A browser; close the pages you open."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def offline_page(browser, here="file://", **settings):
    """A page that may load only from ``here``, and the lists of what it asked for outside and of its errors."""
    page = browser.new_context(**settings).new_page()
    outside, errors = [], []

    def gate(route):
        if route.request.url.startswith((here, "data:", "blob:")):
            return route.continue_()
        outside.append(route.request.url)
        return route.abort()

    page.route("**/*", gate)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    return page, outside, errors


def page_with(folder, *widgets):
    """Address of a page in ``folder`` that shows widgets without a kernel."""
    path = folder / "page.html"
    islands = "\n".join(widget.to_html() for widget in widgets)
    path.write_text(f"<!doctype html><meta charset=utf-8><title>page</title>{islands}", encoding="utf-8")
    return path.as_uri()


class Lab:
    """A running JupyterLab: write a notebook into it, open it, run it."""

    def __init__(self, folder: Path, port: int, token: str):
        self.folder, self.address, self.token = folder, f"http://127.0.0.1:{port}", token

    def write(self, name: str, *sources: str) -> str:
        """A notebook of code cells."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.folder / name)
        return name

    def open(self, browser, name: str, **settings):
        """A page with the notebook ``name`` open and its kernel idle."""
        page = browser.new_context(**({"viewport": {"width": 1400, "height": 1000}} | settings)).new_page()
        page.goto(f"{self.address}/lab/tree/{name}?reset&token={self.token}", timeout=120_000)
        self.wait_until_idle(page)
        return page

    def run_all(self, page) -> None:
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def wait_until_idle(self, page) -> None:
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=180_000)


@contextlib.contextmanager
def jupyterlab(folder: Path):
    """Serve ``folder``, with settings of its own and none of the user's."""
    settings = folder / ".settings"
    tracker = settings / "lab" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text(json.dumps({"windowingMode": "none"}))  # outputs out of sight stay in the page
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    places = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "lab", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython",
    }  # fmt: skip
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
               f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
               f"--ServerApp.root_dir={folder}"]  # fmt: skip
    with open(settings / "log", "w") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log,
            env=os.environ | {name: str(settings / place) for name, place in places.items()},
        )  # fmt: skip
        try:
            lab = Lab(folder, port, token)
            _wait_for(f"{lab.address}/api/status?token={token}", server, settings / "log")
            yield lab
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:  # it waits for a kernel that was killed; kernels end without it
                server.kill()
                server.wait()


def _wait_for(address: str, server: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(address, timeout=5).close()
            return
        time.sleep(0.2)
    raise TimeoutError(log.read_text())
