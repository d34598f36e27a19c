"""The random generators that a whole process shares, and that belong to its user."""

import contextlib
import random

import numpy as np
import torch


def drawn():
    """The next numbers that Python, NumPy and torch would draw, without drawing them."""
    _, numpys, *rest = np.random.get_state()  # noqa: NPY002
    return random.getstate(), (numpys.tolist(), rest), torch.get_rng_state().tolist()


@contextlib.contextmanager
def untouched():
    """Assert that nothing inside seeds, or draws from, the generators that everybody shares."""
    before = drawn()
    yield
    for name, now, was in zip(("Python", "NumPy", "torch"), drawn(), before, strict=True):
        assert now == was, f"{name}'s generator was touched"
