"""`Backend`: jobs in one environment, whatever its kind. The same calls, the same answers, the same errors."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.jobs.agent.description import JobDescription
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.agent.outcome import event_in
from MgImplantSegLib.jobs.agent.scheduler import QueueDown
from MgImplantSegLib.jobs.connection import Connection, agent_settings
from MgImplantSegLib.jobs.connections import connect
from MgImplantSegLib.jobs.environment import Environment, Kind
from MgImplantSegLib.jobs.request import InputPath, InputText, JobRequest, slug
from MgImplantSegLib.jobs.transfer import fetch_results, send_engine, send_input

DIGITS_OF_ID = 10
SECONDS_OF_PATIENCE, SECONDS_BETWEEN_TRIES = 120.0, 2.0


@dataclass(frozen=True)
class JobStatus:
    """What is known of a job.

    Parameters
    ----------
    environment, job : str
        Together the job's reference ``ENVIRONMENT/JOB``.
    name, command : str
        For display.
    state : State
        pending, running, done, failed, cancelled or lost; damaged where its records cannot be read, unknown where
        they are of another version or scheduler.
    reason, remedy : str
        Why, and what to do; may be empty.
    created, ended : float
        Seconds since 1970; `ended` is None until it has ended.
    folder : str
        The job's folder there.
    queue_job : str, optional
        Its number in the cluster's queue.
    submitted_as : str
        Name of the environment that it was submitted to; environments may share a folder.
    is_new : bool, optional
        Of a submission: False if the same request was there already.
    """

    environment: str
    job: str
    name: str
    command: str
    state: State
    reason: str
    remedy: str
    created: float
    ended: float | None
    folder: str
    submitted_as: str = ""
    queue_job: str | None = None
    is_new: bool | None = None

    @property
    def reference(self) -> str:
        """Names the job from everywhere."""
        return f"{self.environment}/{self.job}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**vars(self), "state": self.state.value, "reference": self.reference}


Statuses = list[JobStatus]  # inside of `Backend`, `list` is its own
EventRecords = list[dict[str, Any]]
Paths = list[Path]
Words = list[str]


class Backend:
    """Jobs in one environment; a context manager that closes its connection.

    Parameters
    ----------
    connection : Connection, optional
        Another way to its agent.
    """

    def __init__(self, environment: Environment, connection: Connection | None = None) -> None:
        self.environment = environment
        self._connection = connection or connect(environment)

    def __enter__(self) -> Backend:
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()

    def submit(self, request: JobRequest, events: Events) -> JobStatus:
        """Send what the job needs and start it; the same request twice is one job.

        A cluster's controller that is down is waited for, `SECONDS_OF_PATIENCE` at most; so do `cancel` and `resume`.
        Raises Cancelled if `events` are cancelled while it waits; MgImplantSegError if the environment cannot be
        reached, or does not take the job; nothing runs then.
        """
        self._ask("hello")
        engine_digest, engine = send_engine(self._connection, events)
        words, digests, texts = self._send_words(request, events)
        program = send_input(self._connection, self.environment, request.program, events) if request.program else None
        description = self._description(request, engine, words, program.there if program else None)
        same = [description.to_dict(), texts, engine_digest, digests, program.digest if program else "", request.again]
        job = f"{slug(request.name)}-{_short_digest(same)}"
        sent = (engine_digest, *digests, *([program.digest] if program else []))
        whole = replace(description, digests=sent, environment=self.environment.name, submission=uuid.uuid4().hex)
        return self._ask_patiently(events, "submit", job=job, description=whole.to_dict(), inputs=texts)

    def array_limit(self) -> int | None:
        """How many jobs an array may have there; None: any number."""
        return self._ask("array_limit")["jobs"]

    def submit_array(
        self,
        request: JobRequest,
        array: str,
        tasks: Sequence[Sequence[str]],
        at_once: int,
        events: Events,
        after: str = "",
    ) -> Words:
        """Send what the jobs need once and start one for each of `tasks`, the words after those of the request.

        Parameters
        ----------
        request : JobRequest
            What they have in common.
        array : str
            A name that no other array has; the same name again completes an array whose submission was cut off.
        tasks : sequence of sequences of str
            Further words of each job.
        at_once : int
            How many may run at the same time, where there is a queue that can hold others back; 0: all.
        after : str
            A job of another array that has to be over before any of these starts, where there is a queue; empty: none.

        Returns
        -------
        list of str
            Names of the jobs, in the order of `tasks`.
        """
        self._ask("hello")
        engine_digest, engine = send_engine(self._connection, events)
        words, digests, texts = self._send_words(request, events)
        description = self._description(request, engine, words, None)
        sent = (engine_digest, *digests)
        whole = replace(description, digests=sent, environment=self.environment.name, submission=array)
        given = {"array": array, "description": whole.to_dict(), "inputs": texts}
        words_of_tasks = [list(task) for task in tasks]
        return self._patiently(events, "submit_array", **given, tasks=words_of_tasks, at_once=at_once, after=after)[
            "jobs"
        ]

    def look_all(self, jobs: Sequence[str], offsets: Sequence[int]) -> EventRecords:
        """State, reason and events since an offset, of many jobs: one answer for all."""
        return self._ask("look_all", jobs=[*jobs], offsets=[*offsets])["jobs"]

    def ask_to_stop(self, jobs: Sequence[str]) -> None:
        """Ask many jobs to stop, without waiting for it."""
        self._ask("ask_to_stop", jobs=[*jobs])

    def status(self, job: str) -> JobStatus:
        """What is known of a job now."""
        return self._status(self._ask("status", job=job))

    def list(self) -> Statuses:
        """All jobs of the environment, oldest first."""
        return [self._status(entry) for entry in self._ask("list")["jobs"]]

    def cancel(self, job: str, events: Events | None = None) -> JobStatus:
        """Stop a job; nothing of it is still running when this returns."""
        return self._ask_patiently(events or Events(), "cancel", job=job)

    def resume(self, job: str, events: Events | None = None) -> JobStatus:
        """Start a job that has ended again; a training continues from its checkpoint."""
        return self._ask_patiently(events or Events(), "resume", job=job)

    def remove(self, job: str) -> None:
        """Delete a job that has ended, with its results there."""
        self._ask("remove", job=job)

    def clean(self) -> int:
        """Delete files there that no job uses any more; returns bytes freed."""
        return self._ask("clean")["freed_bytes"]

    def read_log(self, job: str, offset: int = 0) -> bytes:
        """Bytes of the log from an offset on, a few MB at most."""
        return self._connection.ask("read", job=job, file="log", offset=offset)[1]

    def read_events(self, job: str, offset: int = 0) -> tuple[EventRecords, int]:
        """Events from an offset on, and the offset where the next ones will begin."""
        content = self._connection.ask("read", job=job, file="events", offset=offset)[1]
        whole = content[: content.rfind(b"\n") + 1]
        return [record for line in whole.splitlines() if (record := event_in(line))], offset + len(whole)

    def fetch(self, job: str, folder: Path, events: Events, under: str = "") -> Paths:
        """Copy the job's results, or those of one folder of them, into `folder`.

        Every file is checked by size and SHA-256; those that are there already with the right content are kept.
        """
        return fetch_results(self._connection, job, folder, events, under)

    def test(self) -> EventRecords:
        """Checks of the environment: ``name``, ``ok``, ``found``, ``remedy``."""
        return self._ask("probe")["checks"]

    def driver(self) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        """The newest CUDA version that the NVIDIA driver there takes, and the oldest GPU's compute capability."""
        found = self._ask("driver")
        return _version(found["cuda"]), _version(found["capability"])

    def _description(
        self, request: JobRequest, engine: str, words: Sequence[str], program: str | None
    ) -> JobDescription:
        """What the job is, apart from what was sent for it and by which submission."""
        environment, settings = self.environment, agent_settings(self.environment)
        return JobDescription(
            name=request.name,
            shown=request.shown,
            arguments=tuple(words),
            program=program,
            engine=engine,
            python=settings.python,
            variables=dict(environment.variables),
            grace_s=environment.grace_s,
            processes=environment.processes_per_node if request.is_parallel else 1,
            nodes=environment.nodes if request.is_parallel else 1,
            keeps_variables=environment.kind is Kind.THIS,
            scheduler=settings.scheduler,
            resume_arguments=tuple(request.resume_words),
            checkpoint=request.checkpoint,
        )

    def _send_words(self, request: JobRequest, events: Events) -> tuple[Words, Words, dict[str, str]]:
        """The words as they are meant there; digests that identify what was sent; texts for the job's inputs."""
        words: Words = []
        digests: Words = []
        texts: dict[str, str] = {}

        def send(path: Path) -> str:
            sent = send_input(self._connection, self.environment, path, events)
            digests.append(sent.digest)
            return sent.there

        for word in request.words:
            if isinstance(word, InputPath):
                words.append(word.before + send(word.path))
            elif isinstance(word, InputText):
                words.append(f"../inputs/{word.name}")
                texts[word.name] = word.compose(send)
            else:
                if not self._connection.is_here and Path(word).is_absolute():
                    events.warning(f"{word} does not exist here; it is meant as a path there and is not fetched.")
                words.append(word)
        return words, digests, texts

    def _ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return self._connection.ask(operation, **arguments)[0]

    def _ask_patiently(self, events: Events, operation: str, **arguments: Any) -> JobStatus:
        """Ask for a change of a job, see `_patiently`."""
        return self._status(self._patiently(events, operation, **arguments))

    def _patiently(self, events: Events, operation: str, **arguments: Any) -> dict[str, Any]:
        """Ask for a change; again and again while a cluster's controller is down, which does not last."""
        deadline, is_said = time.monotonic() + SECONDS_OF_PATIENCE, False
        while True:
            try:
                return self._ask(operation, **arguments)
            except QueueDown as error:
                if time.monotonic() > deadline:
                    raise
                if not is_said:
                    events.warning(f"{error.message} Trying again for {SECONDS_OF_PATIENCE:g} s.", error.kind)
                is_said = True
            events.check_cancelled()
            time.sleep(SECONDS_BETWEEN_TRIES)

    def _status(self, answer: dict[str, Any]) -> JobStatus:
        known = {entry.name for entry in fields(JobStatus)}  # an agent of a newer version may say more
        answer = {name: value for name, value in answer.items() if name in known}
        return JobStatus(**{**answer, "environment": self.environment.name, "state": State(answer["state"])})


def _version(numbers: Sequence[int] | None) -> tuple[int, int] | None:
    return (numbers[0], numbers[1]) if numbers else None


def _short_digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:DIGITS_OF_ID]
