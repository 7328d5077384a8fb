"""The one door to HDF5 files: they are tried in a process of their own before this one opens them.

The HDF5 library ends the process on some damaged files. `opened` therefore lets a child do first what the reading does
later, see `hdf5_child`; if the file ends the child, it is refused. Each state of a file is tried once a process.
"""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.child_process import is_crash, python_command, run_child
from MgImplantSegLib.base.errors import InputError

logger = logging.getLogger(__name__)
SIGNATURE = b"\x89HDF\r\n\x1a\n"
SMALLEST_USER_BLOCK = 512
SECONDS = 300
STARTED = b"started\n"
CHILD = str(Path(__file__).with_name("hdf5_child.py"))
State = tuple[str, int, int]  # real path, time of the last change in ns, size in bytes

_harmless: set[State] = set()
_tried_here = False  # in the child, which is the one that may be ended


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file, open for reading.

    Raises InputError if its contents end the HDF5 library, or it is being written; OSError if it is not an HDF5 file,
    or h5py finds it damaged.
    """
    import h5py

    require_harmless(path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES) or "unable to lock file" in str(error):
            raise _in_use(path, error) from error
        if "already open for" in str(error):  # the mark of a writer, left behind if it was killed
            raise InputError(
                f"Expected an HDF5 file that was closed, got {path}, which is being written or was never closed.",
                "Wait until the program that writes it has finished; if it was killed, run h5clear -s on the file.",
            ) from error
        raise
    with file:
        yield file


def has_signature(path: Path) -> bool:
    """Whether a file bears the mark of HDF5 at one of the places where it may stand."""
    try:
        with open(path, "rb") as stream:
            size, place = os.fstat(stream.fileno()).st_size, 0
            while place < size:
                stream.seek(place)
                if stream.read(len(SIGNATURE)) == SIGNATURE:
                    return True
                place = 2 * place or SMALLEST_USER_BLOCK
    except (OSError, ValueError):
        pass
    return False


def require_harmless(path: Path) -> None:
    """Try an HDF5 file in a child, unless this state of it was tried before; other files are left to their reader.

    Raises InputError if the file ends the child, or takes too long.
    """
    if not has_signature(path):
        return
    state = _state(path)
    if state in _harmless:
        return
    if not _tried_here:
        for tried in _tried_in_child(path):
            _harmless.add(tried)
    _harmless.add(state)


def tried_files() -> list[State]:
    """The states of all files that came through the door until now."""
    return sorted(_harmless)


def be_the_child() -> None:
    """From now on files are opened at once: this process is the one in which they are tried."""
    global _tried_here
    _tried_here = True


def _state(path: Path) -> State:
    status = os.stat(path)
    return os.path.realpath(path), status.st_mtime_ns, status.st_size


def _tried_in_child(path: Path) -> list[State]:
    """The states of the file and of those that it refers to, after a child has looked through them."""
    if not sys.executable:
        return []
    try:
        done = run_child(python_command(CHILD, os.path.abspath(path)), SECONDS)
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"Expected an HDF5 file whose contents can be found within {SECONDS // 60} minutes, got {path}, which "
            "takes longer.",
            "Copy it to a local disk, with the files that it refers to; if it is already on one, it is damaged: "
            "export it again.",
        ) from error
    except OSError as error:  # no child can be started here: that says nothing about the file
        logger.debug("HDF5 files are opened without a prior check: %s", error)
        return []
    if is_crash(done.returncode) and done.stdout.startswith(STARTED):
        raise InputError(
            f"Expected an intact HDF5 file, got {path}, whose contents crash the HDF5 library.",
            "Copy or export it again.",
        )
    return list(_states_in(done.stdout)) if done.returncode == 0 else []


def _states_in(said: bytes) -> Iterator[State]:
    for line in said.split(b"\0")[1:]:
        changed, _, rest = line.partition(b" ")
        size, _, name = rest.partition(b" ")
        if changed.isdigit() and size.isdigit():
            yield os.fsdecode(name), int(changed), int(size)


def _in_use(path: Path, error: OSError) -> InputError:
    if error.errno == errno.EACCES and not os.access(path, os.R_OK):
        return InputError(f"Expected a readable file, got {path}: {error.strerror}.", "Check its permissions.")
    return InputError(
        f"Expected an HDF5 file that no other program is writing, got {path}, which another program has open for "
        "writing.",
        "Close that program or wait until it has finished; on network disks that do not support locks set the "
        "environment variable HDF5_USE_FILE_LOCKING=FALSE.",
    )
