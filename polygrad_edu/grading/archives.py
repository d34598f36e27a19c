"""Archives of submissions: unpacked file by file; what cannot be is left out with its reason, and the rest goes on."""

from __future__ import annotations

import contextlib
import os
import time
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..files.input_error import InputError

MAX_MEMBER_BYTES = 100 * 2**20
MAX_TOTAL_BYTES = 10 * 2**30
MAX_DEPTH = 5  # of archives in archives
_TROUBLE = (OSError, RuntimeError, zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, ValueError)


class LeftOut(NamedTuple):
    """File that is not graded, as the platform names it, and the reason."""

    path: str
    reason: str


def unpack(archive: Path, folder: Path) -> list[LeftOut]:
    """Extract a platform's .zip into ``folder``, also the .zip files inside it, with the dates of the files.

    Returns:
        What was left out: files that are damaged, encrypted, too large, or nested too deeply.

    Raises:
        InputError: ``archive`` itself is no zip file.
    """
    left_out: list[LeftOut] = []
    try:
        with zipfile.ZipFile(archive) as zipped:
            _unpack(zipped, folder, folder, left_out, 0)
    except (zipfile.BadZipFile, NotImplementedError):
        raise InputError(f"{archive} is not a zip file") from None
    return left_out


def _unpack(zipped: zipfile.ZipFile, top: Path, folder: Path, left_out: list[LeftOut], depth: int) -> None:
    """Extract the members one by one; ``top`` is where paths in reports begin."""
    for member in zipped.infolist():
        if member.is_dir():
            continue
        parts = [part for part in PurePosixPath(_name(member)).parts if part not in ("/", "..")]
        target = folder.joinpath(*parts)
        told = target.relative_to(top).as_posix()
        if member.file_size > MAX_MEMBER_BYTES:
            left_out.append(LeftOut(told, f"it has {member.file_size / 2**20:.0f} MiB"))
            continue
        if member.flag_bits & 1:
            left_out.append(LeftOut(told, "it is encrypted"))
            continue
        try:
            _write(zipped, member, target)
            if target.suffix.lower() == ".zip":
                _unpack_inner(target, top, left_out, depth)
        except _TROUBLE as error:
            left_out.append(LeftOut(told, f"it cannot be unpacked ({type(error).__name__})"))


def _name(member: zipfile.ZipInfo) -> str:
    """Name of a member; one that was written as UTF-8 without saying so is read as that."""
    name = member.filename
    if not member.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name)


def _write(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipped.open(member) as content:
        target.write_bytes(content.read(MAX_MEMBER_BYTES))
    with contextlib.suppress(OSError, ValueError, OverflowError):  # a date that does not exist
        at = time.mktime((*member.date_time, 0, 0, -1))
        os.utime(target, (at, at))


def _unpack_inner(archive: Path, top: Path, left_out: list[LeftOut], depth: int) -> None:
    """Replace an archive inside the archive by a folder of its files."""
    told = archive.relative_to(top).as_posix()
    if depth == MAX_DEPTH:
        left_out.append(LeftOut(told, f"it is nested more than {MAX_DEPTH} archives deep"))
    elif sum(path.stat().st_size for path in top.rglob("*") if path.is_file()) > MAX_TOTAL_BYTES:
        left_out.append(LeftOut(told, f"all archives together have more than {MAX_TOTAL_BYTES // 2**30} GiB"))
    else:
        with zipfile.ZipFile(archive) as inner:
            _unpack(inner, top, archive.with_name(archive.stem), left_out, depth + 1)
    archive.unlink()
