"""Writing that leaves either the whole result or nothing: `atomic_output`, `atomic_folder`, `require_writable_folder`.

Results are written under a temporary name in the folder where they belong and renamed when they are complete, so
that a cancelled, failed or killed run never leaves a file that looks finished. What a killed run leaves under a
temporary name goes when the next one begins. An input of the command is never replaced, see `protected_files`.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from MgImplantSegLib.base.errors import OutputError
from MgImplantSegLib.base.leftovers import remove_leftovers, temporary_name
from MgImplantSegLib.base.protected_files import require_not_protected

SPARE_BYTES = 1 << 20
LONGEST_SUFFIX = 16
REMEDY_OF_ERRNO = {
    errno.ENOSPC: "Free disk space or choose another disk for the output.",
    errno.EDQUOT: "Free space within your quota or choose another disk for the output.",
    errno.EACCES: "Choose a folder that you may write to, or close the program that has the file open.",
    errno.EPERM: "Choose a folder that you may write to, or close the program that has the file open.",
    errno.EROFS: "Choose a folder on a disk that can be written to.",
    errno.ENOENT: "Create the folder first, or correct the path.",
    errno.ENOTDIR: "Correct the path: part of it is a file, not a folder.",
    errno.EISDIR: "Give the name of a file rather than a folder.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


@contextmanager
def atomic_output(path: str | Path) -> Iterator[Path]:
    """A temporary path with the suffix of `path` in the same folder; it becomes `path` when the block ends well.

    Raises OutputError if the folder is missing, the path is a folder, or writing fails (no space, no permission).

    Parameters
    ----------
    path : str or Path
        Where the finished file belongs; a file that is there already is replaced at the end.
    """
    path = Path(path).absolute()
    temporary = path.parent / _temporary_name(path)
    try:
        with output_errors(path):
            require_file_place(path)
            yield temporary
            os.replace(temporary, path)
    except OutputError as error:
        raise OutputError(error.message.replace(str(temporary), str(path)), error.template) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path`; it becomes `path` when the block ends well.

    Raises OutputError if `path` exists and is not an empty folder (unless `replace`), its parent is missing, or writing
    fails.

    Parameters
    ----------
    path : str or Path
        Where the finished folder belongs; an empty folder that is there already is replaced.
    replace : bool
        Whether a folder with something in it is replaced too.
    """
    path = Path(path).absolute()
    temporary = path.parent / _temporary_name(path)
    try:
        with output_errors(path):
            require_not_protected(path)
            _require_free_place(path, replace)
            _require_parent(path)
            temporary.mkdir()
            yield temporary
            _replace_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def output_folder(path: str | Path) -> Iterator[Path]:
    """Make a folder for results; folders that are new and still empty go again if what follows fails.

    Raises OutputError if the folder cannot be made.
    """
    path = Path(path)
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    with output_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    except BaseException:
        for folder in new:
            with suppress(OSError):  # one that holds a result stays
                folder.rmdir()
        raise


def require_writable_folder(path: str | Path, needed_bytes: int = 0) -> Path:
    """Check before long work that a folder exists, can be written to and has room; returns it as Path.

    Raises OutputError if the folder is missing, is a file, cannot be written to or is too full.

    Parameters
    ----------
    needed_bytes : int
        Size of what will be written there, as far as it is known.
    """
    path = Path(path)
    with output_errors(path):
        if not path.is_dir():
            code = errno.ENOTDIR if path.exists() else errno.ENOENT
            raise OSError(code, os.strerror(code))
        remove_leftovers(path)
        _write_and_remove(path / temporary_name())
        free_bytes = shutil.disk_usage(path).free
    if free_bytes < needed_bytes + SPARE_BYTES:
        raise OutputError(
            f"Expected {(needed_bytes + SPARE_BYTES) / 1e6:.1f} MB of free disk space in {path}, "
            f"got {free_bytes / 1e6:.1f} MB.",
            REMEDY_OF_ERRNO[errno.ENOSPC],
        )
    return path


@contextmanager
def output_errors(path: str | Path) -> Iterator[None]:
    """Turn an OSError raised while `path` is written into an `OutputError` that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = REMEDY_OF_ERRNO.get(error.errno or 0, "Choose another location for the output.")
        raise OutputError(f"Expected to write {path}, got: {reason}.", remedy) from error


def require_file_place(path: str | Path) -> Path:
    """Check that a file may be written at a path, where only a file or nothing is and a folder to hold it.

    Raises OutputError if there is a folder or a device, no folder to hold it, or the name is too long; InputError if it
    is an input of the command.
    """
    path = Path(path).absolute()
    with output_errors(path):
        _require_parent(path)
        if path.is_dir():  # the disk may refuse the name here
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():
            raise OSError(errno.EEXIST, "there is a device, no file")
    require_not_protected(path)
    return path


def require_folder_place(path: str | Path) -> Path:
    """Check that a path is a folder or one can be made there; makes nothing.

    Raises OutputError if there is a file in its way, or the folder above it cannot be written to.
    """
    path = Path(path).absolute()
    with output_errors(path):
        there = next(place for place in (path, *path.parents) if place.exists())
        if not there.is_dir():
            raise OSError(errno.ENOTDIR, f"{there} is a file, no folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    return path


def _temporary_name(path: Path) -> str:
    suffix = "".join(path.suffixes[-2:])
    short = suffix if len(suffix) <= LONGEST_SUFFIX else path.suffix
    return temporary_name(short if len(short) <= LONGEST_SUFFIX else "")


def _require_parent(path: Path) -> None:
    if not path.parent.is_dir():
        code = errno.ENOTDIR if path.parent.exists() else errno.ENOENT
        raise OSError(code, f"there is no folder {path.parent}")


def _require_free_place(path: Path, replace: bool) -> None:
    if path.exists() and not path.is_dir():
        raise OutputError(f"Expected a folder at {path}, got a file.", "Choose another output folder.")
    if path.is_dir() and not replace and any(path.iterdir()):
        raise OutputError(
            f"Expected a new or empty folder, got {path}, which is not empty.",
            "Choose another output folder or remove this one.",
        )


def _replace_folder(finished: Path, path: Path) -> None:
    if not path.exists():
        os.replace(finished, path)
        return
    old = path.parent / _temporary_name(path)
    os.replace(path, old)
    try:
        os.replace(finished, path)
    except OSError:
        os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_and_remove(probe: Path) -> None:
    try:
        with open(probe, "wb") as stream:
            stream.write(b"\0" * 4096)
            os.fsync(stream.fileno())
    finally:
        probe.unlink(missing_ok=True)
