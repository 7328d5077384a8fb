"""Following a job: its events as they come, from any process, until it has ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import Cancelled, MgImplantSegError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.backend import Backend, JobStatus
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.request import JobRequest

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.2, 3.0
SECONDS_BETWEEN_STATES = 2.0
MOST = 1e18
PASSED_ON = ("progress", "metric", "warning", "sample")


def follow(backend: Backend, job: str, events: Events, offset: int = 0) -> JobStatus:
    """Pass the job's progress, metrics and warnings on to `events` until it ends; returns how it ended.

    Raises Cancelled if `events` are cancelled; the job continues.
    """
    wait_s, last_look, status = SHORTEST_WAIT_S, time.monotonic(), backend.status(job)
    while True:
        events.check_cancelled()
        if time.monotonic() - last_look > SECONDS_BETWEEN_STATES:
            status, last_look = backend.status(job), time.monotonic()
        records, new_offset = backend.read_events(job, offset)
        for record in records:
            _pass_on(record, events)
            if record["event"] == "ended":
                last_look = float("-inf")
        if status.state.is_final and new_offset == offset:
            return status
        wait_s = SHORTEST_WAIT_S if new_offset > offset else min(2 * wait_s, LONGEST_WAIT_S)
        offset = new_offset
        pause(wait_s, events)


@dataclass(frozen=True)
class FinishedJob:
    """A job that ended well: its reference, the files it brought, and the result that its command reported."""

    reference: str
    files: tuple[Path, ...]
    result: dict[str, Any]


def run_job(environment: Environment, request: JobRequest, folder: Path, events: Events) -> FinishedJob:
    """Run a request elsewhere as if it ran here: send, follow, fetch the results into `folder`; cancel stops the job.

    Raises MgImplantSegError if the job does not end well, saying why; Cancelled if `events` are cancelled; the job is
    stopped then.
    """
    with Backend(environment) as backend:
        status = backend.submit(request, events)
        try:
            status = followed_to_success(backend, status.job, events)
        except Cancelled:
            backend.cancel(status.job)
            raise
        return collected(backend, status, folder, events)


def followed_to_success(backend: Backend, job: str, events: Events) -> JobStatus:
    """As `follow`; raises `MgImplantSegError` with the reason if the job does not end well."""
    status = follow(backend, job, events)
    if status.state is not State.DONE:
        raise MgImplantSegError(
            f"Expected the job {status.reference} to finish successfully, got {status.state.value}: {status.reason}",
            status.remedy or f"See: jobs log {status.reference}",
        )
    return status


def collected(backend: Backend, status: JobStatus, folder: Path, events: Events) -> FinishedJob:
    """Copy the results of a job that ended well into `folder`."""
    files = tuple(backend.fetch(status.job, folder, events))
    return FinishedJob(status.reference, files, last_result(backend, status.job))


def pause(seconds: float, events: Events) -> None:
    """Wait, but not when the user asks to stop: raises `Cancelled` then."""
    end = time.monotonic() + seconds
    events.check_cancelled()
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, SHORTEST_WAIT_S))
        events.check_cancelled()


def last_result(backend: Backend, job: str) -> dict[str, Any]:
    """What the command of a job has reported as its result; empty if nothing."""
    found: dict[str, Any] = {}
    offset = 0
    while records := (chunk := backend.read_events(job, offset))[0]:
        offset = chunk[1]
        found = next((record for record in reversed(records) if record["event"] == "result"), found)
    return {name: value for name, value in found.items() if name not in ("version", "time", "event")}


def _pass_on(record: dict[str, Any], events: Events) -> None:
    """Hand on what is understood here; lines of a damaged file are not."""
    if record["event"] in PASSED_ON and _is_sound(record):
        events.emit(**{name: value for name, value in record.items() if name not in ("version", "time", "self")})


def _is_sound(record: dict[str, Any]) -> bool:
    """Whether the fields that are drawn or said have the right types."""
    if record["event"] == "warning":
        return isinstance(record.get("message"), str)
    if record["event"] == "sample":
        return _is_sound_sample(record)
    if record["event"] == "metric":
        return all(value is None or isinstance(value, (bool, int, float, str)) for value in record.values())
    left = record.get("eta_s")
    numbers = [record.get("done"), record.get("total"), 0 if left is None else left]
    return isinstance(record.get("stage"), str) and all(map(_is_number, numbers))


def _is_sound_sample(record: dict[str, Any]) -> bool:
    """Whether what a batch says of a sample can be shown."""
    texts = all(isinstance(record.get(name), str) for name in ("sample", "state", "problem"))
    measures, seconds = record.get("measures"), record.get("seconds")
    return (
        texts
        and isinstance(measures, list)
        and all(isinstance(entry, dict) and {"symbol", "unit", "value"} <= set(entry) for entry in measures)
        and (seconds is None or _is_number(seconds))
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < MOST
