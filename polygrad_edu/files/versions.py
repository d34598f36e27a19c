"""Versions of files: what a newer polygrad-edu wrote is told apart from what is damaged.

Files name the version that wrote them, and kinds of files that may change have a format with a number. A file of a
newer version is read as long as everything in it is understood. Where something is not, the user is told to upgrade.
"""

from __future__ import annotations

import re

from .. import __version__
from .input_error import InputError

_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?[\w.+-]{0,40}")
_FORMAT = re.compile(r"(.+) (\d{1,6})")


class NewerError(InputError):
    """A file that a newer polygrad-edu wrote, and that this one does not understand."""


def is_newer(version: object) -> bool:
    """True if ``version``, as a file names it, is later than this one."""
    found = _numbers(version)
    own = _numbers(__version__)
    return found is not None and own is not None and found > own


def is_older(version: object) -> bool:
    """True if ``version``, as a file names it, is earlier than this one; so is a file that names none."""
    found = _numbers(version)
    own = _numbers(__version__)
    return found is None or (own is not None and found < own)


def _numbers(version: object) -> tuple[int, int, int] | None:
    """Major, minor and patch number; None if it is no version."""
    match = _VERSION.fullmatch(version) if isinstance(version, str) else None
    if match is None:
        return None
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch or 0)


def refuse_newer(version: object, source: object) -> None:
    """Refuse a file that is not understood, if a newer version wrote it.

    Args:
        version: as the file names it; anything that is no version counts as none.
        source: of the file, for the message.

    Raises:
        NewerError: a newer version wrote it.
    """
    if is_newer(version):
        raise NewerError(f"{source} was written by a newer polygrad-edu ({version}): upgrade")


def refuse_newer_format(found: object, known: str, version: object, source: object) -> None:
    """Refuse a file whose format has a larger number than ``known``, for example ``polygrad-edu checkpoint 3``.

    Raises:
        NewerError: it has, or it has another format and names a newer version.
    """
    if found == known:
        return
    refuse_newer(version, source)
    theirs = _FORMAT.fullmatch(found) if isinstance(found, str) else None
    ours = _FORMAT.fullmatch(known)
    if theirs and ours and theirs[1] == ours[1] and int(theirs[2]) > int(ours[2]):
        raise NewerError(f"{source} was written by a newer polygrad-edu: upgrade")
