"""One job as a folder: what was asked, what happens, what came out. Everything about a job is read from here.

job.json      what was asked; written once
inputs/       configuration files sent along
runner.json   who runs the job: process, machine, attempt, last sign of life
slurm.json    the cluster's number of the job
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
import time
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

from MgImplantSegLib.errors import InputError, OutputError
from MgImplantSegLib.files import atomic_output, output_errors

VALID_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ARCHIVED = ("exit", "runner", "slurm")
LAST_BYTES, LONGEST_LINE = 4096, 300
RESERVE_BYTES = 64 << 10


class State(str, Enum):
    """What a job can be."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self not in (State.PENDING, State.RUNNING)


class JobFolder:
    """Reads and writes one job's folder.

    Parameters
    ----------
    path : Path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events, self.log = path / "events.jsonl", path / "log.txt"
        self.results, self.inputs = path / "results", path / "inputs"
        self._stop, self._reserve = path / "stop", path / ".reserve"

    @classmethod
    def create(cls, path: Path, description: dict[str, Any], inputs: dict[str, str]) -> JobFolder:
        """A new private folder with the description and the texts of `inputs`; it is whole or not there.

        Raises
        ------
        FileExistsError
            If there is a folder of that name.
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
    def description(self) -> dict[str, Any]:
        """What was asked.

        Raises
        ------
        InputError
            If the folder is no job.
        """
        found = self.read("job")
        if found is None:
            raise InputError(f"Expected a job in {self.path}, got none.", "See which there are: jobs list")
        return found

    def read(self, name: str) -> dict[str, Any] | None:
        """The content of ``NAME.json``; None if it is not there (yet)."""
        try:
            return json.loads((self.path / f"{name}.json").read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Replace ``NAME.json`` as a whole; on a full disk the space kept back for this is used."""
        text = json.dumps(content, indent=1, ensure_ascii=True) + "\n"
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
        for name in ARCHIVED:
            if (self.path / f"{name}.json").exists():
                os.replace(self.path / f"{name}.json", self.path / f"{name}.attempt-{number}.json")
        self._stop.unlink(missing_ok=True)

    def earlier_slurm_numbers(self) -> set[str]:
        """The cluster's numbers of earlier attempts."""
        return {self.read(path.stem)["job"] for path in self.path.glob("slurm.attempt-*.json")}

    def remove(self) -> None:
        """Delete the folder."""
        import shutil

        shutil.rmtree(self.path, ignore_errors=True)


def require_valid_id(job_id: str) -> str:
    """`job_id` if it can name a job; it never leads out of the jobs' folder."""
    if not isinstance(job_id, str) or not VALID_ID.fullmatch(job_id):
        raise InputError(f"Expected a job's name (letters, digits, . _ -), got {job_id!r}.", "See: jobs list")
    return job_id
