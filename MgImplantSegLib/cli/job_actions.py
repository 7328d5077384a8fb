"""What ``jobs`` can do with jobs: one function an action, each returns its result with a text for display."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import Cancelled, InputError, MgImplantSegError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli import job_environments
from MgImplantSegLib.cli.job_manifest import with_files_of_manifest
from MgImplantSegLib.cli.job_pairs import with_scans_of_pairs
from MgImplantSegLib.cli.parser import Parser
from MgImplantSegLib.cli.registry import PROGRAM, command
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.backend import Backend, JobStatus
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.environment_file import find_environment, known_environments
from MgImplantSegLib.jobs.request import JobRequest, engine_request
from MgImplantSegLib.jobs.training_request import TRAINING_COMMANDS, training_request
from MgImplantSegLib.jobs.watch import follow

SECONDS_BETWEEN_LOOKS = 1.0


def submit(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Start a job; with ``--watch`` follow it."""
    words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    with Backend(find_environment(arguments.environment)) as backend:
        status = backend.submit(request_of(words, arguments.name, arguments.again), events)
        if arguments.watch:
            _say(f"{status.reference}\n")
            status = _follow(backend, status, events)
    return _result(status)


def request_of(words: list[str], name: str, again: str) -> JobRequest:
    """The request for a typed command; a training's configuration goes along with all that it names."""
    if words:
        require_arguments(words)
    if not words or words[0] not in TRAINING_COMMANDS:
        return with_scans_of_pairs(with_files_of_manifest(engine_request(words, name=name, again=again)))
    if len(words) < 2 or words[1].startswith("-") or "--resume" in words:
        raise InputError(
            f"Expected {words[0]} CONFIG.toml and no --resume, got {' '.join(words)!r}.",
            "To continue a job: jobs resume",
        )
    return training_request(Path(words[1]), command=words[0], words=tuple(words[2:]), name=name, again=again)


def require_arguments(words: list[str]) -> None:
    """Raise InputError, before anything is sent, unless the words are a command that this program takes."""
    chosen = command(words[0])
    parser = Parser(prog=f"{PROGRAM} {words[0]}")
    chosen.add_arguments(parser)
    job_environments.add_common(parser)
    parser.parse_all(words[1:])


def list_jobs(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """All jobs; an environment that does not answer is a warning."""
    known, faults = known_environments()
    chosen = [find_environment(arguments.environment)] if arguments.environment else list(known.values())
    for fault in () if arguments.environment else faults:
        events.warning(str(fault))
    names, jobs = set(known), []
    for environment in chosen:
        try:
            with Backend(environment) as backend:
                jobs += [status for status in backend.list() if status.submitted_as not in names - {environment.name}]
        except MgImplantSegError as error:
            if arguments.environment:
                raise
            events.warning(f"{environment.name}: {error}")
    here = {environment.name for environment in chosen if environment.is_here}
    jobs = sorted(_each_folder_once(jobs, here), key=lambda status: status.created)
    lines = [line for status in jobs for line in _lines(status)]
    return {"jobs": [status.to_dict() for status in jobs], "text": "\n".join(lines) or "No jobs."}


def _each_folder_once(jobs: list[JobStatus], here: set[str]) -> list[JobStatus]:
    """The jobs; those that do not say where they were submitted once, though environments may share their folder."""
    seen: dict[tuple[bool, str], JobStatus] = {}
    for status in jobs:
        is_shared = status.environment in here and not status.submitted_as
        key = (True, status.folder) if is_shared else (False, status.reference)
        seen.setdefault(key, status)
    return list(seen.values())


def _lines(status: JobStatus) -> list[str]:
    """One line a job; a second one with what is wrong where its records cannot be read."""
    line = f"{status.state.value:<10}{_when(status.created):<18}{status.reference}"
    is_readable = status.state not in (State.DAMAGED, State.UNKNOWN)
    return [line] if is_readable else [line, f"          {status.reason} {status.remedy}".rstrip()]


def status(arguments: argparse.Namespace, _events: Events) -> dict[str, Any]:
    """How a job is doing."""
    with _backend_of(arguments.job) as (backend, job):
        return _result(backend.status(job))


def watch(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Follow a job to its end."""
    with _backend_of(arguments.job) as (backend, job):
        return _result(_follow(backend, backend.status(job), events))


def log(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """The log from an offset on; with ``--follow`` as it grows."""
    with _backend_of(arguments.job) as (backend, job):
        offset, parts = arguments.offset, []
        while True:
            is_over = not arguments.follow or backend.status(job).state.is_final
            while part := backend.read_log(job, offset):
                offset += len(part)
                text = part.decode("utf-8", "replace")
                if arguments.follow:
                    _say(text)
                else:
                    parts.append(text)
            if is_over:
                return {"log": "".join(parts), "next_offset": offset, "text": "".join(parts)}
            events.check_cancelled()
            time.sleep(SECONDS_BETWEEN_LOOKS)


def cancel(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Stop a job."""
    with _backend_of(arguments.job) as (backend, job):
        return _result(backend.cancel(job, events))


def resume(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Start a job again."""
    with _backend_of(arguments.job) as (backend, job):
        return _result(backend.resume(job, events))


def fetch(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Copy results here."""
    with _backend_of(arguments.job) as (backend, job):
        folder = arguments.to or Path(job)
        files = [str(path) for path in backend.fetch(job, folder, events)]
    return {"folder": str(folder), "files": files, "text": "\n".join(files) or "The job has no results (yet)."}


def remove(arguments: argparse.Namespace, _events: Events) -> dict[str, Any]:
    """Delete a job."""
    with _backend_of(arguments.job) as (backend, job):
        backend.remove(job)
    return {"removed": arguments.job, "text": f"Removed {arguments.job}."}


def clean(arguments: argparse.Namespace, _events: Events) -> dict[str, Any]:
    """Delete unused files of an environment."""
    with Backend(find_environment(arguments.environment)) as backend:
        freed = backend.clean()
    return {"freed_bytes": freed, "text": f"{freed / 1e6:.1f} MB freed."}


class _backend_of:
    """The backend and the name of a job that is given as ENVIRONMENT/JOB, or as JOB and looked for."""

    def __init__(self, reference: str) -> None:
        name, slash, job = reference.rpartition("/")
        self._job = job
        self._backend = Backend(find_environment(name)) if slash else Backend(_environment_with(job))

    def __enter__(self) -> tuple[Backend, str]:
        return self._backend, self._job

    def __exit__(self, *error: object) -> None:
        self._backend.__exit__(*error)


def _environment_with(job: str) -> Environment:
    """The environment that has the job; those of this computer are asked first."""
    for environment in sorted(known_environments()[0].values(), key=lambda environment: not environment.is_here):
        try:
            with Backend(environment) as backend:
                backend.status(job)
            return environment
        except MgImplantSegError:
            continue
    raise InputError(f"Expected a job, got {job!r}, which is in no environment that answers.", "See: jobs list")


def _follow(backend: Backend, status: JobStatus, events: Events) -> JobStatus:
    try:
        ended = follow(backend, status.job, events)
    except (Cancelled, KeyboardInterrupt):
        _say(f"{status.reference} continues; stop it with: jobs cancel {status.reference}\n")
        raise
    if ended.state is not State.DONE:
        raise MgImplantSegError(
            f"Expected {ended.reference} to finish successfully, got {ended.state.value}: {ended.reason}",
            ended.remedy or f"See: jobs log {ended.reference}",
        )
    return ended


def _result(status: JobStatus) -> dict[str, Any]:
    lines = [f"{status.reference}  {status.state.value}"]
    if status.is_new is False:
        lines.append("This is the same request as before; use --again TEXT to run it once more.")
    lines += [line for line in (status.reason, status.remedy) if line]
    return {**status.to_dict(), "text": "\n".join(lines)}


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
