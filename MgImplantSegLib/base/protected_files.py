"""The inputs of a command, which no output replaces, by whatever name, link or spelling it is reached."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from MgImplantSegLib.base.errors import InputError

FileIdentity = tuple[int, int]

_protected: ContextVar[dict[FileIdentity, Path] | None] = ContextVar("protected", default=None)


@contextmanager
def protected_files(paths: Iterable[Path]) -> Iterator[None]:
    """Within the block none of these files is replaced by an output; further blocks add theirs."""
    known = dict(_protected.get() or {})
    for path in paths:
        if (identity := file_identity(path)) is not None:
            known[identity] = Path(path)
    token = _protected.set(known)
    try:
        yield
    finally:
        _protected.reset(token)


def require_not_protected(path: str | Path) -> None:
    """Raise InputError if a file is an input of the command, or a folder holds one."""
    known = _protected.get()
    if not known:
        return
    place = os.path.realpath(path)
    identity = file_identity(path)
    within = [kept for kept in known.values() if os.path.realpath(kept).startswith(place + os.sep)]
    kept = (known.get(identity) if identity else None) or (within[0] if within and os.path.isdir(place) else None)
    if kept is not None:
        also = "" if os.path.realpath(kept) == place else f" (as {kept})"
        raise InputError(
            f"Expected a separate file for the result, got {path}, an input{also}.", "Choose another name."
        )


def file_identity(path: str | Path) -> FileIdentity | None:
    """The same for the same file, however it is named or linked; None if it does not exist."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return None
    return (stat.st_dev, stat.st_ino)
