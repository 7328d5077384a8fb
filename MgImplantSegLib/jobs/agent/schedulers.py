"""What starts jobs, by name: `SCHEDULERS`. A new one is a class in a folder or file beside this one, and an entry."""

from __future__ import annotations

from importlib import import_module

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.jobs.agent.scheduler import Scheduler
from MgImplantSegLib.jobs.agent.settings import AgentSettings

PROCESS = "process"
SCHEDULERS = {
    PROCESS: "process_scheduler.ProcessScheduler",
    "slurm": "slurm.SlurmScheduler",
    "lsf": "lsf.LsfScheduler",
}
QUEUES = tuple(name for name in SCHEDULERS if name != PROCESS)


def scheduler_class(name: str) -> type[Scheduler]:
    """The class of that name; loaded when it is needed.

    Raises
    ------
    InputError
        If there is no such scheduler.
    """
    if name not in SCHEDULERS:
        raise InputError(f"Expected one of {', '.join(SCHEDULERS)} as scheduler, got {name!r}.")
    module, _, found = SCHEDULERS[name].rpartition(".")
    return getattr(import_module(f"{__package__}.{module}"), found)


def make_scheduler(name: str, settings: AgentSettings) -> Scheduler:
    """The scheduler of that name with an environment's settings."""
    return scheduler_class(name)(settings)
