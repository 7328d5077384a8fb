"""A lock beside a file that several programs change: who holds it reads, changes and replaces the file alone."""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from MgImplantSegLib.base.errors import OutputError
from MgImplantSegLib.base.files import output_errors

NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
SECONDS_OF_PATIENCE, SECONDS_BETWEEN_TRIES = 30.0, 0.02

logger = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, seconds: float = SECONDS_OF_PATIENCE) -> Iterator[int]:
    """Hold the lock of `path`, the file ``.NAME.lock`` beside it; the system lets go of it when this program ends.

    What it yields is the lock's descriptor: a child process that inherits it holds the lock too.

    On a disk without locks there is none to hold, which is logged. Raises OutputError if another program holds it for
    long.
    """
    beside = path.with_name(f".{path.name}.lock")
    with output_errors(path):
        number = os.open(beside, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        end = time.monotonic() + seconds
        while not _is_taken(number, path):
            if time.monotonic() > end:
                raise OutputError(
                    f"Expected to change {path}, could not lock it within {seconds:g} s: another program holds it.",
                    "Close the other program, then try again.",
                )
            time.sleep(SECONDS_BETWEEN_TRIES)
        yield number
    finally:
        os.close(number)


def _is_taken(number: int, path: Path) -> bool:
    """Take the lock if it is free."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS_HERE:
            with output_errors(path):
                raise
        logger.warning("%s is modified without a lock: %s", path, error.strerror)
    return True
