"""Files that go along with a job: a file or folder with what belongs to it, each known by its SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.events import Events, Task
from MgImplantSegLib.jobs.agent.store import CHUNK_BYTES
from MgImplantSegLib.jobs.digest_cache import DigestCache

DETACHED_HEADERS = {
    ".mhd": re.compile(rb"(?m)^\s*ElementDataFile\s*=\s*(.+?)\s*$"),
    ".nhdr": re.compile(rb"(?mi)^\s*data ?file\s*:\s*(.+?)\s*$"),
}
SAME_NAME = {".hdr": (".img", ".img.gz"), ".img": (".hdr",)}
BESIDE_A_FOLDER = ("reco.log",)
LONGEST_HEADER = 64 << 10


@dataclass(frozen=True)
class Member:
    """One file of a bundle: where it is here, and its name in the bundle (with /)."""

    path: Path
    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Bundle:
    """Files that stay together, and which of them (or which folder of them) is meant."""

    members: tuple[Member, ...]
    main: str

    @property
    def digest(self) -> str:
        """SHA-256 of names and contents."""
        names = [[member.name, member.sha256] for member in self.members]
        return hashlib.sha256(json.dumps(names, ensure_ascii=True).encode("ascii")).hexdigest()

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(member.bytes for member in self.members)


def make_bundle(path: Path, events: Events) -> Bundle:
    """The bundle of a file or of a folder; reads what it has not read before.

    Raises
    ------
    InputError
        If there is no such file or folder.
    """
    path = Path(os.path.abspath(path))
    files = sorted(set(_files(path)))
    known = DigestCache()
    with events.task(f"reading {path.name}", sum(file.stat().st_size for file in files)) as task:
        members = [_member(file, path.parent, known, task) for file in files]
    known.save()
    return Bundle(tuple(members), path.name)


def state_of_files(path: Path) -> str:
    """A text that changes when the file, or a file of the folder, changes; no content is read."""
    files = sorted(set(_files(Path(os.path.abspath(path)))))
    states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps(states, ensure_ascii=True).encode("ascii")).hexdigest()


def _member(file: Path, folder: Path, known: DigestCache, task: Task) -> Member:
    stat = file.stat()
    sha256 = known.get(file, stat)
    if sha256 is None:
        sha256 = _digest(file, task)
        known.put(file, stat, sha256)
    else:
        task.advance(stat.st_size)
    return Member(file, file.relative_to(folder).as_posix(), stat.st_size, sha256)


def _files(path: Path) -> Iterator[Path]:
    """All files that belong to one file or folder."""
    if path.is_file():
        yield path
        yield from _companions(path)
    elif path.is_dir():
        for parent, folders, names in os.walk(path, followlinks=True):
            folders.sort()
            yield from (Path(parent, name) for name in sorted(names) if Path(parent, name).is_file())
        yield from (path.parent / name for name in BESIDE_A_FOLDER if (path.parent / name).is_file())
    else:
        raise InputError(f"Expected a file or folder, got {path}, where there is none.", "Correct the path.")


def _companions(path: Path) -> Iterator[Path]:
    """Files that `path` cannot be read without: the data of a detached header, the other half of a pair."""
    suffix = path.suffix.lower()
    if suffix in DETACHED_HEADERS:
        with open(path, "rb") as stream:
            found = DETACHED_HEADERS[suffix].search(stream.read(LONGEST_HEADER))
        name = os.fsdecode(found[1]) if found else "LOCAL"
        target = Path(os.path.abspath(path.parent / name))
        if name.upper() not in ("LOCAL", "INTERNAL") and target.is_file() and target.is_relative_to(path.parent):
            yield target
    for other in SAME_NAME.get(suffix, ()):
        if path.with_suffix(other).is_file():
            yield path.with_suffix(other)
    if path.suffix.lower() in (".tif", ".tiff") and (path.parent / "reco.log").is_file():
        yield path.parent / "reco.log"


def _digest(path: Path, task: Task) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            task.advance(len(chunk))
    return digest.hexdigest()
