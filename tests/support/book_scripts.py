"""The book's scripts, which lie outside of any package."""

import importlib.util
from pathlib import Path

BOOK = Path(__file__).parents[2] / "book"


def load_book_script(name):
    """The module ``book/NAME.py``, made anew."""
    spec = importlib.util.spec_from_file_location(f"book_{name}", BOOK / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
