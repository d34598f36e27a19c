"""A run that the commands' tests share."""

import pytest

from tests.support.command_line import OPTIONS, call


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A tiny finished run and what training it printed with --json."""
    directory = tmp_path_factory.mktemp("cli") / "run"
    done = call("train", "--seed", 3, "--out", directory, "--json", *OPTIONS)
    assert done.returncode == 0, done.stderr
    return directory, done
