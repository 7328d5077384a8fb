"""The engine as one zip file that goes along with every job, so that both sides run the same version."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from MgImplantSegLib.base.resources import FOLDERS, PACKAGE

RESOURCES_NEEDED = ("Models", "Configurations", "Terminologies")
FIXED_TIME = (1980, 1, 1, 0, 0, 0)


@cache
def engine_archive() -> tuple[str, bytes]:
    """SHA-256 and content of the zip file; the same engine gives the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, name in sorted(_files(), key=lambda entry: entry[1]):
            with suppress(FileNotFoundError):  # an editor's temporary file that is gone by now
                archive.writestr(zipfile.ZipInfo(name, FIXED_TIME), path.read_bytes(), zipfile.ZIP_DEFLATED)
    content = stream.getvalue()
    return hashlib.sha256(content).hexdigest(), content


def _files() -> Iterator[tuple[Path, str]]:
    """Every file of the engine with its name in the archive."""
    for path in PACKAGE.rglob("*.py"):
        if "Resources" not in path.relative_to(PACKAGE).parts:
            yield path, path.relative_to(PACKAGE.parent).as_posix()
    for folder in reversed(FOLDERS):
        for kind in RESOURCES_NEEDED:
            for path in (folder / kind).rglob("*"):
                if path.is_file() and not path.name.startswith("."):
                    yield path, f"Resources/{path.relative_to(folder).as_posix()}"
