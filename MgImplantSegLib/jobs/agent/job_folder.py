"""One job as a folder: what was asked, what happens, what came out. Everything about a job is read from here.

job.json      what was asked; written once
inputs/       configuration files sent along
runner.json   who runs the job: process, machine, attempt, last sign of life
NAME.json     its number in the queue of the cluster's scheduler NAME
stop          present once somebody asked to stop
exit.json     how it ended
events.jsonl  events of the command and of the runner, one line each
log.txt       what the command printed
results/      its working directory
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.base.files import atomic_output, output_errors
from MgImplantSegLib.jobs.agent.description import JobDescription, require_known_version
from MgImplantSegLib.jobs.agent.records import Record, WrongValues, damaged, read_record

IDENTITY = re.compile(r"[0-9]{1,10} \S+ \S+")
QUEUE_NUMBER, CLUSTER = re.compile(r"[0-9]{1,20}(_[0-9]{1,10})?"), re.compile(r"(?!-)[\w.-]{0,100}")
VALID_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LAST_BYTES, LONGEST_LINE = 4096, 300
RESERVE_BYTES = 64 << 10
LONGEST_STATE = 40


class State(str, Enum):
    """What a job can be."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    DAMAGED = "damaged"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen by itself, as far as can be known."""
        return self not in (State.PENDING, State.RUNNING)


@dataclass(frozen=True)
class Ended:
    """The record of a job's end, ``exit.json``: that of an outcome with the time, in seconds since 1970."""

    state: str
    reason: str
    remedy: str
    ended: float
    is_provisional: bool = False

    def __post_init__(self) -> None:
        if self.state not in {state.value for state in State}:
            raise WrongValues(f"{self.state[:LONGEST_STATE]!r} as 'state', not one of a job")


@dataclass(frozen=True)
class RunnerRecord:
    """Who runs a job, ``runner.json``.

    Parameters
    ----------
    process : str
        Its identity, as `processes.identity` gives it.
    last_sign : float
        Seconds since 1970 of its last sign of life.
    """

    process: str
    machine: str
    last_sign: float

    def __post_init__(self) -> None:
        if not IDENTITY.fullmatch(self.process):
            raise WrongValues("something else than a process as 'process'")


@dataclass(frozen=True)
class QueueRecord:
    """A job's number in the queue of a cluster (``12_3`` in an array), and its name where several share a queue."""

    job: str
    cluster: str = ""

    def __post_init__(self) -> None:
        if not QUEUE_NUMBER.fullmatch(self.job) or not CLUSTER.fullmatch(self.cluster):
            raise WrongValues("something else than a job's number as 'job'")


class JobFolder:
    """Reads and writes one job's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events, self.log = path / "events.jsonl", path / "log.txt"
        self.results, self.inputs = path / "results", path / "inputs"
        self._stop, self._reserve = path / "stop", path / ".reserve"

    @classmethod
    def create(cls, path: Path, description: JobDescription, inputs: dict[str, str]) -> JobFolder:
        """A new private folder with the description and the texts of `inputs`; it is whole or not there.

        Raises FileExistsError if there is a folder of that name.
        """
        new = cls(path.parent / f".new-{os.getpid()}-{time.monotonic_ns()}")
        with output_errors(path):
            for folder in (new.path, new.results, new.inputs):
                folder.mkdir(mode=0o700)
            for name, text in inputs.items():
                (new.inputs / name).write_bytes(text.encode("utf-8", "surrogateescape"))
            for file in (new.events, new.log):
                file.touch()
            new._reserve.write_bytes(os.urandom(RESERVE_BYTES))
        new.write("job", description)
        try:
            new.path.rename(path)
        except OSError as error:
            new.remove()
            if path.exists():
                raise FileExistsError(path) from error
            raise
        return cls(path)

    @property
    def description(self) -> JobDescription:
        """What was asked.

        Raises DamagedRecord if there is none that can be understood, naming the file; OtherVersion if a later version
        of this program wrote it.
        """
        path = self.path / "job.json"
        found = read_record(path, JobDescription, require_known_version)
        if found is None:
            raise damaged(path, "no such file")
        return found

    @property
    def ended(self) -> Ended | None:
        """How it ended; None if it has not."""
        return self.read("exit", Ended)

    @property
    def runner(self) -> RunnerRecord | None:
        """Who runs it; None if nobody did yet."""
        return self.read("runner", RunnerRecord)

    def read(self, name: str, kind: type[Record]) -> Record | None:
        """The record in ``NAME.json``; None if it is not there (yet).

        Raises DamagedRecord if the file is something else.
        """
        return read_record(self.path / f"{name}.json", kind)

    def write(self, name: str, record: Any) -> None:
        """Replace ``NAME.json`` as a whole; on a full disk the space kept back for this is used."""
        text = json.dumps(asdict(record), indent=1, ensure_ascii=True) + "\n"
        for is_last_try in (False, True):
            try:
                with atomic_output(self.path / f"{name}.json") as temporary:
                    temporary.write_text(text, "ascii")
                return
            except OutputError:
                if is_last_try or not self._reserve.exists():
                    raise
                self._reserve.unlink()

    def append_event(self, event: str, **fields: Any) -> None:
        """Add one event as a line of its own, even if another writer was cut off in the middle of one."""
        record = {"version": 1, "time": round(time.time(), 3), "event": event, **fields}
        with open(self.events, "a+b", buffering=0) as stream:
            if stream.seek(0, os.SEEK_END) > 0:
                stream.seek(-1, os.SEEK_END)
                is_open_line = stream.read(1) != b"\n"
            else:
                is_open_line = False
            stream.write(b"\n" * is_open_line + json.dumps(record).encode("ascii") + b"\n")

    def last_line(self) -> str:
        """The last line of the log, shortened; empty if there is none."""
        with suppress(OSError), open(self.log, "rb") as stream:
            stream.seek(max(0, self.log.stat().st_size - LAST_BYTES))
            lines = stream.read().decode("utf-8", "replace").strip().splitlines()
            return lines[-1].strip()[:LONGEST_LINE] if lines else ""
        return ""

    @property
    def stop_is_asked(self) -> bool:
        """Whether somebody asked to stop."""
        return self._stop.exists()

    def ask_to_stop(self) -> None:
        """Ask whoever runs the job to stop it."""
        with output_errors(self._stop):
            self._stop.touch()

    def prepare_next_attempt(self) -> None:
        """Put the traces of the last attempt aside, so that the job counts as not started."""
        number = len(list(self.path.glob("job.attempt-*"))) + 1
        (self.path / f"job.attempt-{number}").touch()
        for path in self.path.glob("*.json"):
            if "." not in path.stem and path.name != "job.json":
                os.replace(path, self.path / f"{path.stem}.attempt-{number}.json")
        self._stop.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the folder, or what is there in its place."""
        if self.path.is_symlink() or not self.path.is_dir():
            self.path.unlink(missing_ok=True)
            return
        going = self.path.with_name(f".old-{os.getpid()}-{time.monotonic_ns()}")
        try:
            self.path.rename(going)  # nobody sees half a job
        except OSError:
            going = self.path
        shutil.rmtree(going, ignore_errors=True)


def require_valid_id(job_id: str) -> str:
    """`job_id` if it can name a job; it never leads out of the jobs' folder."""
    if not isinstance(job_id, str) or not VALID_ID.fullmatch(job_id):
        raise InputError(f"Expected a job's name (letters, digits, . _ -), got {job_id!r}.", "See: jobs list")
    return job_id
