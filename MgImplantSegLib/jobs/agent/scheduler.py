"""`Scheduler`: what starts the jobs of a machine or a cluster; `Allocation`: what surrounds a job that runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from MgImplantSegLib.base.errors import ResourceError
from MgImplantSegLib.jobs.agent.job_folder import JobFolder, QueueRecord
from MgImplantSegLib.jobs.agent.outcome import Outcome
from MgImplantSegLib.jobs.agent.settings import AgentSettings


class QueueDown(ResourceError):
    """The cluster's queue does not answer now; jobs continue."""

    kind = "queue"


class Interruption(str, Enum):
    """Why a job that did not end by itself was stopped by its cluster."""

    PREEMPTED = "preempted"
    OUT_OF_TIME = "out of time"
    CANCELLED = "cancelled"


class Allocation:
    """What a cluster gives to a job that runs; this one is that of a process of its own: nothing.

    Parameters
    ----------
    queued : QueueRecord, optional
        The job in the queue.
    """

    stopped_by = ""

    def __init__(self, queued: QueueRecord | None = None) -> None:
        self.queued = queued

    @property
    def number(self) -> str:
        """The job's number; empty without a queue."""
        return self.queued.job if self.queued else ""

    def prefix(self, nodes: int) -> list[str]:
        """The words that start a command once on each of several machines."""
        return []

    def cores(self) -> int | None:
        """Cores on this machine; None: all."""
        return None

    def reached_the_command(self, signals: Collection[int]) -> bool:
        """Whether one of these signals, which came to the runner, went to every process of the job."""
        return False

    def ask_to_end(self, nodes: int) -> bool:
        """Send the polite signal on all machines, where the cluster has to do it; False where it does not."""
        return False

    def interruption(self, is_time_over: bool) -> Interruption:
        """Why the job is being stopped; `is_time_over` if it was warned that its time ends."""
        return Interruption.CANCELLED

    def requeue(self) -> bool:
        """Have the job queued again; False where the cluster refuses."""
        return False

    def exit_code(self, outcome: Outcome) -> int:
        """How the runner ends after that outcome."""
        return 0 if outcome.state.value == "done" else 1


class ManyJobs:
    """What is done with the jobs of an array where the scheduler knows no arrays: one after the other."""

    @property
    def array_limit(self) -> int | None:
        """Any number."""
        return None

    def start_array(
        self: Scheduler, _array: str, jobs: Sequence[JobFolder], _at_once: int, _after: JobFolder | None = None
    ) -> None:
        """Start all jobs that are not started yet."""
        for job in jobs:
            if job.runner is None and job.ended is None and self.number(job) is None:
                self.start(job)

    def look_all(self: Scheduler, jobs: Sequence[JobFolder]) -> list[Outcome]:
        """The state of each job."""
        return [self.look(job) for job in jobs]


class Scheduler(Protocol):
    """Starts jobs, knows their state, stops them; says what the machine is like on which they run.

    Attributes
    ----------
    name : str
        In `SCHEDULERS`.
    computes_here : bool
        Whether jobs run on the machine that starts them.
    """

    name: str
    computes_here: bool

    def __init__(self, settings: AgentSettings) -> None: ...

    def start(self, job: JobFolder) -> None:
        """Start the job; returns as soon as it is started or queued."""

    def look(self, job: JobFolder) -> Outcome:
        """The job's state now, with what there is to say about it."""

    @property
    def array_limit(self) -> int | None:
        """How many jobs an array may have; None: any number."""

    def start_array(self, array: str, jobs: Sequence[JobFolder], at_once: int, after: JobFolder | None = None) -> None:
        """Start the jobs of an array that are not started yet, `at_once` of them at the same time (0: all).

        With `after`, a job of another array, none of them starts before that array is over, where there is a queue.
        """

    def look_all(self, jobs: Sequence[JobFolder]) -> list[Outcome]:
        """The states of many jobs."""

    def stop(self, job: JobFolder) -> None:
        """Have the job stopped; returns when nothing of it is still running."""

    def number(self, job: JobFolder) -> str | None:
        """The job's number in the queue, for display."""

    def check_settings(self) -> list[dict[str, Any]]:
        """Whether jobs with these settings would be taken, a `check` each; nothing is queued."""

    def probe(self, words: Sequence[str], seconds: float) -> str:
        """What a program prints on a machine where jobs run; empty if it cannot be run, or not in time."""

    def files_visible(self, root: Path, path: Path) -> bool:
        """Whether jobs see a file of this machine where it is; `root` they see."""

    @classmethod
    def allocation(cls, variables: Mapping[str, str]) -> Allocation:
        """What surrounds the job in which this process runs."""


def check(name: str, is_good: bool, found: str, remedy: str = "") -> dict[str, Any]:
    """One line of a test: what was looked at, whether it is good, what was found, what to do if not."""
    return {"name": name, "ok": is_good, "found": " ".join(found.split()), "remedy": "" if is_good else remedy}
