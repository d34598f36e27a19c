"""A tiny dataset that the tests of making and of reading share."""

import pytest


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A tiny Hopper dataset and what its making reported."""
    pytest.importorskip("minari")
    from polygrad_edu.interop.make_dataset import collect_dataset

    directory = tmp_path_factory.mktemp("data") / "hopper"
    told = []
    summary = collect_dataset(directory, "Hopper-v5", 300, 4096, 3, lambda *news: told.append(news))
    return directory, summary, told
