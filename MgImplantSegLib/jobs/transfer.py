"""Files on their way: the engine and inputs to an environment, results back. Only what is not there yet is copied."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events, Task
from MgImplantSegLib.base.files import atomic_output, output_errors, require_writable_folder
from MgImplantSegLib.jobs.agent.store import CHUNK_BYTES, DamagedCopy
from MgImplantSegLib.jobs.bundle import Bundle, make_bundle, state_of_files
from MgImplantSegLib.jobs.connection import Connection
from MgImplantSegLib.jobs.engine_archive import engine_archive
from MgImplantSegLib.jobs.environment import Environment


@dataclass(frozen=True)
class SentInput:
    """An input as the job sees it: its path there, and a text that changes when its content does."""

    there: str
    digest: str


def send_engine(connection: Connection, events: Events) -> tuple[str, str]:
    """Digest and folder there of this engine, sent if it is not there yet."""
    digest, archive = engine_archive()
    folder = connection.ask("engine", digest=digest)[0]["path"]
    if folder is None:
        with events.task("sending the engine", len(archive)) as task:
            _send_bytes(connection, digest, archive, task)
        folder = connection.ask("engine", digest=digest)[0]["path"]
    return digest, folder


def send_input(connection: Connection, environment: Environment, path: Path, events: Events) -> SentInput:
    """An input for a job: left in its place where the job can see it, else copied.

    Raises InputError if there is no such file or folder, here or behind the path mapping.
    """
    path = Path(os.path.abspath(path))
    if not path.exists():
        raise InputError(f"Expected a file or folder, got {path}, which does not exist.", "Correct the path.")
    there = _path_there(connection, environment, path)
    if there is None:
        bundle = make_bundle(path, events)
        return SentInput(f"{send_bundle(connection, bundle, events)}/{bundle.main}", bundle.digest)
    if connection.ask("missing_paths", paths=[there])[0]["missing"]:
        raise InputError(
            f"Expected {path} as {there} in the environment {environment.name!r}, got none there.",
            "Correct the environment's path_map.",
        )
    return SentInput(there, f"{there} {state_of_files(path)}")


def _path_there(connection: Connection, environment: Environment, path: Path) -> str | None:
    """Where the job sees a file as it is; None if it has to be copied."""
    mapped = mapped_path(path, environment.path_map)
    if not connection.is_here or mapped is not None:
        return mapped
    return str(path) if connection.ask("visible_paths", paths=[str(path)])[0]["visible"] else None


def mapped_path(path: Path, path_map: tuple[tuple[str, str], ...]) -> str | None:
    """The path there of a file below a mapped folder, by the longest folder that fits; None below none."""
    fitting = [(here, there) for here, there in path_map if path.is_relative_to(os.path.expanduser(here))]
    if not fitting:
        return None
    here, there = max(fitting, key=lambda pair: len(Path(os.path.expanduser(pair[0])).parts))
    below = path.relative_to(os.path.expanduser(here))
    is_windows = PureWindowsPath(there).drive != ""
    return str((PureWindowsPath if is_windows else PurePosixPath)(there, *below.parts))


def send_bundle(connection: Connection, bundle: Bundle, events: Events) -> str:
    """The bundle's folder there, after the files that were missing have been copied."""
    digests = sorted({member.sha256 for member in bundle.members})
    arrived = connection.ask("files_here", digests=digests)[0]["bytes"]
    missing = {member.sha256: member for member in bundle.members if arrived[member.sha256] is not None}
    with events.task(f"copying {bundle.main}", sum(member.bytes for member in missing.values())) as task:
        for member in missing.values():
            _send_file(connection, member.path, member.sha256, arrived[member.sha256], task)
    members = [{"path": member.name, "sha256": member.sha256} for member in bundle.members]
    return connection.ask("make_set", digest=bundle.digest, members=members)[0]["path"]


def fetch_results(connection: Connection, job: str, folder: Path, events: Events, under: str = "") -> list[Path]:
    """Copy a job's results into `folder`; files that are there with the right content are kept.

    With `under`, a folder of the results, only what is in it, without that part of the path. Raises OutputError if they
    cannot be written, or there is no room for them; DamagedCopy if a file arrives differently twice.
    """
    files = [file for file in connection.ask("results", job=job)[0]["files"] if file["path"].startswith(under)]
    folder = Path(os.path.abspath(folder))
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    places = {file["path"]: folder.joinpath(*_parts(file["path"][len(under) :])) for file in files}
    needed = [file for file in files if not _has_size(places[file["path"]], file["bytes"])]
    require_writable_folder(folder, sum(file["bytes"] for file in needed))
    with events.task("fetching results", sum(file["bytes"] for file in files)) as task:
        for file in files:
            _fetch_file(connection, job, file, places[file["path"]], task)
    return list(places.values())


def _send_file(connection: Connection, path: Path, digest: str, offset: int, task: Task) -> None:
    """Send the rest of a file from `offset` on; from its beginning if what arrived is damaged."""
    for start in (offset, 0):
        task.advance(start)
        with open(path, "rb") as stream:
            stream.seek(start)
            while chunk := stream.read(CHUNK_BYTES):
                connection.ask("put", chunk, digest=digest, offset=stream.tell() - len(chunk))
                task.advance(len(chunk))
        try:
            connection.ask("complete", digest=digest)
            return
        except DamagedCopy:
            task.advance(-path.stat().st_size)
            if start == 0:
                raise


def _send_bytes(connection: Connection, digest: str, content: bytes, task: Task) -> None:
    for offset in range(0, len(content), CHUNK_BYTES):
        chunk = content[offset : offset + CHUNK_BYTES]
        connection.ask("put", chunk, digest=digest, offset=offset)
        task.advance(len(chunk))
    connection.ask("complete", digest=digest)


def _fetch_file(connection: Connection, job: str, file: dict, target: Path, task: Task) -> None:
    """One result, tried twice: it may change while it is copied if the job still runs."""
    wanted = connection.ask("digest", job=job, path=file["path"])[0]["sha256"]
    if _has_size(target, file["bytes"]) and _digest(target) == wanted:
        task.advance(file["bytes"])
        return
    with output_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_output(target) as temporary:
        found = _receive(connection, job, file["path"], temporary, task)
        if found != wanted:
            wanted = connection.ask("digest", job=job, path=file["path"])[0]["sha256"]
            found = _receive(connection, job, file["path"], temporary, None)
        if found != wanted:
            raise DamagedCopy(
                f"Expected {file['path']} as it is there, got another content twice.",
                "Wait until the job has ended and fetch it again.",
            )


def _receive(connection: Connection, job: str, path: str, target: Path, task: Task | None) -> str:
    digest, offset = hashlib.sha256(), 0
    with open(target, "wb") as stream:
        while chunk := connection.ask("get", job=job, path=path, offset=offset)[1]:
            stream.write(chunk)
            digest.update(chunk)
            offset += len(chunk)
            if task is not None:
                task.advance(len(chunk))
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _parts(path: str) -> tuple[str, ...]:
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or not parts:
        raise InputError(f"Expected a result inside of the job's folder, got {path!r}.")
    return parts
