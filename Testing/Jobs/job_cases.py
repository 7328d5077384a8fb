"""What the tests of jobs have in common: small requests, and waiting for what they become."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.jobs.agent.description import JobDescription
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.agent.processes import marked
from MgImplantSegLib.jobs.backend import Backend, JobStatus
from MgImplantSegLib.jobs.request import JobRequest

WORKER = Path(__file__).with_name("worker.py")
LONG = "6000"
SECONDS_TO_WAIT = 300
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.4  # a look at a cluster or a host takes processor time


def worker_request(mode: str, steps: str, *words: str, name: str = "work", again: str | None = None) -> JobRequest:
    """The small worker; not the same request as any other unless `again` is given."""
    return JobRequest(
        (mode, steps, *words),
        name,
        program=WORKER,
        resume_words=("--resume",),
        checkpoint="checkpoint.json",
        again=uuid.uuid4().hex if again is None else again,
    )


def a_description(**values) -> JobDescription:
    """The description of a job, with these values."""
    common = {"name": "n", "shown": "model list", "arguments": ("model", "list"), "program": None, "engine": "/engine"}
    common |= {"python": sys.executable, "variables": {}, "grace_s": 1.0, "processes": 1, "nodes": 1}
    common |= {"keeps_variables": False, "scheduler": "process", "resume_arguments": (), "checkpoint": ""}
    return JobDescription(**{**common, **values})


def wait_for(holds: Callable[[], object], what: str, seconds: float = SECONDS_TO_WAIT) -> object:
    """The first true value of `holds()`; AssertionError after `seconds`."""
    end, pause_s = time.monotonic() + seconds, SHORTEST_PAUSE_S
    while not (found := holds()):
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(pause_s)
        pause_s = min(1.3 * pause_s, LONGEST_PAUSE_S)
    return found


def run_to_end(backend: Backend, request: JobRequest) -> JobStatus:
    """Submit and wait until nothing more happens."""
    status = backend.submit(request, Events())
    return wait_until_final(backend, status.job)


def wait_until_final(backend: Backend, job: str, seconds: float = SECONDS_TO_WAIT) -> JobStatus:
    """The status once it is final."""
    wait_for(lambda: backend.status(job).state.is_final, "the end of the job", seconds)
    return backend.status(job)


def submit_and_wait_for_metric(backend: Backend, request: JobRequest) -> JobStatus:
    """Submit; return when the command has told of its work."""
    submitted = backend.submit(request, Events())
    wait_for(lambda: metrics(backend, submitted.job), "the first metric")
    status = backend.status(submitted.job)
    assert status.state is State.RUNNING
    return replace(status, is_new=submitted.is_new)


def metrics(backend: Backend, job: str) -> list[dict]:
    """All metrics that the job has told of."""
    return [record for record in backend.read_events(job)[0] if record["event"] == "metric"]


def attempts(backend: Backend, status: JobStatus) -> list[bool]:
    """Whether each attempt so far went on from a checkpoint."""
    return [record["resumed"] for record in backend.read_events(status.job)[0] if record["event"] == "attempt"]


def still_running(status: JobStatus) -> list[int]:
    """Processes that belong to the job."""
    return marked(status.folder)
