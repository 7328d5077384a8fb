"""What starts jobs on a machine, by name: `SCHEDULERS`. A new one is a class with these three methods and an entry."""

from __future__ import annotations

from typing import Any, Protocol

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.jobs.agent.job_folder import JobFolder
from MgImplantSegLib.jobs.agent.outcome import Outcome
from MgImplantSegLib.jobs.agent.process_scheduler import ProcessScheduler
from MgImplantSegLib.jobs.agent.slurm_scheduler import SlurmScheduler


class Scheduler(Protocol):
    """Starts a job, knows its state, stops it."""

    def start(self, job: JobFolder) -> None:
        """Start the job; returns as soon as it is started or queued."""

    def look(self, job: JobFolder) -> Outcome:
        """The job's state now, with what there is to say about it."""

    def stop(self, job: JobFolder) -> None:
        """Have the job stopped; returns when nothing of it runs any more."""


SCHEDULERS: dict[str, type[Scheduler]] = {"process": ProcessScheduler, "slurm": SlurmScheduler}


def make_scheduler(name: str, settings: dict[str, Any]) -> Scheduler:
    """The scheduler of that name.

    Raises
    ------
    InputError
        If there is no such scheduler.
    """
    if name not in SCHEDULERS:
        raise InputError(f"Expected one of {', '.join(SCHEDULERS)} as scheduler, got {name!r}.")
    return SCHEDULERS[name](settings)
