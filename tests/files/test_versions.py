"""What a newer version wrote, told apart from what is damaged."""

import pytest

from polygrad_edu import __version__
from polygrad_edu.files.versions import NewerError, is_newer, is_older, refuse_newer, refuse_newer_format

OWN = "polygrad-edu thing 3"


@pytest.mark.parametrize(
    ("version", "newer", "older"),
    [
        ("999.0.0", True, False),
        ("999.0", True, False),
        ("999.0.0rc1+local", True, False),
        (__version__, False, False),
        ("0.0.9", False, True),
        (None, False, True),
        ("", False, True),
        ("later", False, True),
        (3, False, True),
        (["999.0.0"], False, True),
        ("999" * 9 + ".0", False, True),  # no version that anybody gives
    ],
)
def test_a_version_is_compared_with_this_one(version, newer, older):
    assert (is_newer(version), is_older(version)) == (newer, older)


def test_versions_are_compared_as_numbers(monkeypatch):
    monkeypatch.setattr("polygrad_edu.files.versions.__version__", "0.9.0")
    assert is_newer("0.10.0")
    assert is_older("0.8.11")


def test_a_file_of_a_newer_version_says_upgrade():
    with pytest.raises(NewerError, match=r"^a/file was written by a newer polygrad-edu \(999.0.1\): upgrade$"):
        refuse_newer("999.0.1", "a/file")
    refuse_newer(None, "a/file")


@pytest.mark.parametrize(
    ("found", "version", "message"),
    [
        (OWN, "999.0.0", ""),  # it is understood
        ("polygrad-edu thing 4", None, r"newer polygrad-edu: upgrade$"),
        ("polygrad-edu thing 10", "999.0.0", r"newer polygrad-edu \(999.0.0\): upgrade$"),
        ("polygrad-edu thing 4", __version__, r"newer polygrad-edu: upgrade$"),
        ("polygrad-edu thing 2", None, ""),
        ("polygrad-edu other 4", None, ""),
        ("something", "999.0.0", r"newer polygrad-edu \(999.0.0\): upgrade$"),
        (None, None, ""),
        (7, None, ""),
    ],
)
def test_a_format_with_a_larger_number_is_newer(found, version, message):
    if not message:
        return refuse_newer_format(found, OWN, version, "it")
    with pytest.raises(NewerError, match=message):
        refuse_newer_format(found, OWN, version, "it")
