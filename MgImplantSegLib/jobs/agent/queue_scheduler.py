"""`QueueScheduler`: what all clusters have in common. One of them says how its own programs are asked."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.jobs.agent.job_folder import JobFolder, QueueRecord, State
from MgImplantSegLib.jobs.agent.outcome import STOPPED, Outcome
from MgImplantSegLib.jobs.agent.records import DamagedRecord
from MgImplantSegLib.jobs.agent.scheduler import ManyJobs, QueueDown
from MgImplantSegLib.jobs.agent.settings import AgentSettings
from MgImplantSegLib.jobs.agent.start_script import write_start_script

SECONDS_TO_SUBMIT = 120.0
SECONDS_SPARE = 20.0
NAME_PREFIX = "mgis-"


class QueueScheduler(ManyJobs, ABC):
    """Jobs in the queue of a cluster; a job's runner sits in what the cluster starts.

    The job's number is kept in ``NAME.json``.
    """

    name: str
    title: str
    computes_here = False
    start_lines: tuple[str, ...] = ()

    def __init__(self, settings: AgentSettings) -> None:
        self.settings = settings

    @abstractmethod
    def submit(self, job: JobFolder, script: Path) -> QueueRecord:
        """Queue the script, which runs the job; its number."""

    @abstractmethod
    def find(self, job: JobFolder, *, is_active: bool) -> QueueRecord | None:
        """The number of a job whose submission was not answered; only among those that wait or run if `is_active`."""

    @abstractmethod
    def ask(self, queued: QueueRecord) -> Outcome:
        """The state of the job as the queue sees it; LOST if it does not know the job or only that it is over."""

    @abstractmethod
    def kill(self, queued: QueueRecord) -> None:
        """End the job, or take it out of the queue."""

    def start(self, job: JobFolder) -> None:
        """Queue the job, unless it is queued by a submission whose answer was lost; its number is noted."""
        script = write_start_script(job, (*self.start_lines, *self.settings.setup))
        job.write(self.name, self.find(job, is_active=True) or self.submit(job, script))

    def look(self, job: JobFolder) -> Outcome:
        """State from the job's folder; where that is silent or not final, from the queue."""
        ended = job.ended
        if ended is not None and not ended.is_provisional:
            return Outcome.recorded(ended)
        try:
            seen = self._seen(job)
        except DamagedRecord:
            raise
        except (QueueDown, InputError) as error:
            last = State.RUNNING if job.runner else State.PENDING
            return Outcome(last, f"{error.message} This is what was last known.", error.remedy)
        ended = job.ended  # it may have ended between the two looks
        if ended is not None and (not ended.is_provisional or seen is None or seen.state.is_final):
            return Outcome.recorded(ended)
        if seen is not None:
            return seen
        is_new = time.time() - job.path.stat().st_mtime < SECONDS_TO_SUBMIT
        return Outcome(State.PENDING) if is_new else self.forgotten

    def stop(self, job: JobFolder) -> None:
        """Ask a running job to stop, take a waiting one out of the queue; what does not stop in time is killed."""
        job.ask_to_stop()
        deadline = time.monotonic() + job.description.grace_s + SECONDS_SPARE
        while self.look(job).state is State.RUNNING and time.monotonic() < deadline:
            time.sleep(0.5)
        queued = self._queued(job)
        if queued is not None and not self.ask(queued).state.is_final:
            self.kill(queued)
            self._wait_until_over(job, queued)
        ended = job.ended
        if ended is None or ended.is_provisional:
            job.write("exit", STOPPED.ended_now())

    def number(self, job: JobFolder) -> str | None:
        """The job's number as it was noted."""
        known = job.read(self.name, QueueRecord)
        return known.job if known else None

    def files_visible(self, root: Path, path: Path) -> bool:
        """Computing nodes see the disk of the root folder, for the jobs lie there; other disks are unknown."""
        return len({place.stat().st_dev for place in (root, path, path.parent)}) == 1

    @property
    def forgotten(self) -> Outcome:
        """Of a job that the queue does not know and whose runner has reported no end."""
        return Outcome(
            State.LOST,
            f"{self.title} has no record of it, and it reported no result.",
            "See the log; continue with: jobs resume",
        )

    @property
    def seconds_before_limit(self) -> int:
        """When the command is warned, before its limit; clusters may be a minute early, short limits need a share."""
        wanted, limit = round(self.settings.grace_s) + 60, 60 * self.settings.time_minutes
        return min(wanted, limit // 3) if limit else wanted

    def earlier(self, job: JobFolder) -> set[str]:
        """The numbers of the job's earlier attempts."""
        found = set()
        for path in job.path.glob(f"{self.name}.attempt-*.json"):
            with suppress(DamagedRecord):
                record = job.read(path.stem, QueueRecord)
                found |= {record.job} if record else set()
        return found

    def _queued(self, job: JobFolder) -> QueueRecord | None:
        """The job in the queue; looked for where the submitter died before noting its number."""
        return job.read(self.name, QueueRecord) or self.find(job, is_active=False)

    def _seen(self, job: JobFolder) -> Outcome | None:
        """What the queue says; None where there is no number to ask for."""
        queued = self._queued(job)
        return None if queued is None else self.ask(queued)

    def _wait_until_over(self, job: JobFolder, queued: QueueRecord) -> None:
        deadline = time.monotonic() + 2 * SECONDS_SPARE + job.description.grace_s
        while not self.ask(queued).state.is_final and time.monotonic() < deadline:
            time.sleep(0.5)


def name_of(job: JobFolder) -> str:
    """The job's name in the queue."""
    return NAME_PREFIX + job.path.name


def name_of_array(array: str) -> str:
    """An array's name in the queue."""
    return NAME_PREFIX + array
