"""Files that were sent here, each kept once under its SHA-256; sets of files are put together from them by links.

blobs/ab/abcdef...        one file's content; `.part` while it is on its way
sets/<digest>/...         a set of files with their names, never changed once it is there
engines/<digest>/...      the engine, unpacked
cache/...                 samples as trainings have prepared them, for the next training
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from MgImplantSegLib.base.errors import InputError, MgImplantSegError
from MgImplantSegLib.base.files import atomic_folder, output_errors

DIGEST = re.compile(r"[0-9a-f]{64}")
CHUNK_BYTES = 4 << 20
OWN_NAMES = {  # on macOS the user's settings lie beside the jobs
    *("jobs", "blobs", "sets", "engines", "cache", "environments.toml", ".environments.toml.lock", "file-digests.json")
}


class DamagedCopy(MgImplantSegError):
    """What has arrived is not what was sent."""

    kind = "damaged"


class FileStore:
    """The files that jobs of this user on this machine work with.

    Parameters
    ----------
    root : Path
        Private folder.
    """

    def __init__(self, root: Path) -> None:
        self._blobs, self._sets, self._engines = root / "blobs", root / "sets", root / "engines"
        self._cache = root / "cache"

    def bytes_here(self, digests: list[str]) -> dict[str, int | None]:
        """How many bytes of each file have arrived; None for one that is complete."""
        return {digest: self._arrived(digest) for digest in digests}

    def append(self, digest: str, offset: int, payload: bytes) -> int:
        """Add bytes to a file on its way; returns how many are there now."""
        part = self._part(digest)
        with output_errors(part):
            part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(part, "r+b" if part.exists() else "w+b") as stream:
                stream.seek(offset)
                stream.write(payload)  # nothing is cut off behind it: another client may send the same file
                return stream.tell()

    def complete(self, digest: str) -> None:
        """Check a file that has arrived as a whole, and keep it.

        Raises DamagedCopy if its content is not what its name says, which is then deleted.
        """
        part = self._part(digest)
        with output_errors(part):
            part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.touch()
            found = file_digest(part)
            if found != digest:
                part.unlink()
                raise DamagedCopy("A file was damaged on its way.", "Try again; if it happens again, check the disk.")
            part.chmod(0o400)  # sets share it by links
            os.replace(part, self._blob(digest))

    def set_folder(self, set_digest: str, members: list[dict[str, Any]]) -> Path:
        """The folder of a set of files, put together if it is not there.

        Parameters
        ----------
        set_digest : str
            Of names and contents.
        members : list of dict
            ``path`` (relative, with /) and ``sha256`` of each file.
        """
        folder = self._sets / _checked(set_digest)
        if not folder.is_dir():
            self._make_private(self._sets)
            try:
                with atomic_folder(folder) as temporary:
                    for member in members:
                        _link(self._blob(member["sha256"]), temporary.joinpath(*_safe_parts(member["path"])))
            except MgImplantSegError:
                if not folder.is_dir():  # another client may have been quicker
                    raise
        return folder

    def engine_folder(self, digest: str) -> Path | None:
        """The folder with the engine of that digest; None if it is not here."""
        folder = self._engines / _checked(digest)
        return folder if folder.is_dir() else None

    def unpack_engine(self, digest: str) -> Path:
        """The folder of an engine that has arrived as a zip file."""
        folder = self._engines / _checked(digest)
        if not folder.is_dir():
            self._make_private(self._engines)
            try:
                with atomic_folder(folder) as temporary, zipfile.ZipFile(self._blob(digest)) as archive:
                    archive.extractall(temporary)
            except MgImplantSegError:
                if not folder.is_dir():
                    raise
        self._blob(digest).unlink(missing_ok=True)
        return folder

    def remove_unused(self, used: set[str]) -> int:
        """Delete sets and engines whose digest is not among `used`, and blobs of no set; returns bytes freed."""
        freed = 0
        for folder in (*_entries(self._sets), *_entries(self._engines)):
            if folder.name not in used:
                shutil.rmtree(folder, ignore_errors=True)
        for blob in (entry for shelf in _entries(self._blobs) for entry in _entries(shelf)):
            if blob.stat().st_nlink == 1:
                freed += blob.stat().st_size
                blob.unlink()
        return freed

    def remove_cache(self) -> int:
        """Delete the samples that trainings have prepared and kept; returns bytes freed."""
        freed = sum(path.stat().st_size for path in self._cache.rglob("*") if path.is_file())
        shutil.rmtree(self._cache, ignore_errors=True)
        return freed

    def _arrived(self, digest: str) -> int | None:
        if self._blob(digest).exists():
            return None
        part = self._part(digest)
        return part.stat().st_size if part.exists() else 0

    def _blob(self, digest: str) -> Path:
        return self._blobs / _checked(digest)[:2] / digest

    def _part(self, digest: str) -> Path:
        return self._blobs / _checked(digest)[:2] / f"{digest}.part"

    @staticmethod
    def _make_private(folder: Path) -> None:
        with output_errors(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def require_own_folder(root: Path) -> None:
    """Raise InputError if others work in `root`: it is made private, which would lock them out."""
    if os.name == "nt" or not root.is_dir() or not root.stat().st_mode & 0o077:
        return
    strange = sorted({entry.name for entry in root.glob("[!.]*")} - OWN_NAMES)
    if strange:
        raise InputError(
            f"Expected a folder of its own as root, got {root}, which has {strange[0]} in it.",
            f"Name a new folder: {root / 'mgimplantseg'}",
        )


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _checked(digest: str) -> str:
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise InputError(f"Expected a SHA-256, got {digest!r}.")
    return digest


def _safe_parts(path: str) -> tuple[str, ...]:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise InputError(f"Expected a path inside of the set, got {path!r}.")
    return parts


def _link(blob: Path, target: Path) -> None:
    """A hard link, a copy where the file system has none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(blob, target)
    except OSError:
        shutil.copyfile(blob, target)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
