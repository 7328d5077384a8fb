"""A job's results: which files there are, their digests and their bytes. Nothing outside the folder is shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.jobs.agent.store import file_digest

TEMPORARY = ".partial-"


def list_results(folder: Path) -> list[dict[str, Any]]:
    """Path (relative, with /), size and time of every finished file; links and temporary files are left out."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(TEMPORARY))
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink() and not name.startswith(TEMPORARY):
                size, time_ns = path.stat().st_size, path.stat().st_mtime_ns
                found.append({"path": path.relative_to(folder).as_posix(), "bytes": size, "time_ns": time_ns})
    return found


def result_path(folder: Path, path: str) -> Path:
    """The file of that name. Raises InputError if it is not a file inside the folder."""
    target = (folder / path).resolve()
    if not target.is_relative_to(folder.resolve()) or not target.is_file():
        raise InputError(f"Expected a file among the job's results, got {path!r}.", "Fetch again.")
    return target


def result_digest(folder: Path, path: str) -> str:
    """SHA-256 of one result."""
    return file_digest(result_path(folder, path))


def read_part(path: Path, offset: int, limit: int) -> bytes:
    """At most `limit` bytes from `offset` on."""
    try:
        with open(path, "rb") as stream:
            stream.seek(offset)
            return stream.read(limit)
    except FileNotFoundError:
        return b""
