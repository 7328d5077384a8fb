"""Files that go along with a job: a file or folder with what belongs to it, each known by its SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events, Task
from MgImplantSegLib.base.file_digests import FileDigests, states_digest
from MgImplantSegLib.base.files import output_errors
from MgImplantSegLib.io.companions import files_behind
from MgImplantSegLib.jobs.environment_file import configuration_folder

BESIDE_A_FOLDER = ("reco.log",)
FILE_NAME = "file-digests.json"


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
    """The bundle of a file or of a folder with what lies beside or below it; reads what it has not read before.

    Raises InputError if there is no such file or folder.
    """
    path = Path(os.path.abspath(path))
    files = sorted({file for file in _files(path) if file.is_relative_to(path.parent)})
    cache = configuration_folder() / FILE_NAME
    known = FileDigests.read(cache)
    with events.task(f"reading {path.name}", sum(file.stat().st_size for file in files)) as task:
        members = [_member(file, path.parent, known, task) for file in files]
    with output_errors(cache):
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    known.write(cache)
    return Bundle(tuple(members), path.name)


def state_of_files(path: Path) -> str:
    """A text that changes when the file, or a file of the folder, changes; no content is read."""
    return states_digest(_files(Path(os.path.abspath(path))))


def _member(file: Path, folder: Path, known: FileDigests, task: Task) -> Member:
    sha256 = known.of(file, task.advance)
    return Member(file, file.relative_to(folder).as_posix(), file.stat().st_size, sha256)


def _files(path: Path) -> Iterator[Path]:
    """All files that belong to one file or folder, wherever they lie."""
    if path.is_file():
        yield from (Path(os.path.abspath(file)) for file in files_behind(path))
    elif path.is_dir():
        for parent, folders, names in os.walk(path, followlinks=True):
            folders.sort()
            yield from (Path(parent, name) for name in sorted(names) if Path(parent, name).is_file())
        yield from (path.parent / name for name in BESIDE_A_FOLDER if (path.parent / name).is_file())
    else:
        raise InputError(f"Expected a file or folder, got {path}, which does not exist.", "Correct the path.")
