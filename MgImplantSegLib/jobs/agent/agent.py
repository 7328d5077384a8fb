"""`Agent`: every question that can be asked about jobs on one machine, by name in `OPERATIONS`.

Every operation may be repeated: a caller whose connection broke asks again and gets the same answer.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import MgImplantSegLib
from MgImplantSegLib.base.errors import InputError, MgImplantSegError
from MgImplantSegLib.base.files import output_errors
from MgImplantSegLib.jobs.agent import processes, results
from MgImplantSegLib.jobs.agent.arrays import look_all, make_array
from MgImplantSegLib.jobs.agent.description import JobDescription
from MgImplantSegLib.jobs.agent.job_folder import Ended, JobFolder, State, require_valid_id
from MgImplantSegLib.jobs.agent.probe import describe_driver, probe
from MgImplantSegLib.jobs.agent.records import DamagedRecord
from MgImplantSegLib.jobs.agent.scheduler import Scheduler
from MgImplantSegLib.jobs.agent.schedulers import make_scheduler
from MgImplantSegLib.jobs.agent.settings import AgentSettings
from MgImplantSegLib.jobs.agent.status import known_status, unreadable_status
from MgImplantSegLib.jobs.agent.store import FileStore, require_own_folder

Folders = list[JobFolder]
Answer = dict[str, Any] | tuple[dict[str, Any], bytes]
LONGEST_READ = 4 << 20
STARTS_ANEW = (State.FAILED, State.CANCELLED, State.LOST)


class Agent:
    """Jobs, files and checks under one root folder of this machine."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings.at_home()
        self._root = Path(self._settings.root).absolute()
        self._jobs = self._root / "jobs"
        self._store = FileStore(self._root)

    def answer(self, request: dict[str, Any], payload: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """The answer to one request ``{"operation": NAME, ...}``, with its payload; raises what that raises."""
        arguments = dict(request)
        name = arguments.pop("operation", None)
        if name not in OPERATIONS:
            raise InputError(f"Expected one of {', '.join(OPERATIONS)}, got {name!r}.")
        if payload:
            arguments["payload"] = payload
        found = OPERATIONS[name](self, **arguments)
        return found if isinstance(found, tuple) else (found, b"")

    def hello(self) -> dict[str, Any]:
        """Who answers here."""
        require_own_folder(self._root)
        with output_errors(self._root):
            self._jobs.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._root.chmod(0o700)
        return {
            "version": MgImplantSegLib.__version__,
            "python": platform.python_version(),
            "root": str(self._root),
            "executable": sys.executable,
            "free_bytes": shutil.disk_usage(self._root).free,
        }

    def probe(self) -> dict[str, Any]:
        """Checks of everything a job will need."""
        self.hello()
        return {"checks": probe(self._settings, self._own_scheduler, self._root)}

    def driver(self) -> dict[str, Any]:
        """The newest CUDA version that the NVIDIA driver takes, and the oldest GPU's compute capability."""
        return describe_driver(self._own_scheduler)

    def missing_paths(self, paths: list[str]) -> dict[str, Any]:
        """Those of `paths` that do not exist here."""
        return {"missing": [path for path in paths if not os.path.exists(path)]}

    def visible_paths(self, paths: list[str]) -> dict[str, Any]:
        """Those of `paths` on this machine that jobs see where they are."""
        self.hello()
        scheduler = self._own_scheduler
        return {"visible": [path for path in paths if scheduler.files_visible(self._root, Path(path))]}

    def files_here(self, digests: list[str]) -> dict[str, Any]:
        """How many bytes of each file have arrived; None for a complete one."""
        return {"bytes": self._store.bytes_here(digests)}

    def put(self, digest: str, offset: int, payload: bytes = b"") -> dict[str, Any]:
        """Take bytes of a file."""
        return {"bytes": self._store.append(digest, offset, payload)}

    def complete(self, digest: str) -> dict[str, Any]:
        """Check and keep a file that has arrived."""
        if self._store.bytes_here([digest])[digest] is not None:
            self._store.complete(digest)
        return {}

    def make_set(self, digest: str, members: list[dict[str, Any]]) -> dict[str, Any]:
        """The folder of a set of files."""
        return {"path": str(self._store.set_folder(digest, members))}

    def engine(self, digest: str) -> dict[str, Any]:
        """The folder of an engine; unpacked if it has just arrived, None if it is not here."""
        folder = self._store.engine_folder(digest)
        if folder is None and self._store.bytes_here([digest])[digest] is None:
            folder = self._store.unpack_engine(digest)
        return {"path": None if folder is None else str(folder)}

    def submit(self, job: str, description: dict[str, Any], inputs: dict[str, str]) -> dict[str, Any]:
        """Start a job; one that was submitted in the same words before is started again only if it ended badly."""
        require_valid_id(job)
        asked = JobDescription.from_dict(description)
        asked = replace(asked, python=os.path.expanduser(asked.python))
        number = 1
        while True:
            job_id = job if number == 1 else f"{job}.{number}"
            path = self._jobs / job_id
            if not os.path.lexists(path):
                try:
                    return self._start_new(path, replace(asked, id=job_id, created=time.time()), inputs)
                except FileExistsError:
                    continue
            folder = JobFolder(path)
            found = self._status(folder)
            if found["submission"] == asked.submission:
                return {**found, "is_new": True}  # the caller's connection broke after this very submission
            if State(found["state"]) not in STARTS_ANEW:
                return {**found, "is_new": False}
            number += 1

    def array_limit(self) -> dict[str, Any]:
        """How many jobs an array may have here; None: any number."""
        return {"jobs": self._own_scheduler.array_limit}

    def submit_array(
        self,
        array: str,
        description: dict[str, Any],
        inputs: dict[str, str],
        tasks: list[list[str]],
        at_once: int,
        after: str = "",
    ) -> dict[str, Any]:
        """Start many jobs that differ in their last words; an array that is here already is completed, not doubled."""
        asked = JobDescription.from_dict(description)
        asked = replace(asked, python=os.path.expanduser(asked.python), array=array)
        jobs, is_new = make_array(self._jobs, asked, inputs, tasks)
        try:
            self._own_scheduler.start_array(array, jobs, at_once, self._known(after) if after else None)
        except Exception:
            for job in jobs if is_new else ():
                job.remove()
            raise
        return {"jobs": [job.path.name for job in jobs]}

    def look_all(self, jobs: list[str], offsets: list[int]) -> dict[str, Any]:
        """States of many jobs with their events since; those that are not here are lost."""
        return {"jobs": look_all(self._jobs, self._own_scheduler, jobs, offsets)}

    def ask_to_stop(self, jobs: list[str]) -> dict[str, Any]:
        """Ask many jobs to stop, without waiting for it."""
        for job in jobs:
            self._known(job).ask_to_stop()
        return {}

    def status(self, job: str) -> dict[str, Any]:
        """State of a job, and what there is to say about it."""
        return self._status(self._known(job))

    def list(self) -> dict[str, Any]:
        """State of all jobs, oldest first; those whose records are damaged too."""
        found = [self._status(folder) for folder in self._folders()]
        return {"jobs": sorted(found, key=lambda status: status["created"])}

    def read(self, job: str, file: str, offset: int, limit: int = LONGEST_READ) -> Answer:
        """Bytes of a job's events or log from an offset on."""
        folder = self._known(job)
        files = {"events": folder.events, "log": folder.log}
        if file not in files:
            raise InputError(f"Expected events or log, got {file!r}.")
        return {}, results.read_part(files[file], offset, min(limit, LONGEST_READ))

    def cancel(self, job: str) -> dict[str, Any]:
        """Stop a job; nothing of it is still running when this returns."""
        folder = self._known(job)
        if not self._scheduler(folder).look(folder).state.is_final:
            self._scheduler(folder).stop(folder)
        return self._status(folder)

    def resume(self, job: str) -> dict[str, Any]:
        """Start a job that has ended again, from its checkpoint if it has one."""
        folder = self._known(job)
        outcome = self._scheduler(folder).look(folder)
        if outcome.state.is_final:
            self._start_again(folder, folder.ended or outcome.ended_now())
        return self._status(folder)

    def remove(self, job: str) -> dict[str, Any]:
        """Delete a job that has ended, with its results."""
        folder = JobFolder(self._jobs / require_valid_id(job))
        if os.path.lexists(folder.path):
            if not self._is_over(folder):
                raise InputError(
                    f"Expected a job that has ended, got {job}, which has not ended yet.", "Cancel it first."
                )
            folder.remove()
        return {}

    def clean(self) -> dict[str, Any]:
        """Delete files that no job uses; those that trainings keep for the next one as soon as no job continues."""
        folders = self._folders()
        used = {digest for folder in folders for digest in folder.description.digests}
        freed = self._store.remove_unused(used)
        if all(self._scheduler(folder).look(folder).state.is_final for folder in folders):
            freed += self._store.remove_cache()
        return {"freed_bytes": freed}

    def results(self, job: str) -> dict[str, Any]:
        """Names and sizes of a job's results."""
        return {"files": results.list_results(self._known(job).results)}

    def digest(self, job: str, path: str) -> dict[str, Any]:
        """SHA-256 of one result."""
        return {"sha256": results.result_digest(self._known(job).results, path)}

    def get(self, job: str, path: str, offset: int, limit: int = LONGEST_READ) -> Answer:
        """Bytes of one result from an offset on."""
        target = results.result_path(self._known(job).results, path)
        return {}, results.read_part(target, offset, min(limit, LONGEST_READ))

    def _known(self, job: str) -> JobFolder:
        """The folder of a job that is here; whether its records can be read shows when they are."""
        folder = JobFolder(self._jobs / require_valid_id(job))
        if not os.path.lexists(folder.path):
            raise InputError(f"Expected a job of this environment, got {job!r}.", "List them with: jobs list")
        return folder

    def _folders(self) -> Folders:
        return [JobFolder(path) for path in self._jobs.glob("[!.]*")] if self._jobs.is_dir() else []

    def _is_over(self, folder: JobFolder) -> bool:
        """Whether nothing of a job runs; where its records are damaged, as far as its processes here tell."""
        try:
            return self._scheduler(folder).look(folder).state.is_final
        except DamagedRecord:
            return not processes.marked(str(folder.path))

    @property
    def _own_scheduler(self) -> Scheduler:
        """The one that new jobs are submitted to."""
        return make_scheduler(self._settings.scheduler, self._settings)

    def _scheduler(self, folder: JobFolder) -> Scheduler:
        """The one that the job was submitted to, which need not be the one of this environment."""
        return make_scheduler(folder.description.scheduler, self._settings)

    def _start_new(self, path: Path, description: JobDescription, inputs: dict[str, str]) -> dict[str, Any]:
        with output_errors(path):
            self._jobs.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = JobFolder.create(path, description, inputs)
        try:
            self._scheduler(folder).start(folder)
        except Exception:
            folder.remove()
            raise
        return {**self._status(folder), "is_new": True}

    def _start_again(self, folder: JobFolder, ended: Ended) -> None:
        """The next attempt; where it cannot be started the job has `ended` as before."""
        folder.prepare_next_attempt()
        os.utime(folder.path)
        try:
            self._scheduler(folder).start(folder)
        except Exception:
            folder.write("exit", ended)
            raise

    def _status(self, folder: JobFolder) -> dict[str, Any]:
        try:
            return known_status(folder, self._scheduler(folder))
        except MgImplantSegError as error:
            return unreadable_status(folder, error)


OPERATIONS: dict[str, Callable[..., Answer]] = {
    name: getattr(Agent, name)
    for name in [
        "hello",
        "probe",
        "driver",
        "missing_paths",
        "visible_paths",
        "files_here",
        "put",
        "complete",
        "make_set",
        "engine",
        "submit",
        "array_limit",
        "submit_array",
        "look_all",
        "ask_to_stop",
        "status",
        "list",
        "read",
        "cancel",
        "resume",
        "remove",
        "clean",
        "results",
        "digest",
        "get",
    ]
}
