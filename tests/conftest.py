"""Shared by all tests: one thread, fixed seeds, and the official code's recorded numbers."""

import gc
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of what tests start, too: two of them run side by side
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes, and each would compile the package anew
# the long cells of lessons at the length for slow machines; `pytest notebooks` alone, and storing one, run them in full
os.environ.setdefault("POLYGRAD_QUICK", "1")

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("course", deadline=None)  # a first call may load a library, and machines differ
settings.load_profile("course")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep modules and tests, 600,000 objects that stay to the end, out of the garbage collector's sight."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU, and there is none here")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def browser():
    """A real Chromium; only tests marked ``needs_chromium`` ask for it."""
    from tests.support.browser import chromium  # a machine for training has none of what this imports

    with chromium() as started:
        yield started


@pytest.fixture
def short_episodes(monkeypatch):
    """Episodes that the clock ends after 50 steps at the latest, for tests that play many to their end."""
    for spec in gymnasium.registry.values():
        if spec.max_episode_steps and spec.max_episode_steps > 50:
            monkeypatch.setattr(spec, "max_episode_steps", 50)


@pytest.fixture(params=["a", "b"])
def golden(request):
    """Load one recorded file of setting a or b: floats as float32 tensors, integers and text as they are."""

    def load(name):
        arrays = np.load(Path(__file__).parent / "golden" / request.param / f"{name}.npz")
        return {key: torch.from_numpy(arrays[key]) if arrays[key].ndim else arrays[key].item() for key in arrays.files}

    return load


@pytest.fixture
def close():
    """Agreement to 1e-5, absolute or relative, whichever is larger."""

    def check(ours, official):
        official = torch.as_tensor(official, dtype=torch.float32)
        torch.testing.assert_close(torch.as_tensor(ours, dtype=torch.float32), official, atol=1e-5, rtol=1e-5)

    return check
