"""The lock of a run directory: one process at a time trains in it. Reading a run needs no lock.

The lock is the operating system's, on the open file ``lock.json``. So it goes with the process that holds it, however
that process ends, and the presence of the file means nothing. The file names its last holder, for the message to the
next one. On a network file system the lock reaches as far as that file system passes locks on; where there are none at
all, the run goes on without.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import socket
import sys
import time
from pathlib import Path

from ..files.input_error import InputError

LOCK = "lock.json"
MAX_BYTES = 1_000
WRITES_ITS_NAME = 1.0  # seconds between taking the lock and naming oneself, at most
_log = logging.getLogger(__name__)
# Errors of a lock that another process holds; any other says that there are no locks here.
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)

if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        os.lseek(handle, MAX_BYTES, os.SEEK_SET)  # a locked byte cannot be read: it lies behind the text
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

    def _give_back(handle: int) -> None:
        os.lseek(handle, MAX_BYTES, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _give_back(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)


class RunLock:
    """The lock of the run directory ``run``, held from here on until :meth:`release`.

    Raises:
        InputError: another process holds it; the message says which one.
        OSError: the directory is not there or cannot be written to.
    """

    def __init__(self, run: Path):
        path = run / LOCK
        self._owner = os.getpid()
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            _take(self._handle)
        except OSError as error:
            if error.errno in _HELD:
                os.close(self._handle)
                self._handle = -1
                raise InputError(f"{run} is being trained by {_holder(path)}; wait for it, or stop it first") from None
            _log.warning("%s lies where files cannot be locked; let no other process train there meanwhile", run)
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, without a name
            os.lseek(self._handle, 0, os.SEEK_SET)
            os.ftruncate(self._handle, 0)
            os.write(self._handle, json.dumps({"process": os.getpid(), "host": socket.gethostname()}).encode())

    def release(self) -> None:
        """Let another process train. Once more, or in a fork of the process that took it, this does nothing."""
        if self._handle < 0 or os.getpid() != self._owner:
            return
        with contextlib.suppress(OSError):  # a fork that is still there holds the file, so closing is not enough
            _give_back(self._handle)
        os.close(self._handle)
        self._handle = -1

    def __enter__(self) -> RunLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            self.release()


def _holder(path: Path) -> str:
    """The process that holds a lock, in words, as far as its file tells; it may be about to write its name."""
    deadline = time.monotonic() + WRITES_ITS_NAME
    while True:
        try:
            told = json.loads(path.read_bytes()[:MAX_BYTES])
            process = int(told["process"])
            host = str(told["host"])[:80]
        except (OSError, ValueError, KeyError, TypeError):
            if time.monotonic() > deadline:
                return "another process"
            time.sleep(0.02)
            continue
        if (process, host) == (os.getpid(), socket.gethostname()):
            return "this process already"
        return f"process {process} on {host}"
